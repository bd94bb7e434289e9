"""robomimic's HDF5: conventions that differ, files that contradict themselves, damaged demonstrations."""

# pyright: reportIndexIssue=false, reportAttributeAccessIssue=false, reportArgumentType=false, reportOperatorIssue=false, reportCallIssue=false
import json
from collections.abc import Callable
from typing import Any

import h5py

from benchmarks.hostile import robomimic_edits
from benchmarks.hostile.case import Case, Draw, Kind
from benchmarks.hostile.writers import ROBOMIMIC_MAPPING, robomimic

FILE = "demo.hdf5"


def _mapping(**changes: Any) -> dict[str, Any]:
    mapping = ROBOMIMIC_MAPPING | changes
    return {key: value for key, value in mapping.items() if value is not None}


def _whole(
    draw: Draw,
    edit: Callable[[Draw, h5py.Group], str | None],
    expect: str = "refused",
    hz: float = 20.0,
    **mapping: Any,
) -> Case:
    """Every demonstration of a file changed alike, as another convention does."""
    motions, named = draw.motions(2, hz=hz), []
    state = draw.generator.bit_generator.state

    def once(demo: h5py.Group) -> None:
        draw.generator.bit_generator.state = state  # the same convention in every demonstration
        named.append(edit(draw, demo))

    robomimic(draw.folder / FILE, motions, {0: once, 1: once})
    origins = [f"{FILE}:demo_{number}" for number in range(2)]
    case = Case("robomimic", _mapping(**mapping))
    if expect == "read":
        case.read = dict(zip(origins, motions, strict=True))
    else:
        case.refused = dict.fromkeys(origins, named[0] or "")
        case.remedied = dict(zip(origins, motions, strict=True))
    return case


def _one(draw: Draw, edit: Callable[[Draw, h5py.Group], str | None], expect: str = "refused") -> Case:
    """One demonstration of three."""
    motions, odd, named = draw.motions(3), int(draw.generator.integers(3)), []
    robomimic(draw.folder / FILE, motions, {odd: lambda demo: named.append(edit(draw, demo))})
    case = Case(
        "robomimic", _mapping(), read={f"{FILE}:demo_{number}": motion for number, motion in enumerate(motions)}
    )
    if expect != "read":
        motion = case.read.pop(f"{FILE}:demo_{odd}")
        if expect == "either":
            case.either = {f"{FILE}:demo_{odd}": (named[0] or "", motion)}
        else:
            case.refused = {f"{FILE}:demo_{odd}": named[0] or ""}
    return case


def _edited(
    edit: Callable[[Draw, h5py.Group], str | None], expect: str = "refused", **mapping: Any
) -> Callable[[Draw], Case]:
    return lambda draw: _whole(draw, edit, expect, **mapping)


def _single(edit: Callable[[Draw, h5py.Group], str | None], expect: str = "refused") -> Callable[[Draw], Case]:
    return lambda draw: _one(draw, edit, expect)


def _remedy(key: str, make: Callable[[Draw], Case]) -> Callable[[Draw], Case]:
    def made(draw: Draw) -> Case:
        case = make(draw)
        case.remedy = key
        return case

    return made


def _rate(draw: Draw) -> Case:
    motions = draw.motions(2)
    claimed = draw.one_of(10, 15, 30, 50)

    def edit(file: h5py.File) -> None:
        file["data"].attrs["env_args"] = json.dumps({"env_kwargs": {"control_freq": claimed, "robots": ["Panda"]}})

    robomimic(draw.folder / FILE, motions, file_edit=edit)
    return Case("robomimic", _mapping(), refused={f"{FILE}:demo_0": "control_freq", f"{FILE}:demo_1": "control_freq"})


def _rate_of_the_file(draw: Draw) -> Case:
    motions = draw.motions(2, hz=draw.one_of(10.0, 40.0))
    robomimic(draw.folder / FILE, motions)
    read = {f"{FILE}:demo_{number}": motion for number, motion in enumerate(motions)}
    return Case("robomimic", _mapping(control_hz=None), read=read)


