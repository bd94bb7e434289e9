"""What a robomimic file says of itself: the environment's rate, robots and controller, the instruction, its masks."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import h5py
import numpy as np

from ocrrl.episodes.episode_checks import EpisodeRejected
from ocrrl.episodes.hdf5_access import dataset_at, group_at, hdf5_faults, shape_of, shown

ARMS = ("panda", "fr3", "franka")
MAX_MASK = 1_000_000
_NUMBER = re.compile(r"(\d+)")


@dataclass(frozen=True)
class FileAttributes:
    """What holds for all demonstrations of a file; None where it does not say."""

    control_hz: float | None = None
    control_delta: bool | None = None
    """False: actions are poses, not steps."""
    robots: tuple[str, ...] = ()
    instruction: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def fits_arm(self) -> bool:
        """Whether the robots are one arm of ours, as far as the file says."""
        return not self.robots or (len(self.robots) == 1 and any(arm in self.robots[0].lower() for arm in ARMS))


def demos_order(demo: str) -> tuple:
    """`demo_2` before `demo_10`."""
    return tuple((int(part), "") if part.isdecimal() else (-1, part) for part in _NUMBER.split(demo))


def file_attributes(file: h5py.File) -> FileAttributes:
    """What `data`'s attributes say; raises `EpisodeRejected` for a rate that is none."""
    data = group_at(file, "data")
    arguments, broken = _json(data, "env_args")
    notes = ("env_args: no JSON, not looked at",) if broken else ()
    inner = arguments.get("env_kwargs")
    settings = {**arguments, **inner} if isinstance(inner, Mapping) else arguments
    return FileAttributes(
        control_hz=_rate(settings),
        control_delta=_control_delta(settings),
        robots=_robots(settings),
        instruction=_instruction(data, settings),
        notes=notes + _total_notes(data),
    )


def demos_of_split(file: h5py.File, split: str, demos: Sequence[str]) -> tuple[set[str], tuple[str, ...]]:
    """The demonstrations of the mask `split`, all where it is empty or the file has no masks; and notes."""
    masks = _masks(file)
    if not split or not masks:
        names = ", ".join(map(shown, masks[:10]))
        return set(demos), (f"mask: the file names {names}; ingest's split takes one of them",) if masks else ()
    if split not in masks:
        raise EpisodeRejected("mask", f"one of {', '.join(masks)} for ingest's split", split)
    path = f"mask/{split}"
    dataset = dataset_at(file, path)
    shape = shape_of(dataset, path)
    if len(shape) != 1 or shape[0] > MAX_MASK or dataset.dtype.kind not in "SO":
        raise EpisodeRejected(path, "a list of demonstrations' names", f"{dataset.dtype} {shape}")
    with hdf5_faults(path):
        values = dataset[...]
    names = {value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value) for value in values}
    absent = sorted(names - set(demos))
    if names and len(absent) == len(names):
        raise EpisodeRejected(path, "names of demonstrations in data", shown(absent[0]))
    return names, (f"{path}: {len(absent)} of {len(names)} demonstrations are not in data",) if absent else ()


def _masks(file: h5py.File) -> list[str]:
    with hdf5_faults("mask"):
        if "mask" not in file:
            return []
    group = group_at(file, "mask")
    with hdf5_faults("mask"):
        return sorted(str(name) for name in group)


def _total_notes(data: h5py.Group) -> tuple[str, ...]:
    """A note where `total` is not the sum of the demonstrations' steps, as filtering leaves it."""
    with hdf5_faults("total"):
        total = np.asarray(data.attrs.get("total", np.nan))
    if total.size != 1 or total.dtype.kind not in "iuf" or not np.isfinite(total).all():
        return ()
    steps = sum(_steps(data, str(name)) for name in data)
    declared = int(total.reshape(-1)[0])
    return () if declared == steps else (f"total: the file says {declared} steps, its demonstrations have {steps}",)


def _steps(data: h5py.Group, demo: str) -> int:
    """The rows of a demonstration's actions; 0 where it has none of its own."""
    try:
        shape = shape_of(dataset_at(data, f"{demo}/actions"), demo)
    except EpisodeRejected:
        return 0  # said when it is read
    return shape[0] if shape else 0


def _json(group: h5py.Group, name: str) -> tuple[dict, bool]:
    """The attribute `name` as a mapping, empty where it is none; and whether it is there and no mapping."""
    with hdf5_faults(name):
        if name not in group.attrs:
            return {}, False
        text = group.attrs[name]
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    if not isinstance(text, str):
        return {}, True
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return {}, True
    return (content, False) if isinstance(content, dict) else ({}, True)


def _rate(settings: Mapping) -> float | None:
    rate = settings.get("control_freq")
    if rate is None:
        return None
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 < rate <= 10_000:
        raise EpisodeRejected("env_args.control_freq", "a rate in Hz", shown(repr(rate)))
    return float(rate)


def _control_delta(settings: Mapping) -> bool | None:
    """robosuite 1.4's `control_delta`, 1.5's `input_type`, wherever the controllers' settings have them."""
    found: list[bool] = []
    waiting: list[object] = [settings.get("controller_configs"), settings.get("controller_config")]
    for _ in range(1000):
        if not waiting:
            break
        item = waiting.pop()
        if isinstance(item, Mapping):
            delta, kind = item.get("control_delta"), item.get("input_type")
            if isinstance(delta, bool):
                found.append(delta)
            elif kind in ("delta", "absolute"):
                found.append(kind == "delta")
            waiting += list(item.values())
        elif isinstance(item, list):
            waiting += item
    return None if not found else all(found)


def _robots(settings: Mapping) -> tuple[str, ...]:
    robots = settings.get("robots")
    names = [robots] if isinstance(robots, str) else robots
    return tuple(shown(name) for name in names if isinstance(name, str)) if isinstance(names, list) else ()


def _instruction(data: h5py.Group, settings: Mapping) -> str | None:
    """LIBERO's `problem_info`, or a `lang` of the environment."""
    problem, _ = _json(data, "problem_info")
    for words in (problem.get("language_instruction"), settings.get("lang"), settings.get("language_instruction")):
        words = words[0] if isinstance(words, list) and words else words
        if isinstance(words, str) and words.strip() and len(words) <= 1000:
            return words
    return None
