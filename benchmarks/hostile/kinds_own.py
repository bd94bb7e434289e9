"""Our own format: damaged and odd files among good ones."""

# pyright: reportIndexIssue=false, reportAttributeAccessIssue=false, reportArgumentType=false, reportOperatorIssue=false, reportCallIssue=false
import os
from collections.abc import Callable

import h5py

from benchmarks.hostile import own_edits
from benchmarks.hostile.case import Case, Draw, Kind
from benchmarks.hostile.writers import own

ODD = ("a_odd.h5", "m_odd.h5", "z_odd.h5")  # sorts before, between or after the good ones
Edit = Callable[[Draw, h5py.File], str | None]


def _case(draw: Draw, edit: Edit | None = None, expect: str = "refused", field: str = "", scale: int = 1) -> Case:
    """A file that `edit` changes among two good ones; `edit` may say which field must be named."""
    name, odd = draw.one_of(*ODD), draw.motion()
    good = {f"{letter}_good.h5": draw.motion() for letter in "by"}
    named: list[str | None] = []
    own(draw.folder / name, odd, (lambda file: named.append(edit(draw, file))) if edit else None, scale)
    for other, motion in good.items():
        own(draw.folder / other, motion)
    case = Case("ocrrl", read=good)
    field = next((said for said in named if said), field)
    if expect == "read":
        case.read[name] = odd
    elif expect == "either":
        case.either[name] = (field, odd)
    else:
        case.refused[name] = field
    return case


def _edited(edit: Edit, expect: str = "refused", scale: int = 1) -> Callable[[Draw], Case]:
    return lambda draw: _case(draw, edit, expect, scale=scale)


def _in_bytes(change: Callable[[Draw, bytes], bytes], expect: str, field: str) -> Callable[[Draw], Case]:
    def make(draw: Draw) -> Case:
        case = _case(draw, None, expect, field)
        (name,) = set(case.refused) | set(case.either) | set(case.read) & set(ODD)
        path = draw.folder / name
        path.write_bytes(change(draw, path.read_bytes()))
        return case

    return make


def _cut(draw: Draw, whole: bytes) -> bytes:
    return whole[: int(len(whole) * draw.generator.uniform(0.0, 0.98))]


def _flip(draw: Draw, whole: bytes) -> bytes:
    content = bytearray(whole)
    for _ in range(draw.one_of(1, 1, 4)):
        at = draw.one_of(draw.generator.integers(len(content)), draw.generator.integers(4096))
        content[int(at)] ^= int(draw.generator.integers(1, 256))
    return bytes(content)


def _same_twice(draw: Draw) -> Case:
    motions = draw.motions(3)
    for letter, motion in zip("abc", motions, strict=True):
        own(draw.folder / f"{letter}.h5", motion)
    (draw.folder / "d.h5").write_bytes((draw.folder / "b.h5").read_bytes())
    read = {f"{letter}.h5": motion for letter, motion in zip("abc", motions, strict=True)}
    return Case("ocrrl", read=read, refused={"d.h5": r"b\.h5"})


def _same_rows_other_images(draw: Draw) -> Case:
    case = _case(draw, expect="read")
    twin = draw.motion()
    (name,) = set(case.read) & set(ODD)
    first = case.read[name]
    for part in ("joints", "pose", "opening", "width", "cube"):
        setattr(twin, part, getattr(first, part))
    own(draw.folder / "x_again.h5", twin)
    case.read["x_again.h5"] = twin
    return case


def _no_file(draw: Draw) -> Case:
    case = _case(draw, expect="read")
    odd = draw.folder / draw.one_of("pipe.h5", "a.h5", "zz.hdf5")
    kind = draw.one_of("fifo", "folder", "loop", "dangling", "empty", "text", "outside")
    if kind == "fifo":
        os.mkfifo(odd)
    elif kind == "folder":
        odd.mkdir()
    elif kind == "loop":
        odd.symlink_to(odd.name)
    elif kind == "dangling":
        odd.symlink_to("nowhere.h5")
    elif kind == "outside":
        odd.symlink_to("/etc/hostname")
    else:
        odd.write_text("" if kind == "empty" else "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    if kind == "folder":
        case.left_out = (odd.name,)
    else:
        case.refused = {odd.name: "path|file"}
    return case


def _odd_names(draw: Draw) -> Case:
    names = draw.one_of(
        ["EPISODE_3.H5", "episode 4.HDF5"], ["x..y.h5", "b.h5"], ["a b.h5", "a_b.h5"], ["é.h5", "日本.h5"]
    )
    read = {name: draw.motion() for name in names}
    for name, motion in read.items():
        own(draw.folder / name, motion)
    return Case("ocrrl", read=read)


def _other_cell(draw: Draw) -> Case:
    def edit(draw: Draw, file: h5py.File) -> str:
        file.attrs["cell"] = draw.one_of("twin", "fr3_b")
        return "cell"

    return _case(draw, edit)


KINDS = [
    Kind(
        "own: cut file",
        _in_bytes(_cut, "refused", "file|signature|HDF5"),
        _in_bytes(lambda _, w: w + b"tail", "read", ""),
    ),
    Kind("own: flipped bytes", _in_bytes(_flip, "either", ".")),
    Kind("own: wrong shape", _edited(own_edits.wrong_shape), _edited(own_edits.as_float32, "read")),
    Kind("own: missing array", _edited(own_edits.missing), _edited(own_edits.without_objects, "read")),
    Kind("own: not a number, or far too large", _edited(own_edits.not_a_number)),
    Kind("own: quaternion order", _edited(own_edits.wrong_order), _edited(own_edits.other_signs, "read")),
    Kind("own: pose of another base", _edited(own_edits.other_base)),
    Kind(
        "own: command contradicts the actions",
        _edited(own_edits.command_contradicts),
        _edited(own_edits.command_lags, "read"),
    ),
    Kind("own: joints that are not this arm's", _edited(own_edits.joints_jump), _edited(own_edits.joint_noise, "read")),
    Kind("own: clock", _edited(own_edits.bad_clock), _edited(own_edits.jitter, "read")),
    Kind("own: expands when it is read", _edited(own_edits.expands), _edited(own_edits.extra_numbers, "read")),
    Kind("own: huge images", _edited(own_edits.huge_image), _edited(lambda *_: None, "read", scale=4)),
    Kind("own: text among the numbers", _edited(own_edits.text_data)),
    Kind("own: attributes", _edited(own_edits.bad_attribute), _edited(own_edits.other_types, "read")),
    Kind("own: data elsewhere", _edited(own_edits.points_elsewhere)),
    Kind("own: images that are none", _edited(own_edits.bad_images)),
    Kind("own: camera lost", _edited(own_edits.lost_camera), _edited(own_edits.third_camera, "read")),
    Kind("own: units and ranges", _edited(own_edits.wrong_numbers)),
    Kind("own: object jumps", _edited(own_edits.object_jumps), _edited(own_edits.object_lost, "read")),
    Kind("own: the same recording twice", _same_twice, _same_rows_other_images),
    Kind("own: no regular file", _no_file, _odd_names),
    Kind("own: a stray file of another cell", _other_cell),
]
