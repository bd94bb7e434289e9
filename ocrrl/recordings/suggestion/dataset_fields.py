"""Lists the fields of a foreign recording without a mapping: keys, shapes, names, ranges, rates.

Legend: T recorded rows.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np
from jaxtyping import Float

from ocrrl.episodes.episode_checks import EpisodeRejected, EpisodeRequirements
from ocrrl.episodes.hdf5_access import array_at, dataset_at, group_at, hdf5_faults, open_hdf5, shape_of
from ocrrl.printable import one_line
from ocrrl.recordings.lerobot.dataset_files import DatasetFiles
from ocrrl.recordings.lerobot.dataset_info import read_info
from ocrrl.recordings.robomimic.robomimic_attributes import demos_order, file_attributes

Selection = str | list[str]
Columns = frozenset[tuple[str, int]]
"""Key and number of each."""
BOOKKEEPING = frozenset({"timestamp", "frame_index", "episode_index", "index", "task_index"})
NO_STATE = re.compile(r"vel|torque|effort|force|current|accel|target|desired|goal", re.IGNORECASE)
"""Names of numbers that are not where something is."""
WIDEST = 1000  # numbers of a key that is looked at
MAX_KEYS = 500
_NO_NUMBERS = ("video", "image", "string", "depth", "audio")


@dataclass(frozen=True)
class NumericField:
    """The numbers under one key, of one recording."""

    key: str
    names: list[str] | None
    """Of each number, where the recording gives them."""
    values: Float[np.ndarray, "T d"]

    def describe(self) -> str:
        """`observation.state: 14 numbers [x, y, ...], 0.1 to 0.9, ...`."""
        low, high = self.values.min(axis=0), self.values.max(axis=0)
        names = self.names or [str(index) for index in range(self.values.shape[1])]
        shown = [f"{name} {a:.3g}..{b:.3g}" for name, a, b in zip(names, low, high, strict=True)]
        rest = len(shown) - 16
        return f"{self.key} ({self.values.shape[1]}): {', '.join(shown[:16])}" + f", and {rest} more" * (rest > 0)

    def short_name_of(self, index: int) -> str:
        """Of one number, the key's where it has none."""
        return self.names[index] if self.names else self.key.rsplit(".", 1)[-1]

    def name_of(self, index: int) -> str:
        """Key and name of one number."""
        return f"{self.key}.{self.names[index]}" if self.names else self.key

    def columns(self, start: int, count: int) -> Columns:
        """So many numbers in a row."""
        return frozenset((self.key, n) for n in range(start, start + count))

    def selection(self, start: int, count: int) -> Selection:
        """How a mapping names these numbers: by name where each has a plain one of its own."""
        names, width = self.names, self.values.shape[1]
        if width == count:
            return self.key
        if names and len(set(names)) == len(names) and all(re.fullmatch(r"[\w.\- ]+", name) for name in names):
            return f"{self.key}[{','.join(names[start : start + count])}]"
        return f"{self.key}[{start}]" if count == 1 else f"{self.key}[{start}:{start + count}]"


@dataclass(frozen=True)
class DatasetFields:
    """One recording's keys."""

    source_format: str
    version: str
    """Such as `LeRobotDataset v3`, `robomimic HDF5`."""
    recorded_hz: float | None
    """None where the recording does not say."""
    instruction: str | None
    images: Mapping[str, tuple[int, ...]]
    """Shape of one image by key."""
    numbers: Mapping[str, NumericField] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """Everything in it, as text."""
        hz = "rate unknown" if self.recorded_hz is None else f"{self.recorded_hz:g} Hz"
        shapes = ", ".join(f"{key} {' x '.join(map(str, shape))}" for key, shape in self.images.items())
        lines = [f"fields of the first recording ({self.version}, {hz}):"]
        lines += [f"  {one_line(numbers.describe())}" for numbers in self.numbers.values()]
        lines.append(f"  images: {one_line(shapes or 'none')}")
        return lines + ([f"  instruction: {one_line(self.instruction)}"] if self.instruction else [])


def lerobot_fields(root: Path, folder: Path) -> DatasetFields:
    """The features of the dataset at `root`, with the numbers of its first whole episode; raises `EpisodeRejected`."""
    from ocrrl.recordings.lerobot.dataset import open_dataset  # these formats alone need pyarrow and PyAV

    files = DatasetFiles(root, folder)
    keys = [key for key in read_info(files, ()).keys if key not in BOOKKEEPING][:MAX_KEYS]
    info = read_info(files, keys)
    numeric = {key for key, feature in info.features.items() if feature.dtype not in _NO_NUMBERS}
    dataset = open_dataset(files, {}, numeric, needs_task=True)
    reason: EpisodeRejected | None = None
    for number in sorted(dataset.episodes)[:20]:
        try:
            raw = dataset.read(number, EpisodeRequirements())
        except EpisodeRejected as refused:
            reason = reason or refused
            continue
        numbers = {
            key: NumericField(key, raw.names.get(key), values.reshape(len(values), -1))
            for key, values in raw.columns.items()
            if 0 < values.size // max(1, len(values)) <= WIDEST
        }
        shapes = {key: info.features[key].shape or () for key in info.images if not info.features[key].is_depth}
        version = f"LeRobotDataset v{'2.1' if info.major == 2 else info.major}"
        return DatasetFields("lerobot", version, info.fps, raw.instruction, shapes, numbers)
    raise reason or EpisodeRejected("episodes", "at least one", "none")


def robomimic_fields(path: Path) -> DatasetFields:
    """The keys of the first demonstration of the file at `path`; raises `EpisodeRejected`."""
    with open_hdf5(path) as file:
        attributes = file_attributes(file)
        data = group_at(file, "data")
        with hdf5_faults("data"):
            demos = sorted((str(name) for name in data), key=demos_order)
        if not demos:
            raise EpisodeRejected("data", "at least one demonstration", "none")
        demo = group_at(data, demos[0])
        with hdf5_faults("obs"):
            keys = [*(f"obs/{key}" for key in group_at(demo, "obs")), "actions"][:MAX_KEYS]
        images, numbers = {}, {}
        for path_in_demo in keys:
            key = path_in_demo.removeprefix("obs/")
            shape = _shape(demo, path_in_demo)
            if len(shape) == 4 and 3 in (shape[1], shape[3]):
                images[key] = shape[1:]
            elif 1 <= len(shape) <= 2 and _is_numeric(demo, path_in_demo) and (shape[1:] or (1,))[0] <= WIDEST:
                values = np.asarray(array_at(demo, path_in_demo, 10**8), np.float64)
                numbers[key] = NumericField(key, None, values.reshape(len(values), -1))
    return DatasetFields("robomimic", "robomimic HDF5", attributes.control_hz, attributes.instruction, images, numbers)


def is_unit(values: np.ndarray) -> bool:
    """Whether every row is a quaternion of length 1."""
    return values.shape[1] == 4 and bool((np.abs(np.linalg.norm(values, axis=-1) - 1) < 1e-3).all())


def _shape(demo: h5py.Group, path: str) -> tuple[int, ...]:
    try:
        return shape_of(dataset_at(demo, path), path)
    except EpisodeRejected:
        return ()


def _is_numeric(demo: h5py.Group, path: str) -> bool:
    with hdf5_faults(path):
        return dataset_at(demo, path).dtype.kind in "fiu"
