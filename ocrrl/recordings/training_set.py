"""`training_set`: writes demonstrations and successful rollouts as one LeRobotDataset for retraining."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ocrrl.config_builder import OPTIONAL
from ocrrl.datasets.lerobot_writer import image_shapes, write_lerobot_dataset
from ocrrl.datasets.sidecar import SidecarEpisode, Weights, describe_source
from ocrrl.episodes.episode_checks import EpisodeRejected, EpisodeRequirements
from ocrrl.episodes.episode_store import episode_files
from ocrrl.episodes.ingested import sha256_of
from ocrrl.episodes.validation import read_valid_episode
from ocrrl.interface.cameras import CameraSizes, require_cameras
from ocrrl.interface.cells import session_cell
from ocrrl.interface.episode import Episode
from ocrrl.interface.tabletop_tasks import TabletopTask
from ocrrl.recordings.reader import hash_of_rows

DEMONSTRATIONS = ("replayed", "all")
ROLLOUT_KINDS = ("rollout", "base_rollout")
FAILURES = ("left_out", "flagged")
FLAG = ", and fail"
"""What the instruction of a failed episode ends with."""
_OTHER_CAMERAS = (
    "`dvc repro` makes the twin's again; leave out a session's, or declare the cameras that it was recorded with"
)


@dataclass(frozen=True)
class TrainingSetConfig:
    """What may go into a training set."""

    cells: tuple[str, ...] = ()
    """The cells that may be mixed; none named: one cell only, whichever it is."""
    demonstrations: str = "replayed"
    """Which go in: `replayed`, those that replay kept, as the VLA before saw them, or `all` that ingest accepted."""
    max_rollouts: int | None = None
    """Take at most so many of the stage's rollouts, in the order of their names; None takes all. Sessions' are all taken."""
    intervention_weight: float = field(default=1.0, metadata=OPTIONAL)
    """How often a frame in which a person acted is trained on, a demonstration's being 1 (`datasets.sidecar.frame_weights`)."""
    recovery_weight: float = field(default=1.0, metadata=OPTIONAL)
    """How often a frame of base + residual after a handover is trained on (`rollout.handover`); those before it are not."""
    label_weight: float = field(default=1.0, metadata=OPTIONAL)
    """How often a frame with a label is trained on (`rollout.labelled`)."""
    label_steps: int = field(default=4, metadata=OPTIONAL)
    """Actions of a chunk that count, from such a frame on: as many as a residual is kept for (`datasets.sidecar.chunk_steps`)."""
    failures: str = field(default="left_out", metadata=OPTIONAL)
    """`flagged`: failed rollouts (`rollout.failures`) go in too, with another instruction (`FLAG`), which no cell ever asks for."""

    def __post_init__(self) -> None:
        if self.demonstrations not in DEMONSTRATIONS:
            raise ValueError(f"demonstrations must be one of {', '.join(DEMONSTRATIONS)}, got {self.demonstrations!r}")
        if self.max_rollouts is not None and self.max_rollouts < 0:
            raise ValueError(f"max_rollouts must be at least 0 or null, got {self.max_rollouts}")
        for name in ("intervention_weight", "recovery_weight", "label_weight"):
            if not 0 < getattr(self, name) <= 100:
                raise ValueError(f"{name} must be in (0, 100], got {getattr(self, name)}")
        if self.label_steps < 1:
            raise ValueError(f"label_steps must be at least 1, got {self.label_steps}")
        if self.failures not in FAILURES:
            raise ValueError(f"failures must be one of {', '.join(FAILURES)}, got {self.failures!r}")
        if len(set(self.cells)) != len(self.cells):
            raise ValueError(f"cells must be different names, got {', '.join(self.cells)}")

    def weights(self) -> Weights:
        """How often frames of each kind are trained on."""
        return Weights(self.intervention_weight, self.recovery_weight, self.label_weight, self.label_steps)


@dataclass(frozen=True)
class TrainingSetSummary:
    """How many demonstrations and rollouts a training set holds, and from which cells."""

    demonstrations: int
    rollouts: int
    cells: tuple[str, ...]


@dataclass(frozen=True)
class SessionRollouts:
    """The successful rollouts of a session in the cell `cell`, pairs of source name and episode file."""

    cell: str
    episodes: tuple[tuple[str, Path], ...]


