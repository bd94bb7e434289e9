"""`training_set`: demonstrations and successful rollouts as the one LeRobotDataset that a VLA is retrained on."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ocrrl.datasets.episode import Episode
from ocrrl.datasets.episode_checks import EpisodeRejected, EpisodeRequirements
from ocrrl.datasets.episode_store import episode_paths
from ocrrl.datasets.ingest import sha256_of
from ocrrl.datasets.lerobot_writer import image_shapes, write_lerobot_dataset
from ocrrl.datasets.sidecar import SidecarEpisode, describe_source
from ocrrl.datasets.validation import read_valid_episode
from ocrrl.interface.tabletop_tasks import TabletopTask

DEMONSTRATIONS = ("replayed", "all")
ROLLOUT_KINDS = ("rollout", "base_rollout")


@dataclass(frozen=True)
class TrainingSetConfig:
    """What may go into a training set."""

    cells: tuple[str, ...] = ()
    """The cells that may be mixed; none named: one cell only, whichever it is."""
    demonstrations: str = "replayed"
    """Which go in: `replayed`, those that replay kept, as the VLA before saw them, or `all` that ingest accepted."""
    max_rollouts: int | None = None
    """Take at most so many rollouts, in the order of their names; None takes all."""

    def __post_init__(self) -> None:
        if self.demonstrations not in DEMONSTRATIONS:
            raise ValueError(f"demonstrations must be one of {', '.join(DEMONSTRATIONS)}, got {self.demonstrations!r}")
        if self.max_rollouts is not None and self.max_rollouts < 0:
            raise ValueError(f"max_rollouts must be at least 0 or null, got {self.max_rollouts}")
        if len(set(self.cells)) != len(self.cells):
            raise ValueError(f"cells must be different names, got {', '.join(self.cells)}")


@dataclass(frozen=True)
class TrainingSetSummary:
    """How many demonstrations and rollouts a training set holds, and from which cells."""

    demonstrations: int
    rollouts: int
    cells: tuple[str, ...]


def build_training_set(
    demonstrations: Sequence[tuple[str, Path]],
    rollouts: Sequence[tuple[str, Path]],
    out: Path,
    tabletop_task: TabletopTask,
    config: TrainingSetConfig,
    rollout_kind: str = "rollout",
) -> TrainingSetSummary:
    """Write `demonstrations`, then `rollouts`, as a LeRobotDataset v3 with sidecar at `out`.

    Both are pairs of source name and episode file (`episode_files`). The sidecar records each episode's source name,
    hash and kind: `demonstration`, or `rollout_kind`. Raises `EpisodeRejected` (a ValueError) for a file that is no
    sound episode of `tabletop_task` or whose label is failure, and ValueError for cells that are mixed without being
    named, or a source name given twice.
    """
    if rollout_kind not in ROLLOUT_KINDS:
        raise ValueError(f"rollout_kind must be one of {', '.join(ROLLOUT_KINDS)}, got {rollout_kind!r}")
    rollouts = sorted(rollouts)[: config.max_rollouts]
    chosen = [(*pair, "demonstration") for pair in demonstrations] + [(*pair, rollout_kind) for pair in rollouts]
    counts = Counter(source for source, _, _ in chosen)
    if repeated := sorted(source for source, count in counts.items() if count > 1):
        raise ValueError(f"source names must be different, got {', '.join(repeated)} more than once")
    described: dict[str, SidecarEpisode] = {}

    def episodes() -> Iterator[tuple[str, Episode]]:
        expected = EpisodeRequirements(tabletop_task=tabletop_task, success=True)
        for source, path, kind in chosen:
            try:
                episode = read_valid_episode(path, path.parent, expected)
            except EpisodeRejected as rejected:
                raise rejected.of_file(source) from rejected.__cause__
            described[source] = describe_source(source, episode, kind=kind, sha256=sha256_of(path))
            _check_cells(described, config)
            expected = replace(expected, image_shapes=image_shapes(episode))
            yield source, episode

    write_lerobot_dataset(episodes(), out, described)
    cells = tuple(sorted({entry.cell for entry in described.values()}))
    return TrainingSetSummary(len(demonstrations), len(rollouts), cells)


def episode_files(folder: Path, name: str) -> list[tuple[str, Path]]:
    """The episode files under `folder`, sorted, with the source name `<name>/<file>` that tells folders apart."""
    return [(f"{name}/{path.relative_to(folder).as_posix()}", path) for path in episode_paths(folder)]


def _check_cells(described: dict[str, SidecarEpisode], config: TrainingSetConfig) -> None:
    found = sorted({entry.cell for entry in described.values()})
    if config.cells and not set(found) <= set(config.cells):
        raise ValueError(f"cells must cover every episode's, got {', '.join(config.cells)} for {', '.join(found)}")
    if not config.cells and len(found) > 1:
        raise ValueError(f"cells must name the cells that may be mixed ({', '.join(found)}), got none")
