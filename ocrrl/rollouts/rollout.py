"""`rollout`: successful episodes of base + residual, or of the base alone, for retraining (Sec. 3.4)."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from ocrrl import files
from ocrrl.episodes.episode_store import write_episode
from ocrrl.interface.devices import require_device
from ocrrl.interface.episode import Episode
from ocrrl.interface.protocols import Environment, Policy
from ocrrl.interface.residual_observations import AnyResidual
from ocrrl.rollouts.control_loop import run_episodes
from ocrrl.rollouts.episode_outcome import EpisodeOutcome
from ocrrl.rollouts.repeat import repeat_episodes
from ocrrl.rollouts.rollout_recorder import RolloutRecorder
from ocrrl.rollouts.statistics import SuccessSummary, success_summary

Attempts = list[tuple[EpisodeOutcome, Episode | None]]
"""The attempts of a batch, in the order of its seeds, each with its episode where that was recorded."""
ATTEMPTS_FILE = "attempts.json"
OPERATOR = "policy"


@dataclass(frozen=True)
class RolloutConfig:
    """How many successful episodes to collect, and how many attempts that may take."""

    successes: int = 50
    max_attempts: int = 300
    num_envs: int = 25
    device: str = "auto"

    def __post_init__(self) -> None:
        require_device(self.device)
        for name in ("successes", "num_envs"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.max_attempts < self.successes:
            raise ValueError(f"max_attempts must be at least successes ({self.successes}), got {self.max_attempts}")


@dataclass(frozen=True)
class RolloutSummary:
    """What `collect_rollouts` did; `recorded` falls short of the config's successes when the attempts were spent."""

    cell: str
    wanted: int
    recorded: int
    attempts: SuccessSummary


class RunsAttempts(Protocol):
    """Runs batches of attempts, in their order, some of them perhaps ahead."""

    def __call__(self, batches: Iterable[tuple[list[int], int]], /) -> Iterator[Attempts]:
        """Of each batch of seeds, with how many of its successes are to be recorded, what `attempt_batch` gives."""
        ...


def collect_rollouts(
    cell: str,
    attempt: RunsAttempts,
    out: Path,
    seeds: Sequence[int],
    config: RolloutConfig,
    work: Path,
    progress: Callable[[int, int], None] = lambda recorded, attempts: None,
) -> RolloutSummary:
    """Collect `config.successes` successful episodes of `cell` into `out` as `episode_000000.h5` and on, one attempt a seed.

    `attempt` runs batches of seeds, each with how many successes are missing when it starts; it may begin some ahead, which are not
    counted where those before were enough. `out/attempts.json` lists all attempts. `work`, on the file system of `out`, keeps
    finished batches: a killed run that is started again goes on after them.
    Raises ValueError for fewer seeds than `max_attempts`, or a `work` of other seeds.
    """
    if len(seeds) < config.max_attempts:
        raise ValueError(f"seeds must number at least max_attempts ({config.max_attempts}), got {len(seeds)}")
    seeds = list(seeds[: config.max_attempts])
    attempts = _finished_attempts(work, seeds)
    recorded = sum(attempt["episode"] is not None for attempt in attempts)

    def missing_batches() -> Iterator[tuple[list[int], int]]:
        for first in range(len(attempts), len(seeds), config.num_envs):
            if recorded < config.successes:
                yield seeds[first : first + config.num_envs], config.successes - recorded

    for batch in attempt(missing_batches()):
        for outcome, tried in batch:
            episode = None
            if tried is not None and recorded < config.successes:
                episode = f"episode_{recorded:06d}.h5"
                write_episode(work / episode, tried)
                recorded += 1
            attempts.append(
                {"seed": outcome.seed, "success": outcome.success, "steps": outcome.steps, "episode": episode}
            )
        files.write_json(work / ATTEMPTS_FILE, {"cell": cell, "attempts": attempts})
        progress(recorded, len(attempts))
        if recorded == config.successes:
            break
    files.publish(work, out)
    outcomes = [EpisodeOutcome(a["seed"], a["success"], a["steps"], 0.0) for a in attempts]
    return RolloutSummary(cell, config.successes, recorded, success_summary(outcomes))


def attempt_batch(
    environment: Environment,
    base: Policy,
    residual: AnyResidual | None,
    seeds: list[int],
    missing: int,
    calibration: Mapping | None = None,
    versions: Mapping[str, str] | None = None,
) -> Attempts:
    """One attempt a seed, without images; then the first `missing` successes once more with them, which are recorded.

    Raises RuntimeError for a cell that does not repeat its episodes.
    """
    recorder = RolloutRecorder(environment, OPERATOR, calibration, versions)
    outcomes = run_episodes(environment, base, residual, seeds, keep_traces=True)
    chosen = [outcome for outcome in outcomes if outcome.success][:missing]
    recorder.seeds = {outcome.seed for outcome in chosen}
    repeat_episodes(environment, chosen, residual is not None, recorder)
    return [(replace(outcome, trace=None), recorder.episodes.get(outcome.seed)) for outcome in outcomes]


def rollout_metrics(
    tabletop_task: str, round_number: int, residual_seed: int | None, policy: str, summary: RolloutSummary
) -> dict[str, Any]:
    """The metrics file of one policy, `corrected` (base + residual) or `base`, which has no residual seed."""
    identity = {"tabletop_task": tabletop_task, "round": round_number}
    seed = {} if residual_seed is None else {"residual_seed": residual_seed}
    return identity | seed | {policy: asdict(summary)}


def _finished_attempts(work: Path, seeds: list[int]) -> list[dict[str, Any]]:
    """The attempts of the batches that an earlier run finished."""
    file = work / ATTEMPTS_FILE
    attempts = json.loads(file.read_text())["attempts"] if file.is_file() else []
    if [attempt["seed"] for attempt in attempts] != seeds[: len(attempts)]:
        raise ValueError(f"{work} must hold attempts of these seeds, got attempts of others; delete it")
    return attempts
