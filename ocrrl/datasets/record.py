"""`record`: a demonstrator acts in an environment, and each demonstration becomes an episode file."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from jaxtyping import Float, Int

from ocrrl.datasets.episode import Episode, EpisodeAttributes
from ocrrl.datasets.episode_recorder import EpisodeRecorder
from ocrrl.datasets.episode_store import write_episode
from ocrrl.interface.protocols import Environment


class Demonstrator(Protocol):
    """Acts as a teleoperator would; a scripted one may look at the simulator's state."""

    def reset(self, ids: Int[np.ndarray, " n"], seeds: list[int]) -> None:
        """Begin new demonstrations in the environments `ids`, with the tremor and pauses that `seeds` stand for."""
        ...

    def act(self, ids: Int[np.ndarray, " n"]) -> Float[np.ndarray, "n 7"]:
        """The next actions of the environments `ids`."""
        ...


@dataclass(frozen=True)
class RecordConfig:
    """How many demonstrations to record, and how many tries that may take."""

    episodes: int = 30
    max_attempts: int = 90
    keep_failures: bool = False
    operator: str = "scripted"

    def __post_init__(self) -> None:
        if self.episodes < 1:
            raise ValueError(f"episodes must be at least 1, got {self.episodes}")
        if self.max_attempts < self.episodes:
            raise ValueError(f"max_attempts must be at least episodes ({self.episodes}), got {self.max_attempts}")
        if not self.operator:
            raise ValueError(f"operator must be a name, got {self.operator!r}")


@dataclass(frozen=True)
class RecordSummary:
    """What `record_episodes` did: episodes written, demonstrations attempted, and how many of those succeeded."""

    written: int
    attempts: int
    successes: int


def record_episodes(
    environment: Environment,
    demonstrator: Demonstrator,
    out: Path,
    seeds: list[int],
    config: RecordConfig,
    calibration: Mapping | None = None,
    versions: Mapping[str, str] | None = None,
    progress: Callable[[int, int], object] = lambda written, attempts: None,
) -> RecordSummary:
    """Record `config.episodes` demonstrations into `out` as `episode_000000.h5` and on, one initial state a seed.

    Failures are left out unless `keep_failures`. Episodes are written in the order of their seeds, whatever ended
    first. Raises ValueError where `seeds` are fewer than `max_attempts`, RuntimeError when the attempts are spent too
    early.
    """
    if len(seeds) < config.max_attempts:
        raise ValueError(f"seeds must number at least max_attempts ({config.max_attempts}), got {len(seeds)}")
    written = successes = 0
    demonstrated = collect_episodes(
        environment, demonstrator, seeds[: config.max_attempts], config.operator, calibration or {}, versions or {}
    )
    for attempts, episode in enumerate(demonstrated, start=1):
        successes += episode.attributes.success
        if episode.attributes.success or config.keep_failures:
            write_episode(out / f"episode_{written:06d}.h5", episode)
            written += 1
        progress(written, attempts)
        if written == config.episodes:
            return RecordSummary(written, attempts, successes)
    raise RuntimeError(
        f"record must reach {config.episodes} episodes within {config.max_attempts} attempts, got {written}; "
        "raise max_attempts or look at the demonstrator"
    )


def collect_episodes(
    environment: Environment,
    demonstrator: Demonstrator,
    seeds: list[int],
    operator: str,
    calibration: Mapping,
    versions: Mapping[str, str],
) -> Iterator[Episode]:
    """One episode a seed, in the order of `seeds`, `environment.num_envs` of them side by side in lockstep."""
    for start in range(0, len(seeds), environment.num_envs):
        batch = seeds[start : start + environment.num_envs]
        yield from _run_batch(environment, demonstrator, batch, operator, dict(calibration), dict(versions))


def _run_batch(
    environment: Environment,
    demonstrator: Demonstrator,
    seeds: list[int],
    operator: str,
    calibration: dict,
    versions: dict,
) -> list[Episode]:
    task = environment.tabletop_task
    recorder = EpisodeRecorder(environment.num_envs)
    finished: dict[int, Episode] = {}
    ids = np.arange(len(seeds))
    environment.reset(ids, seeds)
    demonstrator.reset(ids, seeds)
    recorder.begin(ids)
    while len(ids):
        observation = environment.observe().take(ids)
        images = environment.capture(ids)
        action = demonstrator.act(ids)
        result = environment.step(action, ids)
        recorder.append(ids, images, observation, result.applied(action))
        for env, solved in zip(ids.tolist(), result.success, strict=True):
            if solved or recorder.length(env) >= task.horizon:
                attributes = EpisodeAttributes(
                    tabletop_task=task.slug,
                    instruction=task.instruction,
                    operator=operator,
                    cell=environment.cell,
                    success=bool(solved),
                    seed=int(seeds[env]),
                    calibration=calibration,
                    versions=versions,
                    object_names=tuple(tracked.name for tracked in task.objects),
                )
                finished[env] = recorder.finish(env, attributes)
        ids = np.array([env for env in ids.tolist() if env not in finished], dtype=int)
    return [finished[env] for env in range(len(seeds))]
