"""`ingest`: recordings of any accepted format, checked one by one, become the real LeRobotDataset with its sidecar.

What is refused is reported by name with the reason; the recordings themselves are never moved, changed or deleted.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from ocrrl import files
from ocrrl.datasets.episode import Episode
from ocrrl.datasets.episode_checks import EpisodeRejected, EpisodeRequirements
from ocrrl.datasets.episode_store import episode_paths, read_episode, write_episode
from ocrrl.datasets.foreign.lerobot_format import lerobot_episodes
from ocrrl.datasets.foreign.lerobot_mapping import LeRobotMapping
from ocrrl.datasets.foreign.robomimic_format import robomimic_episodes
from ocrrl.datasets.foreign.robomimic_mapping import RobomimicMapping
from ocrrl.datasets.foreign.source_episode import Reading, SourceEpisode
from ocrrl.datasets.lerobot_writer import image_shapes, write_lerobot_dataset
from ocrrl.datasets.sidecar import SidecarEpisode, describe_source
from ocrrl.datasets.validation import read_valid_episode
from ocrrl.interface.tabletop_tasks import TabletopTask

SOURCE_FORMATS = ("ocrrl", "robomimic", "lerobot")
ON_REJECTED = ("fail", "warn")


@dataclass(frozen=True)
class IngestConfig:
    """Which recordings to take, and what to make of the refused ones."""

    source_format: str = "ocrrl"
    on_rejected: str = "fail"
    """`fail`: the good ones are kept and the exit code is not zero; `warn`: the exit code is zero."""
    require_success: bool = True
    """Refuse recordings whose label is failure."""
    cells: tuple[str, ...] = ()
    """The cells that may be mixed; none named: all must come from the first accepted one's."""
    mapping: Mapping[str, object] = field(default_factory=dict)
    """Where the fields are in a foreign format: `RobomimicMapping` or `LeRobotMapping`."""

    def __post_init__(self) -> None:
        if self.source_format not in SOURCE_FORMATS:
            raise ValueError(f"source_format must be one of {', '.join(SOURCE_FORMATS)}, got {self.source_format!r}")
        if self.on_rejected not in ON_REJECTED:
            raise ValueError(f"on_rejected must be one of {', '.join(ON_REJECTED)}, got {self.on_rejected!r}")
        if self.source_format == "ocrrl" and self.mapping:
            raise ValueError(f"mapping must be empty for source_format ocrrl, got {', '.join(sorted(self.mapping))}")
        if self.source_format == "robomimic":
            RobomimicMapping.from_params(self.mapping)
        if self.source_format == "lerobot":
            LeRobotMapping.from_params(self.mapping)


@dataclass(frozen=True)
class IngestSummary:
    """The sources accepted, and the refused ones with the reason."""

    accepted: tuple[str, ...]
    rejected: dict[str, str]
    on_rejected: str

    @property
    def exit_code(self) -> int:
        """What the command ends with: 1 if anything was refused and `on_rejected` is `fail`."""
        return int(bool(self.rejected) and self.on_rejected == "fail")

    def describe(self) -> str:
        """The counts, and a line for each refused recording."""
        lines = [f"{len(self.accepted)} episodes accepted, {len(self.rejected)} rejected"]
        return "\n".join(lines + [f"  {source}: {reason}" for source, reason in sorted(self.rejected.items())])


