"""`replay`: runs recorded actions open-loop in the training simulator, from the recorded initial object poses.

Legend: n episodes side by side, T steps of an episode, O tracked objects.
"""

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float

from ocrrl import files
from ocrrl.config_builder import OPTIONAL, values_of
from ocrrl.datasets.lerobot_writer import write_lerobot_dataset
from ocrrl.datasets.transitions import ReplayEpisode, write_replay_transitions
from ocrrl.episodes.episode_recorder import EpisodeRecorder
from ocrrl.interface.episode import Episode
from ocrrl.interface.observations import Observation
from ocrrl.interface.protocols import PlaceableEnvironment
from ocrrl.replay.recording import (
    FOLLOWED,
    followed_actions,
    initial_object_poses,
    shifted_poses,
    why_not_replayable,
)
from ocrrl.replay.replay_quality import ReplayQuality, replay_quality

SETTLING_STEPS = 5
"""Steps allowed after the last action beyond the task's `success_hold`."""


@dataclass(frozen=True)
class ReplayConfig:
    """What a replay must fulfil to be kept; lengths in metres."""

    require_success: bool = True
    max_gripper_error: float = 0.03
    """Median over the episode."""
    max_object_error: float = 0.03
    """Median over the episode's confident poses."""
    max_slip: float = 0.03
    """Of a lifted object in the gripper."""
    follow: str = field(default="actions", metadata=OPTIONAL)
    """`actions`: what was asked for; `commands`: the steps of the commanded pose, shorter where an arm that lagged held it back."""
    tries: int = field(default=1, metadata=OPTIONAL)
    """How often an episode is replayed until it is kept: from the recorded poses first, then from others within the errors."""
    position_error: float = field(default=0.004, metadata=OPTIONAL)
    """Of the tracker, along an axis of the table [m]."""
    heading_error: float = field(default=0.07, metadata=OPTIONAL)
    """Of the tracker, about the vertical [rad]."""

    def __post_init__(self) -> None:
        for name in ("max_gripper_error", "max_object_error", "max_slip"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0 m, got {getattr(self, name)}")
        if self.follow not in FOLLOWED:
            raise ValueError(f"follow must be one of {', '.join(FOLLOWED)}, got {self.follow!r}")
        if self.tries < 1:
            raise ValueError(f"tries must be at least 1, got {self.tries}")
        for name, most in (("position_error", 0.05), ("heading_error", 0.5)):
            if not 0 <= getattr(self, name) <= most:
                raise ValueError(f"{name} must be in [0, {most}], got {getattr(self, name)}")


@dataclass(frozen=True)
class Replay:
    """A recording's actions as they went in the training simulator."""

    recorded: Episode
    replayed: Episode
    transitions: ReplayEpisode
    quality: ReplayQuality
    dropped: str | None
    """The requirement that it missed; None where it is kept."""
    tries: int = 1


@dataclass(frozen=True)
class ReplaySummary:
    """The sources kept, and the dropped ones with the reason."""

    kept: tuple[str, ...]
    dropped: dict[str, str]


def replay_episodes(
    episodes: Sequence[tuple[str, Episode]],
    environment: PlaceableEnvironment,
    out_dataset: Path,
    out_transitions: Path,
    out_accepted: Path,
    out_report: Path,
    config: ReplayConfig,
    progress: Callable[[int, int], object] = lambda done, total: None,
    labelled: Sequence[tuple[str, Episode]] = (),
) -> ReplaySummary:
    """Replay `episodes`, pairs of source name and episode, `environment.num_envs` side by side.

    Writes the sim LeRobotDataset and the transitions (Zarr) of the episodes that pass `config`, a JSON list of their source
    names, and a JSON report with every episode's quality and every dropped one's reason; an episode without object poses is
    dropped by name. Episodes `labelled` (`Episode.label`), of the VLA alone, are held to `config` but for their success; those
    that pass are in the dataset only, with their labels. Raises ValueError, the report written, if none of `episodes` is kept.
    """
    dropped = {source: reason for source, episode in episodes if (reason := why_not_replayable(episode))}
    replayable = [(source, episode) for source, episode in episodes if source not in dropped]
    kept: list[tuple[Episode, ReplayEpisode]] = []
    qualities: list[ReplayQuality] = []
    tries: dict[str, int] = {}
    for replay in replays(replayable, environment, config, progress):
        qualities.append(replay.quality)
        tries[replay.transitions.source] = replay.tries
        if replay.dropped is None:
            kept.append((_paired(replay.replayed, replay.recorded), replay.transitions))
        else:
            dropped[replay.transitions.source] = replay.dropped
    states = [pair for pair in labelled if why_not_replayable(pair[1]) is None]
    beside = [
        (replay.transitions.source, _paired(replay.replayed, replay.recorded))
        for replay in replays(states, environment, replace(config, require_success=False))
        if replay.dropped is None
    ]
    summary = ReplaySummary(tuple(transitions.source for _, transitions in kept), dropped)
    files.write_json(
        out_report,
        {
            "tabletop_task": environment.tabletop_task.slug,
            "counts": {
                "episodes": len(episodes),
                "replayed": len(qualities),
                "successes": sum(quality.success for quality in qualities),
                "kept": len(summary.kept),
                "dropped": len(dropped),
            },
            "dropped": [{"source": source, "reason": reason} for source, reason in sorted(dropped.items())],
            "quality": [asdict(quality) for quality in qualities],
            "config": values_of(config),
            **({"tries": tries} if config.tries > 1 else {}),
            **({"labelled": {"episodes": len(labelled), "kept": len(beside)}} if labelled else {}),
        },
    )
    files.write_json(out_accepted, list(summary.kept))
    if not kept:
        reasons = "; ".join(f"{source}: {reason}" for source, reason in sorted(dropped.items()))
        raise ValueError(f"replay must keep at least one episode, got none of {len(episodes)} ({reasons})")
    write_lerobot_dataset([*((transitions.source, replayed) for replayed, transitions in kept), *beside], out_dataset)
    write_replay_transitions(out_transitions, [transitions for _, transitions in kept])
    return summary


def replays(
    episodes: Sequence[tuple[str, Episode]],
    environment: PlaceableEnvironment,
    config: ReplayConfig,
    progress: Callable[[int, int], object] = lambda done, total: None,
) -> Iterator[Replay]:
    """Every one of `episodes`, pairs of source name and replayable episode, replayed and held to `config`, in their order."""
    for start in range(0, len(episodes), environment.num_envs):
        batch = episodes[start : start + environment.num_envs]
        done: dict[str, Replay] = {}
        for number in range(config.tries):
            missing = [pair for pair in batch if pair[0] not in done or done[pair[0]].dropped is not None]
            for replay in _one_try(missing, environment, config, number):
                if replay.dropped is None or number == 0:
                    done[replay.quality.source] = replay
        yield from (done[source] for source, _ in batch)
        progress(min(start + environment.num_envs, len(episodes)), len(episodes))


def why_dropped(quality: ReplayQuality, config: ReplayConfig) -> str | None:
    """The first requirement that a replay missed, or None."""
    if config.require_success and not quality.success:
        return "replay must end in success, got failure"
    for name, value, limit in (
        ("median gripper error", quality.gripper_error_median, config.max_gripper_error),
        ("median object error", quality.object_error_median, config.max_object_error),
        ("slip", quality.slip, config.max_slip),
    ):
        if value is not None and value > limit:
            return f"{name} must be at most {limit:g} m, got {value:.4f}"
    return None


def _one_try(
    batch: Sequence[tuple[str, Episode]], environment: PlaceableEnvironment, config: ReplayConfig, number: int
) -> Iterator[Replay]:
    """The episodes of `batch` from their recorded initial poses, or in try `number` from others near by."""
    poses = [initial_object_poses(episode) for _, episode in batch]
    if number:
        generators = [np.random.default_rng([number, zlib.crc32(source.encode())]) for source, _ in batch]
        poses = [
            shifted_poses(pose, config.position_error, config.heading_error, generator)
            for pose, generator in zip(poses, generators, strict=True)
        ]
    actions = [followed_actions(episode, config.follow) for _, episode in batch]
    replayed = _replay_batch(batch, environment, poses, actions) if batch else []
    for (source, recorded), (episode, transitions) in zip(batch, replayed, strict=True):
        quality = replay_quality(source, recorded, episode)
        yield Replay(recorded, episode, transitions, quality, why_dropped(quality, config), number + 1)


def _replay_batch(
    batch: Sequence[tuple[str, Episode]],
    environment: PlaceableEnvironment,
    initial_poses: Sequence[Float[np.ndarray, "O 7"]],
    followed: Sequence[Float[np.ndarray, "_ 7"]],
) -> list[tuple[Episode, ReplayEpisode]]:
    recorded = [episode for _, episode in batch]
    settling = environment.tabletop_task.success_hold + SETTLING_STEPS
    recorder = EpisodeRecorder(len(batch))
    rewards: list[list[float]] = [[] for _ in batch]
    finals: dict[int, Observation] = {}
    succeeded = np.zeros(len(batch), bool)
    ids = np.arange(len(batch))
    environment.reset_to(
        ids,
        np.stack([episode.joint_positions[0] for episode in recorded]),
        np.array([episode.gripper_width[0] for episode in recorded]),
        np.stack(initial_poses),
    )
    recorder.begin(ids)
    observation = environment.observe()
    while len(ids):
        actions = np.stack([_action_at(followed[env], recorder.length(env)) for env in ids.tolist()])
        recorder.append(ids, environment.capture(ids), observation.take(ids), actions)
        result = environment.step(actions, ids)
        observation = environment.observe()
        for env, reward, success in zip(ids.tolist(), result.reward, result.success, strict=True):
            rewards[env].append(float(reward))
            if success or recorder.length(env) >= len(recorded[env]) + settling:
                succeeded[env] = success
                finals[env] = observation.take(np.array([env]))
        ids = np.array([env for env in ids.tolist() if env not in finals], dtype=int)

    replays = []
    for env, (source, original) in enumerate(batch):
        attributes = replace(
            original.attributes,
            cell=environment.cell,
            success=bool(succeeded[env]),
            object_names=tuple(tracked.name for tracked in environment.tabletop_task.objects),
        )
        episode = recorder.finish(env, attributes)
        rows, final = episode.observation(), finals[env]
        transitions = ReplayEpisode(
            source=source,
            observation=Observation(
                **{name: np.concatenate([value, getattr(final, name)]) for name, value in rows.arrays().items()}
            ),
            images=episode.images,
            action=episode.action,
            reward=np.array(rewards[env]),
            success=np.arange(len(episode)) == (len(episode) - 1 if succeeded[env] else -1),
        )
        replays.append((episode, transitions))
    return replays


def _action_at(actions: Float[np.ndarray, "T 7"], step: int) -> np.ndarray:
    """The action of `step`, and after the last one: hold still with the last gripper command."""
    if step < len(actions):
        return actions[step]
    return np.concatenate([np.zeros(6), actions[-1, 6:]])


def _paired(episode: Episode, recorded: Episode) -> Episode:
    """The replay without its settling steps, marked and labelled as `recorded` is: the pair's VLAs are trained on the same actions."""
    rows = len(recorded)
    arrays = {name: value[:rows] for name, value in vars(episode).items() if isinstance(value, np.ndarray)}
    told = {"handed_over": recorded.handed_over, "label": recorded.label}
    arrays |= {name: values[: len(arrays["action"])] for name, values in told.items() if values is not None}
    return replace(episode, images={camera: frames[:rows] for camera, frames in episode.images.items()}, **arrays)
