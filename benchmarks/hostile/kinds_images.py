"""LeRobotDatasets: videos and images that are damaged, of another kind, or another episode's."""

import io
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image

from benchmarks.hostile.case import Case, Draw, Kind
from benchmarks.hostile.kinds_lerobot import NAME, mapping, read_all, sound, whole_dataset
from benchmarks.hostile.motion import CAMERAS
from benchmarks.hostile.writers import VIDEO, LeRobotEdits, lerobot


def _video(root: Path, camera: str) -> Path:
    return root / VIDEO.format(video_key=f"observation.images.{camera}", chunk_index=0, file_index=0)


def _no_video(draw: Draw) -> Case:
    """A video that cannot be opened: every episode is in it."""
    camera = draw.one_of("front", "wrist")
    kind = draw.one_of("moov", "html", "empty", "lfs", "missing", "fifo", "folder", "outside", "audio")

    def after(root: Path) -> None:
        path = _video(root, camera)
        content = path.read_bytes()
        path.unlink()
        if kind == "fifo":
            os.mkfifo(path)
        elif kind == "folder":
            path.mkdir()
        elif kind == "outside":
            path.symlink_to("/etc/hostname")
        elif kind != "missing":
            at = content.rfind(b"moov")
            odd = {
                "moov": content[:at],
                "html": b"<html>",
                "empty": b"",
                "audio": b"RIFF\x24\0\0\0WAVEfmt " + bytes(64),
            }
            path.write_bytes(odd.get(kind, b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"))

    case = whole_dataset(draw, f"{camera}|file-000.mp4", after=after)
    field = case.refused.pop(NAME)
    case.refused = {f"{NAME}:{number}": field for number in range(2)}
    if kind in ("fifo", "folder", "outside"):  # told when the folder is listed
        case.refused = {NAME: field}
    case.files = dict.fromkeys(case.refused, "mp4")
    return case


def _cut_video(draw: Draw) -> Case:
    """A video whose last episode's frames are damaged or gone."""
    motions = draw.motions(3)
    lerobot(draw.folder / NAME, motions)
    path = _video(draw.folder / NAME, "front")
    content = bytearray(path.read_bytes())
    start, stop = content.find(b"mdat"), content.find(b"moov")
    begin = start + int((stop - start) * draw.generator.uniform(0.75, 0.9))
    content[begin : begin + (stop - begin) // 2] = bytes((stop - begin) // 2)
    path.write_bytes(bytes(content))
    read = read_all(motions)
    last = read.pop(f"{NAME}:2")
    return Case("lerobot", mapping(), read=read, either={f"{NAME}:2": ("front|mp4", last)})


def _stored(change: Callable[[Draw, Image.Image], bytes], field: str) -> Callable[[Draw], Case]:
    """Images in parquet of which one episode's are odd."""

    def make(draw: Draw) -> Case:
        motions, odd = draw.motions(3), int(draw.generator.integers(3))

        def edit(table: pa.Table) -> pa.Table:
            name = "observation.images.wrist"
            cells = table[name].to_pylist()
            first = sum(len(motion) for motion in motions[:odd])
            for row in range(first, first + len(motions[odd])):
                cells[row] = {"bytes": change(draw, Image.open(io.BytesIO(cells[row]["bytes"]))), "path": None}
            kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
            return table.set_column(table.column_names.index(name), name, pa.array(cells, kind))

        lerobot(draw.folder / NAME, motions, LeRobotEdits("image", table=edit))
        read = read_all(motions)
        del read[f"{NAME}:{odd}"]
        return Case("lerobot", mapping(), refused={f"{NAME}:{odd}": field}, read=read)

    return make


def _saved(image: Image.Image, form: str = "PNG") -> bytes:
    content = io.BytesIO()
    image.save(content, form)
    return content.getvalue()


def _deep(draw: Draw, image: Image.Image) -> bytes:
    grey = np.asarray(image.convert("L"), np.uint16) * 100
    odd = [Image.fromarray(grey), image.convert("L"), image.convert("RGBA"), image.convert("CMYK")]
    form = ["PNG", "PNG", "PNG", "JPEG"]
    at = draw.one_of(0, 0, 1, 3)
    return _saved(odd[at], form[at])


_BOMB = _saved(Image.new("RGB", (9000, 9000)))


def _broken(draw: Draw, image: Image.Image) -> bytes:
    whole = _saved(image)
    return draw.one_of(b"", b"<html>", whole[: len(whole) // 2], whole[:40] + bytes(200) + whole[240:])


def _dead_camera(draw: Draw) -> Case:
    kind, camera = draw.one_of("black", "white", "frozen"), draw.one_of("front", "wrist")

    def frames(name: str, images: np.ndarray) -> np.ndarray:
        if name != camera:
            return images
        return {"black": 0 * images, "white": 0 * images + 255, "frozen": images[:1].repeat(len(images), 0)}[kind]

    motions = draw.motions(2)
    lerobot(draw.folder / NAME, motions, LeRobotEdits(frames=frames))
    return Case("lerobot", mapping(), refused=dict.fromkeys(read_all(motions), camera))


def _allowed_dead_camera(draw: Draw) -> Case:
    case = _dead_camera(draw)
    (camera,) = set(case.refused.values())
    others = tuple(name for name in CAMERAS if name != camera)
    return Case("lerobot", case.mapping, {"still_cameras": [camera]}, read=read_all(draw.made[:2]), cameras=others)


def _several_files(draw: Draw) -> Case:
    """Two datasets' files in one, as merging leaves them: rows and videos in files of their own."""
    import pyarrow.parquet as pq

    from benchmarks.hostile.writers import DATA, EPISODES

    motions = draw.motions(4)
    root = lerobot(draw.folder / NAME, motions)
    lerobot(draw.folder / "later", motions[2:])
    rows = sum(len(motion) for motion in motions[:2])
    table = pq.read_table(root / DATA.format(chunk_index=0, file_index=0))
    pq.write_table(table.slice(0, rows), root / DATA.format(chunk_index=0, file_index=0))
    pq.write_table(table.slice(rows), root / DATA.format(chunk_index=0, file_index=1))
    entries = pq.read_table(root / EPISODES).to_pylist()
    for camera in ("front", "wrist"):
        moved = _video(draw.folder / "later", camera)
        shutil.copy(moved, _video(root, camera).with_name("file-001.mp4"))
        for entry in entries[2:]:
            key = f"videos/observation.images.{camera}"
            entry[f"{key}/file_index"] = 1
            for end in ("from", "to"):
                entry[f"{key}/{end}_timestamp"] -= rows / motions[0].hz
    for entry in entries[2:]:
        entry["data/file_index"] = 1
    pq.write_table(pa.Table.from_pylist(entries), root / EPISODES)
    shutil.rmtree(draw.folder / "later")
    return Case("lerobot", mapping(), read=read_all(motions))


KINDS = [
    Kind("lerobot: no video", _no_video, _several_files),
    Kind(
        "lerobot: video damaged in the middle",
        _cut_video,
        lambda draw: sound(draw, LeRobotEdits(codec=draw.one_of("mpeg4", "libx265", "libsvtav1"))),
    ),
    Kind("lerobot: images of another kind", _stored(_deep, "wrist"), lambda draw: sound(draw, LeRobotEdits("image"))),
    Kind(
        "lerobot: an image that expands",
        _stored(lambda *_: _BOMB, "wrist"),
        lambda draw: sound(draw, LeRobotEdits(scale=draw.one_of(2, 4))),
    ),
    Kind("lerobot: broken images", _stored(_broken, "wrist")),
    Kind("lerobot: dead camera", _dead_camera, _allowed_dead_camera),
]
