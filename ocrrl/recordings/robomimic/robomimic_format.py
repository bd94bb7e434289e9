"""Finds and reads robomimic's HDF5 demonstrations (`data/demo_<i>/obs/<key>`, `actions`) by a declared mapping.

Legend: T steps.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import h5py
import numpy as np

from ocrrl.episodes.episode_checks import EpisodeRejected, EpisodeRequirements
from ocrrl.episodes.episode_store import episode_paths
from ocrrl.episodes.hdf5_access import (
    array_at,
    check_declared,
    dataset_at,
    declared_bytes,
    frames_at,
    group_at,
    hdf5_faults,
    is_own,
    open_hdf5,
    shape_of,
    shown,
)
from ocrrl.episodes.source_episode import Reading, SourceEpisode, refused
from ocrrl.episodes.validation import check_location
from ocrrl.interface.actions import CONTROL_HZ
from ocrrl.interface.tabletop_tasks import TabletopTask
from ocrrl.recordings.folder import distinct_names, name_in
from ocrrl.recordings.meaning.episode_meaning import RawEpisode, checked_reading
from ocrrl.recordings.robomimic.robomimic_attributes import FileAttributes, demos_of_split, demos_order, file_attributes
from ocrrl.recordings.robomimic.robomimic_mapping import USUAL_COMMAND, RobomimicMapping

MAX_STEPS = 100_000
"""Of a demonstration: more than an hour."""
_SPARSE = 2  # values: nothing, and a reward
RATE_TOLERANCE = 0.01
"""The share by which a declared rate may differ from the file's own."""


def robomimic_episodes(
    path: Path, folder: Path, task: TabletopTask, mapping: RobomimicMapping, split: str = ""
) -> Iterator[SourceEpisode]:
    """Every demonstration of the HDF5 file `path` in `folder`, in the order of their numbers.

    Where the file has masks and `split` names one, the others of its demonstrations are left out, and said.
    """
    files = sorted({path, *episode_paths(folder)})
    stem = dict(zip(files, distinct_names(_stems(files, folder)), strict=True))[path]
    name = name_in(path, folder)
    try:
        check_location(path, folder)
        with open_hdf5(path) as file:
            demos, attributes = _demos(file), file_attributes(file)
            chosen, said = demos_of_split(file, split, demos)
            attributes = replace(attributes, notes=attributes.notes + said)
    except EpisodeRejected as reason:
        yield refused(name, path, reason)
        return
    for demo, part in zip(demos, _demo_names(demos), strict=True):
        load = partial(_load, path, demo, attributes, task, mapping)
        left_out = "" if demo in chosen else f"not in split {split}"
        yield SourceEpisode(f"{stem}-{part}.h5", f"{name}:{demo}", path, load, left_out)


def _stems(files: Sequence[Path], folder: Path) -> list[str]:
    """The files' paths without their ends, but where two then are the same."""
    names = [path.relative_to(folder).as_posix() for path in files]
    times = Counter(name.rsplit(".", 1)[0] for name in names)
    return [name if times[name.rsplit(".", 1)[0]] > 1 else name.rsplit(".", 1)[0] for name in names]


def _demo_names(demos: Sequence[str]) -> list[str]:
    """Names without `-`, which parts a file's name from its demonstration's."""
    return [name.replace("-", "_") for name in distinct_names([demo.replace("-", "~") for demo in demos])]


def _demos(file: h5py.File) -> list[str]:
    """The groups under `data`; EpisodeRejected where there is none."""
    data = group_at(file, "data")
    with hdf5_faults("data"):
        demos = [str(name) for name in data if not is_own(data, str(name), h5py.Dataset)]
    if not demos:
        raise EpisodeRejected("data", "at least one demonstration", "none")
    return sorted(demos, key=demos_order)


def _load(
    path: Path,
    demo: str,
    attributes: FileAttributes,
    task: TabletopTask,
    mapping: RobomimicMapping,
    expected: EpisodeRequirements,
) -> Reading:
    if not attributes.fits_arm:
        raise EpisodeRejected("env_args.robots", "a Panda or an FR3", ", ".join(attributes.robots))
    hz, rate_notes = _rate(attributes, mapping)
    if mapping.actions == "deltas" and attributes.control_delta is False:
        raise EpisodeRejected(
            "actions",
            "steps for actions: deltas",
            "poses: env_args' control_delta is false (use actions: poses or from_poses)",
        )
    with open_hdf5(path) as file:
        group = group_at(file, f"data/{demo}")
        raw, success = _read(group, attributes, mapping, hz, expected)
    raw = replace(raw, notes=(*attributes.notes, *rate_notes, *raw.notes))
    return checked_reading(raw, task, mapping, expected, success)


