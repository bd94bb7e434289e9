"""Lists and reads the episodes of a foreign LeRobotDataset by a declared mapping of keys."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from ocrrl.episodes.episode_checks import EpisodeRejected, EpisodeRequirements
from ocrrl.episodes.source_episode import Reading, SourceEpisode, refused
from ocrrl.interface.actions import CONTROL_HZ
from ocrrl.interface.tabletop_tasks import TabletopTask
from ocrrl.recordings.folder import distinct_names, look_through, name_in
from ocrrl.recordings.lerobot.dataset import ForeignDataset, open_dataset
from ocrrl.recordings.lerobot.dataset_files import DatasetFiles
from ocrrl.recordings.lerobot.dataset_info import INFO
from ocrrl.recordings.lerobot.lerobot_mapping import LeRobotMapping
from ocrrl.recordings.meaning.episode_meaning import checked_reading


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


def lerobot_episodes(
    root: Path, folder: Path, task: TabletopTask, mapping: LeRobotMapping, split: str = ""
) -> Iterator[SourceEpisode]:
    """Every episode of the dataset at `root`, which is `folder` or below, in order; of a declared `split` the others are left out.

    A dataset that cannot be used comes as one refused recording; what is wrong beside the episodes (a broken file, rows that
    nobody lists) as one each. Load the episodes in this order and in one process: then each file is read once.
    """
    info, title = root / INFO, name_in(root, folder)
    roots = sorted({root, *look_through(folder, lerobot=True).recordings})
    name = dict(zip(roots, distinct_names([name_in(each, folder) for each in roots]), strict=True))[root]
    try:
        dataset, left_out = _open(root, folder, mapping, split)
    except EpisodeRejected as reason:
        yield refused(title, info, _with_its_file(reason))
        return
    for where, reason in dataset.faults.items():
        yield refused(f"{title}:{where}", info, reason if where == reason.file else _with_its_file(reason))
    for number in sorted(dataset.episodes):
        load = partial(_load, dataset, number, task, mapping)
        yield SourceEpisode(
            f"{name}-episode_{number:06d}.h5", f"{title}:{number}", info, load, left_out.get(number, "")
        )


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
    return checked_reading(raw, task, mapping, expected)
