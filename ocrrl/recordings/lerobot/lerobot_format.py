"""Finds and reads episodes of foreign LeRobotDatasets by a declared mapping of keys."""

import os
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from ocrrl.episodes.episode_checks import EpisodeRejected, EpisodeRequirements, check_episode
from ocrrl.episodes.image_checks import check_images
from ocrrl.episodes.source_episode import Reading, SourceEpisode, refused
from ocrrl.interface.actions import CONTROL_HZ
from ocrrl.interface.tabletop_tasks import TabletopTask
from ocrrl.recordings.lerobot.dataset import ForeignDataset, open_dataset
from ocrrl.recordings.lerobot.dataset_files import DatasetFiles
from ocrrl.recordings.lerobot.lerobot_mapping import LeRobotMapping, episode_of
from ocrrl.recordings.lerobot.path_templates import INFO
from ocrrl.recordings.meaning.source_names import distinct_names


def outside_split(split: str, splits: Mapping[str, tuple[int, int]], numbers: Sequence[int]) -> dict[int, str]:
    """Why episodes of `numbers` (in order) are left out, by number; empty where no split is asked for or declared.

    A range counts episodes in their order; in a dataset whose numbers have gaps it is of numbers where it reaches
    beyond the count. Raises `EpisodeRejected` for a split that is not declared, covers no episode or shares some with
    another.
    """
    if not split or not splits or not numbers:
        return {}
    declared = ", ".join(f"{name} {start}:{stop}" for name, (start, stop) in splits.items())
    if split not in splits:
        required = f"one with {split} (or ask for another: ingest.<task>.split)"
        raise EpisodeRejected("splits", required, declared, INFO)
    by_number = max(stop for _, stop in splits.values()) > len(numbers) and numbers[-1] >= len(numbers)
    places = dict(zip(numbers, numbers if by_number else range(len(numbers)), strict=True))
    members = {
        name: {number for number, place in places.items() if start <= place < stop}
        for name, (start, stop) in splits.items()
    }
    if not members[split]:
        raise EpisodeRejected(f"splits.{split}", f"a range of the {len(numbers)} episodes", declared, INFO)
    for other in splits:
        if other != split and (shared := members[split] & members[other]):
            got = f"{declared} (episode {min(shared)} is in both)"
            raise EpisodeRejected("splits", f"without episodes in both {split} and {other}", got, INFO)
    start, stop = splits[split]
    return {number: f"not in split {split} ({start}:{stop})" for number in numbers if number not in members[split]}


_PARTS = ("meta", "data", "videos", "images")
"""The folders of a dataset, in which no other dataset is looked for."""


def lerobot_episodes(
    folder: Path, task: TabletopTask, mapping: LeRobotMapping, split: str = "", among: Sequence[Path] | None = None
) -> Iterator[SourceEpisode]:
    """Every episode of the dataset at `folder`, or of the datasets in the folders below it, or of those `among`, in order.

    `split`: of a dataset that declares splits, episodes outside it are left out. A dataset that cannot be used comes as
    one refused recording; what is wrong beside the episodes (a broken file, rows that nobody lists) as one each. Load
    the episodes in this order and in one process: then each file is read once.
    """
    roots = dict(_roots(folder))
    titles = [_title(root, folder) for root in roots]
    names = dict(zip(roots, distinct_names(titles), strict=True))
    for root in sorted(roots) if among is None else among:
        info, title = root / INFO, _title(root, folder)
        try:
            if fault := roots.get(root):
                raise fault
            dataset, left_out = _open(root, folder, mapping, split)
        except EpisodeRejected as reason:
            yield refused(title, info, _with_its_file(reason))
            continue
        for where, reason in dataset.faults.items():
            yield refused(f"{title}:{where}", info, reason if where == reason.file else _with_its_file(reason))
        for number in sorted(dataset.episodes):
            load = partial(_load, dataset, number, task, mapping)
            source = f"{names.get(root) or distinct_names([title])[0]}-episode_{number:06d}.h5"
            yield SourceEpisode(source, f"{title}:{number}", info, load, left_out.get(number, ""))


def _title(root: Path, folder: Path) -> str:
    return root.relative_to(folder).as_posix() if root != folder else folder.name


def _with_its_file(reason: EpisodeRejected) -> EpisodeRejected:
    """The same with the file as part of the field: a dataset's name does not say which of its files is meant."""
    if reason.file == "episode":
        return reason
    said = EpisodeRejected(f"{reason.file}: {reason.field}", reason.required, reason.got)
    said.__cause__ = reason
    return said


def _open(root: Path, folder: Path, mapping: LeRobotMapping, split: str) -> tuple[ForeignDataset, dict[int, str]]:
    files = DatasetFiles(root, folder)
    dataset = open_dataset(files, mapping.images, mapping.keys(), needs_task=mapping.instruction is None)
    if mapping.actions == "deltas" and dataset.info.fps != CONTROL_HZ:
        required = f"{CONTROL_HZ} for actions: deltas (or use from_poses)"
        raise EpisodeRejected("fps", required, f"{dataset.info.fps:g}", INFO)
    return dataset, outside_split(split, dataset.info.splits, sorted(dataset.episodes))


def _load(
    dataset: ForeignDataset, number: int, task: TabletopTask, mapping: LeRobotMapping, expected: EpisodeRequirements
) -> Reading:
    try:
        raw = dataset.read(number, expected)
    except EpisodeRejected as reason:
        raise _with_its_file(reason) from reason
    reading = episode_of(raw, task, mapping)
    episode = reading.episode
    check_episode(episode, expected)
    notes = check_images(episode.images, episode.gripper_pose, expected.still_cameras)
    return Reading(episode, tuple(dict.fromkeys((*raw.notes, *reading.notes, *notes))))


def _roots(folder: Path) -> list[tuple[Path, EpisodeRejected | None]]:
    """The datasets at and below `folder`, in order, and places that cannot be looked into."""
    found: list[tuple[Path, EpisodeRejected | None]] = []
    inside = Path(os.path.realpath(folder))

    def unreadable(error: OSError) -> None:
        path = Path(error.filename)
        found.append((path, EpisodeRejected("folder", "readable", f"{error.strerror}", path.name)))

    for place, names, others in os.walk(folder, onerror=unreadable):
        root = Path(place)
        if _is_dataset(root):
            found.append((root, None))
            names[:] = [name for name in names if name not in _PARTS]
            others = []
        for name in [name for name in (*names, *others) if (root / name).is_symlink()]:
            path = root / name
            if not path.exists():
                fault = EpisodeRejected("path", "readable", "a link that leads nowhere (copy with cp -rL)", name)
                found.append((path, fault))
            elif path.is_dir() and not Path(os.path.realpath(path)).is_relative_to(inside):
                got = "a link to a place outside it (copy what it points to: cp -rL)"
                found.append((path, EpisodeRejected("folder", f"inside {folder.name}", got, name)))
    return sorted(found, key=lambda item: item[0])


def _is_dataset(root: Path) -> bool:
    if (root / INFO).is_symlink() or (root / INFO).exists():
        return True
    return (root / "meta").is_dir() and any((root / part).exists() for part in _PARTS[1:])