def _masks(draw: Draw) -> Case:
    motions, valid = draw.motions(4), int(draw.generator.integers(4))

    def edit(file: h5py.File) -> None:
        train = [f"demo_{number}".encode() for number in range(4) if number != valid]
        file["mask/train"], file["mask/valid"] = train, [f"demo_{valid}".encode()]

    robomimic(draw.folder / FILE, motions, file_edit=edit)
    read = {f"{FILE}:demo_{number}": motion for number, motion in enumerate(motions) if number != valid}
    return Case("robomimic", _mapping(), read=read, left_out=(f"{FILE}:demo_{valid}",))


def _names(draw: Draw) -> Case:
    motions = draw.motions(2)
    names = draw.one_of(
        ("a b.hdf5", "a_b.hdf5"), ("日.hdf5", "本.hdf5"), ("x/d.hdf5", "x__d.hdf5"), ("é.hdf5", "è.hdf5")
    )
    for name, motion in zip(names, motions, strict=True):
        robomimic(draw.folder / name, [motion])
    return Case("robomimic", _mapping(), read={f"{n}:demo_0": m for n, m in zip(names, motions, strict=True)})


def _damaged(draw: Draw) -> Case:
    good, odd = draw.motions(2), draw.motions(1)
    robomimic(draw.folder / "good.hdf5", good)
    name = draw.one_of("a.hdf5", "z.hdf5")
    path = robomimic(draw.folder / name, odd)
    content = bytearray(path.read_bytes())
    kind = draw.one_of("cut", "head", "empty", "text")
    if kind == "cut":
        content = content[: int(len(content) * draw.generator.uniform(0.05, 0.95))]
    elif kind == "head":
        for at in draw.generator.integers(8, 96, 4):
            content[int(at)] ^= 0xFF
    elif kind == "empty":
        content = bytearray()
    else:
        content = bytearray(b"<html>404</html>" * 100)
    path.write_bytes(bytes(content))
    read = {f"good.hdf5:demo_{number}": motion for number, motion in enumerate(good)}
    return Case("robomimic", _mapping(), read=read, refused={name: "file|superblock|HDF5|data"})


KINDS = [
    Kind(
        "robomimic: gripper 0..255",
        _edited(robomimic_edits.gripper(0, 255), gripper_closed=1, gripper_open=-1),
        _edited(robomimic_edits.gripper(0, 255), "read", gripper_closed=0, gripper_open=255),
    ),
    Kind(
        "robomimic: gripper reversed",
        _edited(robomimic_edits.gripper(-1, 1), gripper_open=-1, gripper_closed=1),
        _edited(robomimic_edits.gripper(-1, 1), "read", gripper_open=1, gripper_closed=-1),
    ),
    Kind("robomimic: another tool frame", _remedy("tool_in_gripper", _edited(robomimic_edits.turned))),
    Kind("robomimic: base pose forgotten", _remedy("base_pose", _edited(robomimic_edits.of_world))),
    Kind(
        "robomimic: quaternion order",
        _remedy("quaternion_order", _edited(robomimic_edits.stored_wxyz)),
        _edited(robomimic_edits.stored_wxyz, "read", quaternion_order="wxyz"),
    ),
    Kind("robomimic: millimetres", _edited(robomimic_edits.millimetres)),
    Kind("robomimic: joints in degrees", _edited(robomimic_edits.joint_degrees)),
    Kind("robomimic: another rate than the file's", _rate, _rate_of_the_file),
    Kind("robomimic: failures", _single(robomimic_edits.failed), _edited(robomimic_edits.no_rewards, "read")),
    Kind("robomimic: rows that do not fit", _single(robomimic_edits.longer), _edited(robomimic_edits.types, "read")),
    Kind(
        "robomimic: num_samples lies",
        _single(robomimic_edits.lies_about_rows),
        _single(robomimic_edits.no_numbers, "read"),
    ),
    Kind("robomimic: states only", _single(robomimic_edits.states_only)),
    Kind("robomimic: two arms", _single(robomimic_edits.two_arms), _edited(robomimic_edits.other_joints_note, "read")),
    Kind("robomimic: broken numbers", _single(robomimic_edits.broken_numbers)),
    Kind(
        "robomimic: images that are none",
        _single(robomimic_edits.odd_images),
        _edited(robomimic_edits.larger_images, "read"),
    ),
    Kind("robomimic: images as float CHW", _single(robomimic_edits.other_images, "either")),
    Kind("robomimic: damaged file", _damaged, _names),
    Kind("robomimic: expands when it is read", _single(robomimic_edits.expands)),
    Kind("robomimic: a validation mask", _masks),
]
