"""Checks a folder of recordings without writing: `ocrrl ingest --check FOLDER`."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from ocrrl.episodes.episode_checks import EpisodeRejected, EpisodeRequirements
from ocrrl.episodes.hdf5_access import hdf5_faults, open_hdf5
from ocrrl.episodes.image_fit import ImageFit
from ocrrl.episodes.validation import check_location
from ocrrl.interface.episode import Episode
from ocrrl.interface.tabletop_tasks import TabletopTask
from ocrrl.recordings.expendable import Expendable, ProcessEnded, UnforeseenError, UnforeseenLog
from ocrrl.recordings.folder import look_through, name_in
from ocrrl.recordings.ingest_config import IngestConfig
from ocrrl.recordings.lerobot.dataset_files import DatasetFiles
from ocrrl.recordings.lerobot.dataset_info import read_info
from ocrrl.recordings.meaning.foreign_mapping import UNKNOWN
from ocrrl.recordings.read_all import Kept, read_all
from ocrrl.recordings.reader import RecordingReader
from ocrrl.recordings.suggestion.dataset_fields import DatasetFields, lerobot_fields, robomimic_fields
from ocrrl.recordings.suggestion.suggest_mapping import Suggestion, correct, suggest_mapping
from ocrrl.recordings.summary import IngestSummary, SummaryInProgress


@dataclass(frozen=True)
class EpisodeSummary:
    """What a person looks at first."""

    origin: str
    steps: int
    seconds: float
    instruction: str
    operator: str
    cell: str
    success: bool
    cameras: dict[str, list[int]]
    """Height and width by name, as they go into the dataset."""
    ranges: dict[str, list[float]]
    """Least and greatest of each field, metres and radians."""
    objects: list[str]

    def lines(self) -> list[str]:
        """The summary as text."""
        cameras = ", ".join(f"{name} {height} x {width}" for name, (height, width) in self.cameras.items())
        rows = [
            f"one episode, {self.origin}: {self.steps} steps, {self.seconds:.1f} s, {'success' if self.success else 'failure'}",
            f"  instruction: {self.instruction}",
            f"  cell: {self.cell}; operator: {self.operator}; objects: {', '.join(self.objects) or 'no poses'}",
            f"  cameras: {cameras}",
        ]
        return rows + [f"  {name}: {low:.3f} to {high:.3f}" for name, (low, high) in self.ranges.items()]


def summary_of(origin: str, episode: Episode) -> EpisodeSummary:
    """The summary of a sound episode."""
    attributes = episode.attributes
    fields = {
        "gripper x [m]": episode.gripper_pose[:, 0],
        "gripper y [m]": episode.gripper_pose[:, 1],
        "gripper z [m]": episode.gripper_pose[:, 2],
        "gripper width [m]": episode.gripper_width,
        "joints [rad]": episode.joint_positions,
        "commanded opening": episode.action[:, 6],
        "translation step [m]": np.linalg.norm(episode.action[:, :3], axis=-1),
        "rotation step [rad]": np.linalg.norm(episode.action[:, 3:6], axis=-1),
    }
    if episode.object_poses is not None:
        for index, name in enumerate(attributes.object_names):
            fields[f"{name} z [m]"] = episode.object_poses[:, index, 2]
    return EpisodeSummary(
        origin=origin,
        steps=len(episode),
        seconds=len(episode) / attributes.control_hz,
        instruction=attributes.instruction,
        operator=attributes.operator,
        cell=attributes.cell,
        success=attributes.success,
        cameras={name: [int(n) for n in frames.shape[1:3]] for name, frames in sorted(episode.images.items())},
        ranges={name: [float(values.min()), float(values.max())] for name, values in fields.items()},
        objects=list(attributes.object_names),
    )


MAX_BYTES = 2 * 10**9
EXPLORE_SECONDS = 60.0  # of processor time for one container
MAX_TRIED = 5  # containers, of which the first may be the broken ones
MAX_READ = 5  # recordings of which one must be read for a mapping to be corrected by it


@dataclass
class FolderKinds:
    """What the containers of a folder are."""

    containers: dict[Path, tuple[str, str, str]] = field(default_factory=dict)
    """Source format, what it is called, and the tabletop task that it names."""
    refused: dict[Path, str] = field(default_factory=dict)

    @property
    def counts(self) -> dict[str, int]:
        """How many containers of each kind."""
        return dict(Counter(kind for _, kind, _ in self.containers.values()).most_common())

    @property
    def source_format(self) -> str | None:
        """The format that most containers have; None where there is nothing."""
        formats = Counter(source for source, _, _ in self.containers.values()).most_common()
        datasets = any(container.is_dir() for container in self.refused)
        return formats[0][0] if formats else "lerobot" if datasets else None

    @property
    def tabletop_task(self) -> str | None:
        """The task that most files of our format name."""
        tasks = Counter(task for _, _, task in self.containers.values() if task).most_common()
        return tasks[0][0] if tasks else None


@dataclass(frozen=True)
class FolderCheck:
    """What was found."""

    folder: Path
    task: TabletopTask
    kinds: FolderKinds
    config: IngestConfig | None
    """With which the recordings were read; None where there was no mapping to read them with."""
    summary: IngestSummary
    episode: EpisodeSummary | None = None
    """Of the first one accepted."""
    fields: DatasetFields | None = None
    suggestion: Suggestion | None = None
    unreadable: str = ""
    """Why no recording can be read with the suggested mapping."""

    @property
    def exit_code(self) -> int:
        """0 if all is readable."""
        return int(bool(self.summary.rejected) or not self.summary.accepted)


class FolderExplorer:
    """Looks into single recordings of `folder` without a mapping; runs in the child process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def kind(self, container: Path) -> tuple[str, str, str]:
        """Source format, what the container is called, and the tabletop task that it names (our format's only).

        Raises `EpisodeRejected` for what cannot be opened or is none of them.
        """
        if container.is_dir():
            info = read_info(DatasetFiles(container, self._folder), ())
            return "lerobot", f"LeRobotDataset v{'2.1' if info.major == 2 else info.major}", ""
        check_location(container, self._folder)
        with open_hdf5(container) as file, hdf5_faults("file"):
            if "data" in file:
                return "robomimic", "robomimic HDF5", ""
            if ("action" in file and "observations" not in file) or "format_version" in file.attrs:
                return "ocrrl", "ocrrl HDF5", str(file.attrs.get("tabletop_task", ""))
            members = ", ".join(sorted(str(name) for name in file)[:8])
        raise EpisodeRejected("file", "of our format (action, images, ...) or robomimic's (data)", members or "nothing")

    def suggest(
        self, container: Path, task: TabletopTask, cameras: Mapping[str, tuple[int, int]]
    ) -> tuple[DatasetFields, Suggestion, str]:
        """The fields of the container's first recording, a mapping, and why no recording can be read with it (empty: one can)."""
        lerobot = container.is_dir()
        fields = lerobot_fields(container, self._folder) if lerobot else robomimic_fields(container)
        suggestion = suggest_mapping(fields, task, cameras)
        images = {name: size for name, size in cameras.items() if suggestion.images().get(name) != UNKNOWN}
        expected = EpisodeRequirements(tabletop_task=task, images=ImageFit(images))

        def attempt(mapping: Mapping[str, object]) -> EpisodeRejected | None:
            refusal: EpisodeRejected | None = None
            try:
                reader = RecordingReader(self._folder, task, fields.source_format, mapping, "")
                found = reader.find(container)
            except EpisodeRejected as reason:
                return reason
            except ValueError as error:  # the mapping's own
                return EpisodeRejected("mapping", "one that ingest takes", str(error))
            for recording in found[:MAX_READ]:
                try:
                    reader.read(container, recording.index, expected)
                    return None
                except EpisodeRejected as reason:
                    refusal = refusal or reason
            return refusal

        refusal = correct(suggestion, attempt)
        return fields, suggestion, "" if refusal is None else refusal.reason


