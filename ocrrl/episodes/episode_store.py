"""Writes and reads one HDF5 file per episode: atomic, the same bytes for the same episode.

Layout: `images/<camera>` (T, H, W, 3) uint8, one compressed chunk a frame; every other array of `Episode` under its own
name as float64; `EpisodeAttributes` as attributes of the root, dicts and tuples as JSON text, an absent seed or plan left out.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path

import h5py
import numpy as np

from ocrrl.episodes.hdf5_access import array_at, attribute_value, dataset_at, group_at
from ocrrl.episodes.hdf5_in_memory import Hdf5InMemory
from ocrrl.interface.cameras import CameraSizes
from ocrrl.interface.episode import Episode, EpisodeAttributes

SUFFIXES = (".h5", ".hdf5")
REQUIRED_ARRAYS = (
    "gripper_pose",
    "commanded_pose",
    "joint_positions",
    "gripper_width",
    "action",
    "timestamps",
)
OPTIONAL_ARRAYS = (
    *("object_poses", "object_confidence", "object_visible"),
    *("base_action", "residual", "intervention", "handed_over", "label"),
)
ROW_CHUNK = 32  # rows of numbers that lie together in a live recording
FLUSH_ROWS = 20  # a second's
OPTIONAL_ATTRIBUTES = ("seed", "plan")
JSON_ATTRIBUTES = ("calibration", "versions", "object_names")


def write_episode(path: Path, episode: Episode) -> None:
    """Write `episode` to `path`: a crash leaves the old file or the new one, never a part."""
    writer = EpisodeWriter(path)
    try:
        writer.append_images(episode.images)
        arrays = {name: getattr(episode, name) for name in (*REQUIRED_ARRAYS, *OPTIONAL_ARRAYS)}
        writer.finish(episode.attributes, {name: value for name, value in arrays.items() if value is not None})
    except BaseException:
        writer.discard()
        raise


def read_episode(path: Path, with_images: bool = True) -> Episode:
    """Read the episode in `path` without judging it; see `ocrrl.episodes.validation` for files that others made.

    Without images it is a thousandth of the memory, and all that replay needs.
    Raises OSError for a file that HDF5 cannot read, `EpisodeRejected` for a missing array and KeyError for a missing
    attribute.
    """
    with h5py.File(path, "r") as file:
        cameras = sorted(str(camera) for camera in group_at(file, "images")) if with_images else []
        return episode_in(file, {camera: array_at(file, f"images/{camera}") for camera in cameras})


def attributes_of(path: Path) -> EpisodeAttributes:
    """The attributes of the episode in `path`; raises as `read_episode`."""
    with h5py.File(path, "r") as file:
        return read_attributes(file)


def image_sizes(path: Path) -> CameraSizes:
    """Height and width of the images by camera of the episode in `path`, without reading them."""
    with h5py.File(path, "r") as file:
        shapes = {str(camera): dataset_at(file, f"images/{camera}").shape for camera in group_at(file, "images")}
    return {camera: (shape[1], shape[2]) for camera, shape in sorted(shapes.items())}


def episode_in(file: h5py.File, images: dict[str, np.ndarray], max_bytes: int | None = None) -> Episode:
    """The episode in an open file, with `images` for its images; no other array may be of more than `max_bytes`."""
    arrays = {name: array_at(file, name, max_bytes) for name in REQUIRED_ARRAYS}
    arrays |= {name: array_at(file, name, max_bytes) for name in OPTIONAL_ARRAYS if name in file}
    return Episode(attributes=read_attributes(file), images=images, **arrays)


def read_attributes(file: h5py.File) -> EpisodeAttributes:
    """The attributes of an open episode file; KeyError names a missing one."""
    values = {}
    for name in (field.name for field in fields(EpisodeAttributes)):
        if name in OPTIONAL_ATTRIBUTES and name not in file.attrs:
            continue
        if name not in file.attrs:
            raise KeyError(name)
        value = attribute_value(file, name)
        values[name] = json.loads(str(value)) if name in JSON_ATTRIBUTES else value
    values["object_names"] = tuple(values["object_names"])
    return EpisodeAttributes(**values)


def episode_paths(folder: Path) -> list[Path]:
    """The episode files under `folder`, sorted; hidden files and folders (unfinished recordings) are passed over."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES
        and (path.is_symlink() or path.is_file())
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )


def episode_files(folder: Path, name: str) -> list[tuple[str, Path]]:
    """The episode files under `folder`, sorted, with the source name `<name>/<file>` that tells folders apart."""
    return [(f"{name}/{path.relative_to(folder).as_posix()}", path) for path in episode_paths(folder)]


def part_files(folder: Path, name: str, part: str = "") -> list[tuple[str, Path]]:
    """As `episode_files` of `folder`, but only those directly in it, or directly in its folder `part`; none where that is missing."""
    return [(source, path) for source, path in episode_files(folder, name) if path.parent == folder / part]


class EpisodeWriter:
    """Records one episode to disk while it happens; until `finish` it exists only as `.<name>.partial` beside `path`.

    Images go to the file at once (at 20 Hz two 640 x 480 cameras make 37 MB/s); every `FLUSH_ROWS` rows all of it is
    handed to the operating system. A crash loses the episode in progress and no other, and what was handed over of it
    can be read. A disk that is full or broken raises OSError, after which a writer can be abandoned or discarded. A
    live recording does not `compress`: two such images take 50 CPU-ms with gzip, a whole control step.
    """

    def __init__(self, path: Path, compress: bool = True) -> None:
        self._filter = {"compression": "gzip", "compression_opts": 1} if compress else {}
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._partial = path.with_name(f".{path.name}.partial")
        self._hdf5 = Hdf5InMemory(self._partial)
        self._file = self._hdf5.file
        self._file.create_group("images", track_times=False)
        self._rows = 0

    def append(self, images: Mapping[str, np.ndarray], **row: np.ndarray) -> None:
        """Add one control step: one image (H, W, 3) a camera, and the step's row of every array of `Episode`."""
        self.append_images({camera: image[None] for camera, image in images.items()})
        for name, value in row.items():
            _append_row(self._file, name, np.array(value, np.float64))
        if self._rows % FLUSH_ROWS == 0:  # the first row too
            self._hdf5.flush(group_at(self._file, "images"))
        else:
            self._hdf5.copy_ahead()
        self._rows += 1

    def append_images(self, images: Mapping[str, np.ndarray]) -> None:
        """Add the frames (n, H, W, 3) uint8 of every camera."""
        group = group_at(self._file, "images")
        for camera in sorted(images):
            frames = np.asarray(images[camera])
            if frames.dtype != np.uint8:
                raise ValueError(f"images of {camera} must be uint8, got {frames.dtype}")
            if camera not in group:
                group.create_dataset(
                    camera,
                    shape=(0, *frames.shape[1:]),
                    maxshape=(None, *frames.shape[1:]),
                    chunks=(1, *frames.shape[1:]),
                    dtype=np.uint8,
                    track_times=False,
                    **self._filter,
                )
            dataset = dataset_at(group, camera)
            filled = len(dataset)
            dataset.resize(filled + len(frames), axis=0)
            dataset[filled:] = frames

    def finish(
        self, attributes: EpisodeAttributes, arrays: Mapping[str, np.ndarray] | None = None, path: Path | None = None
    ) -> Path:
        """Write `attributes`, and give the file its name, or that of `path` on the same file system.

        `arrays` are whole arrays, for rows that were not appended.
        """
        for name, values in sorted(dict(arrays or {}).items()):
            self._file.create_dataset(name, data=np.asarray(values, np.float64), track_times=False)
        for name, value in sorted(asdict(attributes).items()):
            if value is not None:
                self._file.attrs[name] = json.dumps(value, sort_keys=True) if name in JSON_ATTRIBUTES else value
        self._hdf5.close()
        target = path or self._path
        target.parent.mkdir(parents=True, exist_ok=True)
        self._partial.replace(target)
        return target

    def abandon(self) -> None:
        """Leave the episode in progress as it is, a readable `.partial`; raises nothing."""
        self._hdf5.abandon()

    def discard(self) -> None:
        """Forget the episode in progress."""
        self.abandon()
        self._partial.unlink(missing_ok=True)


def _append_row(file: h5py.File, name: str, row: np.ndarray) -> None:
    """Add `row` to the dataset `name`, which begins with the first one."""
    if name not in file:
        shape = {"shape": (0, *row.shape), "maxshape": (None, *row.shape), "chunks": (ROW_CHUNK, *row.shape)}
        file.create_dataset(name, dtype=np.float64, track_times=False, **shape)
    dataset = dataset_at(file, name)
    dataset.resize(len(dataset) + 1, axis=0)
    dataset[-1] = row