def _rate(attributes: FileAttributes, mapping: RobomimicMapping) -> tuple[float, tuple[str, ...]]:
    recorded, declared = attributes.control_hz, mapping.control_hz
    if recorded is None:
        if declared is None:
            return float(CONTROL_HZ), (f"control_hz: {CONTROL_HZ} taken, neither env_args nor the mapping name one",)
        return declared, ()
    if declared is None:
        return recorded, (f"control_hz: {recorded:g}, from the file's env_args (control_freq)",)
    if abs(declared - recorded) > RATE_TOLERANCE * recorded:
        raise EpisodeRejected(
            "control_hz",
            f"the file's {recorded:g} (env_args' control_freq)",
            f"{declared:g} in the mapping: every motion would be {max(declared / recorded, recorded / declared):.3g} times as"
            f" {'fast' if declared > recorded else 'slow'}; control_hz: {recorded:g}, or leave it out",
        )
    return declared, ()


def _read(
    demo: h5py.Group,
    attributes: FileAttributes,
    mapping: RobomimicMapping,
    hz: float,
    expected: EpisodeRequirements,
) -> tuple[RawEpisode, bool | None]:
    """The numbers and images of a demonstration, and what it says of its success (None: nothing)."""
    steps = _steps(demo, mapping)
    if not _holds(demo, "obs"):
        has_states = _holds(demo, "states")
        raise EpisodeRejected(
            "obs",
            "there",
            "states only: extract observations with robomimic's dataset_states_to_obs.py" if has_states else "nothing",
        )
    paths = {key: _path_of(demo, key) for key in sorted(mapping.keys())}
    datasets = {camera: _path_of(demo, key) for camera, key in mapping.images.items()}
    _check_rows(demo, {path: path for path in paths.values()}, steps)
    _check_rows(demo, {f"images.{camera}": path for camera, path in datasets.items()}, steps)
    declared = sum(declared_bytes(dataset_at(demo, path), path) for path in paths.values())
    if declared > expected.max_bytes:
        limit = f"of at most {expected.max_bytes / 1e9:g} GB (max_episode_gb)"
        raise EpisodeRejected("obs", limit, f"{declared / 1e9:.3g} GB of numbers declared")
    columns = {key: _numbers(demo, path, expected.max_bytes) for key, path in paths.items()}
    images, notes = _images(demo, datasets, expected)
    success, success_notes = (None, ()) if mapping.success is not None else _success(demo, steps, expected)
    return RawEpisode(columns, {}, images, attributes.instruction, hz, (*notes, *success_notes)), success


def _steps(demo: h5py.Group, mapping: RobomimicMapping) -> int:
    shape = shape_of(dataset_at(demo, "actions"), "actions")
    if len(shape) != 2 or shape[1] < 1 or shape[1] > 1000:
        raise EpisodeRejected("actions", "of shape (T, 7)", f"{shape}")
    usual = mapping.gripper_command == USUAL_COMMAND or mapping.step_selection is not None
    if shape[1] > 8 or (shape[1] != 7 and usual):
        hint = {
            8: "joint commands? then gripper_command: actions[7]",
            4: "positions only? then gripper_command: actions[3]",
        }
        cause = "two arms?" if shape[1] in (12, 14, 16) else hint.get(shape[1])
        got = f"{shape} ({cause})" if cause else f"{shape}"
        raise EpisodeRejected("actions", "of shape (T, 7), those of one arm", got)
    if shape[0] == 0:
        raise EpisodeRejected("actions", "at least one step", "zero steps (a zero-length episode)")
    if shape[0] > MAX_STEPS:
        raise EpisodeRejected("actions", f"at most {MAX_STEPS} steps", f"{shape[0]}")
    with hdf5_faults("num_samples"):
        declared = np.asarray(demo.attrs["num_samples"]) if "num_samples" in demo.attrs else None
    if declared is not None and not (declared.dtype.kind in "iu" and declared.tolist() in (shape[0], [shape[0]])):
        raise EpisodeRejected("num_samples", f"{shape[0]}, as many as actions", shown(str(declared)))
    return shape[0]