def build_training_set(
    demonstrations: Sequence[tuple[str, Path]],
    rollouts: Sequence[tuple[str, Path]],
    out: Path,
    tabletop_task: TabletopTask,
    config: TrainingSetConfig,
    rollout_kind: str = "rollout",
    sessions: Sequence[SessionRollouts] = (),
    cameras: CameraSizes | None = None,
    labelled: Sequence[tuple[str, Path]] = (),
    failures: Sequence[tuple[str, Path]] = (),
) -> TrainingSetSummary:
    """Write `demonstrations`, then `rollouts` and those of `sessions`, as a LeRobotDataset v3 with sidecar at `out`.

    Last come the episodes `labelled` (`Episode.label`), which may have failed, and the `failures`, whose instruction says so.
    Episodes are pairs of source name and episode file (`episode_files`). The sidecar records each one's source name,
    hash and kind: `demonstration`, or `rollout_kind`. Raises `EpisodeRejected` (a ValueError) for a file that is no
    sound episode of `tabletop_task`, whose label is failure, or that is not of its session's cell, and ValueError for
    images of other cameras than `cameras`, where they are given, for cells that are mixed without being named, a source name
    given twice, or an episode given twice.
    """
    if rollout_kind not in ROLLOUT_KINDS:
        raise ValueError(f"rollout_kind must be one of {', '.join(ROLLOUT_KINDS)}, got {rollout_kind!r}")
    rollouts = sorted(rollouts)[: config.max_rollouts]
    chosen = [(*pair, "demonstration", None, True) for pair in demonstrations] + [
        (*pair, rollout_kind, None, True) for pair in rollouts
    ]
    recorded = [(*pair, rollout_kind, (session.cell,), True) for session in sessions for pair in session.episodes]
    chosen += sorted(recorded)
    chosen += [(*pair, rollout_kind, None, None) for pair in sorted(labelled)]
    chosen += [(*pair, rollout_kind, None, False) for pair in sorted(failures)]
    counts = Counter(chosen_one[0] for chosen_one in chosen)
    if repeated := sorted(source for source, count in counts.items() if count > 1):
        raise ValueError(f"source names must be different, got {', '.join(repeated)} more than once")
    described: dict[str, SidecarEpisode] = {}

    def episodes() -> Iterator[tuple[str, Episode]]:
        expected = EpisodeRequirements(tabletop_task=tabletop_task)
        sources: dict[str, str] = {}
        for source, path, kind, cells, success in chosen:
            try:
                episode = read_valid_episode(path, path.parent, replace(expected, cells=cells, success=success))
                if success is None and episode.label is None:
                    raise EpisodeRejected("label", "there in an episode of `rollout.labelled`", "nothing")
            except EpisodeRejected as rejected:
                raise rejected.of_file(source) from rejected.__cause__
            if cameras is not None:
                sizes = {camera: (shape[0], shape[1]) for camera, shape in image_shapes(episode).items()}
                require_cameras(sizes, cameras, source, _OTHER_CAMERAS)
            first = sources.setdefault(hash_of_rows(episode), source)
            if first != source:
                raise ValueError(f"episodes must be different, got {first} again as {source}")
            described[source] = describe_source(source, episode, kind, sha256_of(path), config.weights())
            _check_cells(described, config)
            if cameras is None:
                expected = replace(expected, image_shapes=image_shapes(episode))
            yield source, episode if success is not False else _flagged(episode)

    write_lerobot_dataset(episodes(), out, described)
    cells = tuple(sorted({entry.cell for entry in described.values()}))
    return TrainingSetSummary(len(demonstrations), len(chosen) - len(demonstrations), cells)


def session_rollouts(folder: Path, tabletop_task: TabletopTask) -> SessionRollouts:
    """The successful episodes of the session that `ocrrl rollout --cell` recorded in `folder`, with the names of `episode_files`.

    Raises ValueError for a folder that is no such session of `tabletop_task`, or whose successes are not those of its
    `session.json`.
    """
    try:
        session = dict(json.loads((folder / "session.json").read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise ValueError(
            f"rollouts of {tabletop_task.slug} must be folders of sessions, got {folder} without a session.json that can be "
            f"read; `ocrrl rollout {tabletop_task.slug} --cell CELL --session NAME` records one"
        ) from error
    cell = session_cell(str(session.get("cell"))).name
    for name, required in (("purpose", "rollout"), ("tabletop_task", tabletop_task.slug), ("session", folder.name)):
        if session.get(name) != required:
            raise ValueError(f"session {folder}: {name} must be {required!r}, got {session.get(name)!r}")
    if (place := folder.absolute().parts[-3:-1]) != (cell, tabletop_task.slug):
        raise ValueError(
            f"session {folder} must lie in {cell}/{tabletop_task.slug}, where it was recorded, got {'/'.join(place)}"
        )
    noted = {f"{folder.name}/{attempt['episode']}" for attempt in session.get("attempts", ()) if attempt["success"]}
    found = [pair for pair in episode_files(folder, folder.name) if pair[1].parent.name == "successes"]
    if different := sorted(noted.symmetric_difference(source for source, _ in found)):
        raise ValueError(
            f"session {folder}: successes must be those of its session.json, got {', '.join(different)} in one of them only; "
            f"restore the folder, `dvc checkout {folder}.dvc`"
        )
    return SessionRollouts(cell, tuple(found))


def _flagged(episode: Episode) -> Episode:
    """`episode` with an instruction that says that it failed."""
    attributes = episode.attributes
    return replace(episode, attributes=replace(attributes, instruction=attributes.instruction + FLAG))


def _check_cells(described: dict[str, SidecarEpisode], config: TrainingSetConfig) -> None:
    found = sorted({entry.cell for entry in described.values()})
    if config.cells and not set(found) <= set(config.cells):
        raise ValueError(f"cells must cover every episode's, got {', '.join(config.cells)} for {', '.join(found)}")
    if not config.cells and len(found) > 1:
        raise ValueError(f"cells must name the cells that may be mixed ({', '.join(found)}), got none")
