"""`record`: a demonstrator acts in an environment, and each demonstration becomes an episode file."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ocrrl.episodes.episode_store import write_episode
from ocrrl.interface.episode import Episode
from ocrrl.interface.protocols import Environment, Policy
from ocrrl.rollouts.control_loop import run_episodes
from ocrrl.rollouts.rollout_recorder import RolloutRecorder


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
    demonstrator: Policy,
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
        environment, demonstrator, seeds[: config.max_attempts], config.operator, calibration, versions
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
    demonstrator: Policy,
    seeds: list[int],
    operator: str,
    calibration: Mapping | None = None,
    versions: Mapping[str, str] | None = None,
) -> Iterator[Episode]:
    """One episode a seed, in the order of `seeds`, `environment.num_envs` of them side by side in lockstep."""
    recorder = RolloutRecorder(environment, operator, calibration, versions, demonstrated=True)
    for first in range(0, len(seeds), environment.num_envs):
        recorder.seeds = batch = seeds[first : first + environment.num_envs]
        run_episodes(environment, demonstrator, None, batch, recorder)
        yield from (recorder.episodes.pop(seed) for seed in batch)