def kinds_in(folder: Path, only: Path | None = None) -> FolderKinds:
    """What the recordings of `folder` are, or `only` that one of them; raises FileNotFoundError if it is not there."""
    contents = look_through(folder, lerobot=False)
    kinds = FolderKinds()
    with Expendable(FolderExplorer, folder, max_bytes=MAX_BYTES) as process:
        for container in sorted([*contents.recordings, *contents.others]):
            if only not in (None, container):
                continue
            try:
                kinds.containers[container] = process.call("kind", container, cpu_seconds=EXPLORE_SECONDS)
            except (EpisodeRejected, ProcessEnded, UnforeseenError) as error:
                kinds.refused[container] = _said(error)
    return kinds


def suggest_for(
    folder: Path, kinds: FolderKinds, task: TabletopTask, cameras: Mapping[str, tuple[int, int]], log: UnforeseenLog
) -> tuple[DatasetFields | None, Suggestion | None, str]:
    """A mapping for the folder's first container that can be read with it, else for the first that can be explored.

    The text says why none can be read, or explored.
    """
    reasons: list[str] = []
    best: tuple[DatasetFields | None, Suggestion | None, str] | None = None
    tried = 0
    with Expendable(FolderExplorer, folder, max_bytes=MAX_BYTES) as process:
        for container, (source, _, _) in kinds.containers.items():
            if source != kinds.source_format or tried == MAX_TRIED:
                continue
            tried += 1
            try:
                found = process.call("suggest", container, task, cameras, cpu_seconds=EXPLORE_SECONDS)
                if not found[2]:
                    return found
                best = best or found
            except (EpisodeRejected, ProcessEnded) as error:
                reasons.append(f"{name_in(container, folder)}: {_said(error)}")
            except UnforeseenError as error:
                reasons.append(f"{name_in(container, folder)}: {log.note(name_in(container, folder), error)}")
    return best or (None, None, "; ".join(reasons[:3]))