def ingest(
    folder: Path,
    tabletop_task: TabletopTask,
    out_dataset: Path,
    out_normalised: Path,
    out_report: Path,
    config: IngestConfig,
    progress: Callable[[int, str], object] = lambda accepted, source: None,
) -> IngestSummary:
    """Write the sound recordings under `folder` as a LeRobotDataset v3 with sidecar at `out_dataset`.

    Foreign formats are also written as episode files into `out_normalised`, so that replay has one door
    (`ingested_episodes`); for our own format that folder stays empty. Raises ValueError, the report written, if nothing
    is accepted, and FileNotFoundError if `folder` is not there.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"the folder of recordings must exist, got {folder}")
    work = out_normalised.with_name(f".{out_normalised.name}.partial")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    described: dict[str, SidecarEpisode] = {}
    origins: dict[str, str] = {}
    rejected: dict[str, str] = {}

    def accepted() -> Iterator[tuple[str, Episode]]:
        expected = EpisodeRequirements(tabletop_task=tabletop_task, success=config.require_success or None)
        if config.cells:
            expected = replace(expected, cells=config.cells)
        for recording in _recordings(folder, tabletop_task, config):
            try:
                episode = recording.load(expected).episode
            except EpisodeRejected as refused:
                rejected[recording.origin] = refused.reason
                continue
            expected = replace(
                expected, image_shapes=image_shapes(episode), cells=expected.cells or (episode.attributes.cell,)
            )
            described[recording.source] = describe_source(recording.source, episode, sha256=sha256_of(recording.path))
            origins[recording.source] = recording.origin
            if config.source_format != "ocrrl":
                write_episode(work / recording.source, episode)
            progress(len(described), recording.source)
            yield recording.source, episode

    try:
        write_lerobot_dataset(accepted(), out_dataset, described)
    except ValueError as error:
        shutil.rmtree(work)
        if described:
            raise
        _write_report(out_report, described, origins, rejected, config)
        reasons = "; ".join(f"{source}: {reason}" for source, reason in sorted(rejected.items())) or "no recordings"
        raise ValueError(f"ingest must accept at least one episode of {folder}, got none ({reasons})") from error
    files.publish(work, out_normalised)
    _write_report(out_report, described, origins, rejected, config)
    return IngestSummary(tuple(described), rejected, config.on_rejected)


def ingested_episodes(folder: Path, normalised: Path, report: Path) -> Iterator[tuple[str, Episode]]:
    """The accepted recordings without images, pairs of source name and episode; raises as `ingested_files`."""
    for source, path in ingested_files(folder, normalised, report):
        yield source, read_episode(path, with_images=False)


def ingested_files(folder: Path, normalised: Path, report: Path) -> Iterator[tuple[str, Path]]:
    """The accepted recordings, pairs of source name and file: in `folder`, or in `normalised` for a foreign format.

    Raises ValueError if a recording is no longer the file that was accepted.
    """
    content = json.loads(report.read_text())
    own = content["source_format"] == "ocrrl"
    for entry in content["accepted"]:
        path = (folder if own else normalised) / entry["source"]
        if own and sha256_of(path) != entry["sha256"]:
            raise ValueError(f"{entry['source']}: the file must be the one that was ingested, got other contents")
        yield entry["source"], path


def _recordings(folder: Path, tabletop_task: TabletopTask, config: IngestConfig) -> Iterator[SourceEpisode]:
    if config.source_format == "robomimic":
        yield from robomimic_episodes(folder, tabletop_task, RobomimicMapping.from_params(config.mapping))
    elif config.source_format == "lerobot":
        yield from lerobot_episodes(folder, tabletop_task, LeRobotMapping.from_params(config.mapping))
    else:
        for path in episode_paths(folder):
            name = path.relative_to(folder).as_posix()
            yield SourceEpisode(name, name, path, partial(_read_own, path, folder))


def _read_own(path: Path, folder: Path, expected: EpisodeRequirements) -> Reading:
    return Reading(read_valid_episode(path, folder, expected))


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's contents, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_report(
    path: Path,
    described: Mapping[str, SidecarEpisode],
    origins: Mapping[str, str],
    rejected: Mapping[str, str],
    config: IngestConfig,
) -> None:
    files.write_json(
        path,
        {
            "source_format": config.source_format,
            "counts": {"accepted": len(described), "rejected": len(rejected)},
            "accepted": [
                {"source": source, "origin": origins[source], "sha256": entry.sha256, "length": entry.length}
                for source, entry in described.items()
            ],
            "rejected": [{"source": source, "reason": reason} for source, reason in sorted(rejected.items())],
        },
    )
