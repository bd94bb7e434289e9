"""`ingest`: checks recordings of any accepted format and writes the real LeRobotDataset with its sidecar.

What is refused is reported by name with the reason; the recordings themselves are never moved, changed or deleted.
"""

import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from ocrrl import files
from ocrrl.datasets.lerobot_writer import write_lerobot_dataset
from ocrrl.datasets.sidecar import SidecarEpisode, describe_source
from ocrrl.episodes.episode_store import write_episode
from ocrrl.episodes.ingested import sha256_of
from ocrrl.interface.episode import Episode
from ocrrl.interface.tabletop_tasks import TabletopTask
from ocrrl.layout import WORK
from ocrrl.recordings.expendable import UnforeseenLog
from ocrrl.recordings.ingest_config import IngestConfig
from ocrrl.recordings.read_all import Kept, read_all
from ocrrl.recordings.summary import IngestSummary, SummaryInProgress

_NOTHING = "no .h5, .hdf5 or LeRobotDataset; ocrrl ingest --check lists what is there"


def ingest(
    folder: Path,
    tabletop_task: TabletopTask,
    out_dataset: Path,
    out_normalised: Path,
    out_report: Path,
    config: IngestConfig,
    progress: Callable[[int, str], object] = lambda accepted, source: None,
    cameras: Mapping[str, tuple[int, int]] | None = None,
) -> IngestSummary:
    """Write the sound recordings under `folder` as a LeRobotDataset v3 with sidecar at `out_dataset`.

    `cameras` are those to take, (height, width) by name; with None images stay as recorded. Foreign formats are also written
    as episode files into `out_normalised`, so that replay has one door (`ingested_episodes`); of our own format those whose
    images are resized or left out. Raises ValueError, the report written, if nothing is accepted, and FileNotFoundError if
    `folder` is not there.
    """
    if not folder.is_dir():
        step = f"`dvc repro record@{tabletop_task.slug}` makes the twin's, `ocrrl params --episodes` names your own"
        raise FileNotFoundError(f"the folder of recordings must exist, got {folder}; {step}")
    work = files.fresh_folder(out_normalised.with_name(f".{out_normalised.name}.partial"))
    described: dict[str, SidecarEpisode] = {}
    origins: dict[str, str] = {}
    hashes: dict[Path, str] = {}
    summary = SummaryInProgress(tabletop_task, config)
    log = UnforeseenLog(WORK / "logs" / f"ingest-{tabletop_task.slug}.txt")

    def accepted() -> Iterator[tuple[str, Episode]]:
        for outcome in read_all(folder, tabletop_task, config, cameras, log):
            if isinstance(outcome, Kept):
                try:
                    if outcome.path not in hashes:  # a file may hold many episodes
                        hashes[outcome.path] = sha256_of(outcome.path)
                except OSError as error:
                    summary.refuse(outcome.origin, f"file must be one that can be read, got {error.strerror or error}")
                    continue
                source, episode = outcome.source, outcome.reading.episode
                described[source] = describe_source(source, episode, sha256=hashes[outcome.path])
                origins[source] = outcome.origin
                if config.source_format != "ocrrl" or outcome.reading.other_images:
                    write_episode(work / source, episode)
                summary.add(outcome)
                progress(len(described), source)
                yield source, episode
            else:
                summary.add(outcome)

    try:
        write_lerobot_dataset(accepted(), out_dataset, described)
    except ValueError as error:
        shutil.rmtree(work)
        if described:
            raise
        _write_report(out_report, described, origins, summary.done())
        reasons = "; ".join(f"{source}: {reason}" for source, reason in summary.done().shown_refusals())
        raise ValueError(
            f"ingest must accept at least one episode of {folder}, got none ({reasons or _NOTHING})"
        ) from error
    files.publish(work, out_normalised)
    _write_report(out_report, described, origins, summary.done())
    return summary.done()


def _write_report(
    path: Path, described: Mapping[str, SidecarEpisode], origins: Mapping[str, str], summary: IngestSummary
) -> None:
    """Notes, and what was left out, are in it where there are any."""
    content = {
        "source_format": summary.source_format,
        "counts": {"accepted": len(described), "rejected": len(summary.rejected)},
        "accepted": [
            {"source": source, "origin": origins[source], "sha256": entry.sha256, "length": entry.length}
            for source, entry in described.items()
        ],
        "rejected": [{"source": source, "reason": reason} for source, reason in sorted(summary.rejected.items())],
    }
    if summary.notes:
        content["notes"] = list(summary.notes)
    if summary.left_out:
        content["left_out"] = [{"source": name, "reason": reason} for name, reason in sorted(summary.left_out.items())]
    files.write_json(path, content)