def _said(error: Exception) -> str:
    """What a report says of `error`; a refusal that names a file within a dataset keeps it."""
    if not isinstance(error, EpisodeRejected):
        return f"reading it {error}"
    return error.reason if error.file == "episode" else f"{error.file}: {error.reason}"


def check_folder(
    folder: Path,
    task: TabletopTask,
    declared: IngestConfig,
    cameras: Mapping[str, tuple[int, int]],
    log: UnforeseenLog,
    kinds: FolderKinds | None = None,
) -> FolderCheck:
    """Read every recording of `folder` as `ingest` would, with the mapping of `declared` where that is of the format found.

    A folder of a foreign format without a mapping is read with a suggested one. Nothing is written but the log of a bug.
    """
    kinds = kinds or kinds_in(folder)
    found = kinds.source_format
    fields, suggestion, unreadable = None, None, ""
    config: IngestConfig | None = declared
    if found is not None and found != declared.source_format:
        config = replace(declared, source_format="ocrrl", mapping={})
        if found != "ocrrl":
            fields, suggestion, unreadable = suggest_for(folder, kinds, task, cameras, log)
            config = _with_suggestion(config, found, suggestion)
    summary = SummaryInProgress(task, config or declared)
    episode: EpisodeSummary | None = None
    if config is not None:
        for outcome in read_all(folder, task, config, cameras, log):
            if isinstance(outcome, Kept) and episode is None:
                episode = summary_of(outcome.origin, outcome.reading.episode)
            summary.add(outcome)
    else:
        for container in kinds.containers:
            reason = unreadable or "mapping must be declared to read it, got none (below is what can be suggested)"
            summary.refuse(name_in(container, folder), reason)
    for container, reason in kinds.refused.items():
        summary.refuse(name_in(container, folder), reason)
    return FolderCheck(folder, task, kinds, config, summary.done(), episode, fields, suggestion, unreadable)


def _with_suggestion(config: IngestConfig, source_format: str, suggestion: Suggestion | None) -> IngestConfig | None:
    """The configuration with the suggested mapping; None where that has open questions, or is none that ingest takes."""
    if suggestion is None or not suggestion.is_complete:
        return None
    try:
        return replace(config, source_format=source_format, mapping=suggestion.trial())
    except ValueError:
        return None