def _path_of(demo: h5py.Group, key: str) -> str:
    """Where `key` is: under obs, or an array of the demonstration's own."""
    with hdf5_faults(f"obs/{key}"):
        return key if key not in group_at(demo, "obs") and key in demo else f"obs/{key}"


def _holds(demo: h5py.Group, name: str) -> bool:
    with hdf5_faults(name):
        return name in demo


def _check_rows(demo: h5py.Group, paths: dict[str, str], steps: int) -> None:
    """Before anything is read: as many rows as there are actions in each of `paths`, by field."""
    for field, path in paths.items():
        shape = shape_of(dataset_at(demo, path), path)
        if not shape or shape[0] != steps:
            got = f"{shape[0]}" if shape else "a single value"
            one_more = (
                " (one observation more: the one after the last action; cut it off)"
                if shape and shape[0] == steps + 1
                else ""
            )
            raise EpisodeRejected(field, f"{steps} rows, one an action", f"{got}{one_more}")


def _numbers(demo: h5py.Group, path: str, max_bytes: int) -> np.ndarray:
    """The array at `path`; true and false are 1 and 0."""
    dataset = dataset_at(demo, path)
    with hdf5_faults(path):
        is_truth = dataset.dtype.kind == "b"
    if not is_truth:
        values = array_at(demo, path, max_bytes)
        return values.astype(np.float64) if values.dtype.kind == "f" else values
    check_declared(dataset, path, max_bytes)
    with hdf5_faults(path):
        return np.asarray(dataset[...]).astype(np.uint8)


def _images(
    demo: h5py.Group, paths: dict[str, str], expected: EpisodeRequirements
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """The images by camera, at the sizes that are asked for, and notes; raises `EpisodeRejected`.

    `paths` are the arrays by camera. Whatever is no uint8 RGB is refused; sizes are checked before anything is read.
    """
    fit = expected.images
    cameras, notes = expected.cameras_among(paths, "mapping.images")
    images, room = {}, expected.max_bytes
    for camera in cameras:
        path = paths[camera]
        dataset = dataset_at(demo, path)
        shape = shape_of(dataset, path)
        with hdf5_faults(path):
            dtype = dataset.dtype
        if dtype != np.uint8 or len(shape) != 4 or shape[3] != 3:
            raise EpisodeRejected(
                f"images.{camera}",
                "uint8 of shape (T, height, width, 3)",
                f"{_kind(dtype)} {shape}{_hint(dtype, shape)}",
            )
        images[camera] = frames_at(demo, path, room, fit, camera)
        room -= images[camera].nbytes
        if fit is not None and (note := fit.describe(camera, (shape[1], shape[2]))):
            notes += (note,)
    return images, notes


def _kind(dtype: np.dtype) -> str:
    return "bytes of variable length" if dtype.kind == "O" else str(dtype)


def _hint(dtype: np.dtype, shape: tuple[int, ...]) -> str:
    if dtype.kind in "OSV" or len(shape) < 3:
        return " (compressed images? decode them to uint8 first)"
    hints = ["channels first"] if len(shape) == 4 and shape[1] in (1, 3, 4) and shape[3] not in (1, 3, 4) else []
    hints += ["0..1"] if dtype.kind == "f" else ["depth"] if dtype.itemsize > 1 or shape[-1] == 1 else []
    return f" ({', '.join(hints)}? write them as uint8 RGB, channels last)" if hints else ""


def _success(demo: h5py.Group, steps: int, expected: EpisodeRequirements) -> tuple[bool | None, tuple[str, ...]]:
    """What sparse rewards, or else dones, say; None where the demonstration has neither."""
    notes: tuple[str, ...] = ()
    for name in ("rewards", "dones"):
        if not _holds(demo, name):
            continue
        _check_rows(demo, {name: name}, steps)
        values = _numbers(demo, name, expected.max_bytes)
        if len(np.unique(values)) > _SPARSE:
            notes = (f"success: {name} are dense and do not tell it (mapping.success may name a label)",)
            continue
        success = bool((values > 0).any())
        if expected.success and not success:
            raise EpisodeRejected(
                "success", "true", f"{name} that are never above 0 (mapping.success may name a label)"
            )
        return success, notes
    return None, notes or ("success: the file has no rewards, every demonstration is taken for a success",)
