"""`rollout`: successful episodes of base + residual, or of the base alone, for retraining (Sec. 3.4)."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ocrrl import files
from ocrrl.episodes.episode_store import write_episode
from ocrrl.interface.devices import require_device
from ocrrl.interface.protocols import Environment, Policy
from ocrrl.interface.residual_observations import AnyResidual
from ocrrl.rollouts.control_loop import run_episodes
from ocrrl.rollouts.episode_outcome import EpisodeOutcome
from ocrrl.rollouts.repeat import repeat_episodes
from ocrrl.rollouts.rollout_recorder import RolloutRecorder
from ocrrl.rollouts.statistics import SuccessSummary, success_summary

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


def collect_rollouts(
    environment: Environment,
    base: Policy,
    residual: AnyResidual | None,
    out: Path,
    seeds: Sequence[int],
    config: RolloutConfig,
    work: Path,
    repeatable: bool = True,
    calibration: Mapping | None = None,
    versions: Mapping[str, str] | None = None,
    progress: Callable[[int, int], None] = lambda recorded, attempts: None,
) -> RolloutSummary:
    """Collect `config.successes` successful episodes into `out` as `episode_000000.h5` and on, one attempt a seed.

    `out/attempts.json` lists all attempts. A cell that is `repeatable` (gives the same episode for the same seed) is
    photographed only in the episodes that turned out successful, by acting them again; any other is recorded throughout.
    `work`, on the file system of `out`, keeps finished batches: a killed run that is started again goes on after them.
    Raises ValueError for fewer seeds than `max_attempts`, or a `work` of other seeds, RuntimeError for a cell that is
    not repeatable after all.
    """
    if len(seeds) < config.max_attempts:
        raise ValueError(f"seeds must number at least max_attempts ({config.max_attempts}), got {len(seeds)}")
    seeds = list(seeds[: config.max_attempts])
    attempts = _finished_attempts(work, seeds)
    recorded = sum(attempt["episode"] is not None for attempt in attempts)
    while recorded < config.successes and len(attempts) < len(seeds):
        batch = seeds[len(attempts) : len(attempts) + environment.num_envs]
        recorder = RolloutRecorder(environment, OPERATOR, calibration, versions)
        if repeatable:
            missing = config.successes - recorded
            outcomes = _run_successes_twice(environment, base, residual, batch, recorder, missing)
        else:
            recorder.seeds = set(batch)
            outcomes = run_episodes(environment, base, residual, batch, recorder)
        for outcome in outcomes:
            episode = None
            if outcome.success and recorded < config.successes:
                episode = f"episode_{recorded:06d}.h5"
                write_episode(work / episode, recorder.episodes.pop(outcome.seed))
                recorded += 1
            attempts.append(
                {"seed": outcome.seed, "success": outcome.success, "steps": outcome.steps, "episode": episode}
            )
        files.write_json(work / ATTEMPTS_FILE, {"cell": environment.cell, "attempts": attempts})
        progress(recorded, len(attempts))
    files.publish(work, out)
    outcomes = [EpisodeOutcome(a["seed"], a["success"], a["steps"], 0.0) for a in attempts]
    return RolloutSummary(environment.cell, config.successes, recorded, success_summary(outcomes))


def _run_successes_twice(
    environment: Environment,
    base: Policy,
    residual: AnyResidual | None,
    seeds: list[int],
    recorder: RolloutRecorder,
    missing: int,
) -> list[EpisodeOutcome]:
    """Run without images, then the first successes once more with them."""
    outcomes = run_episodes(environment, base, residual, seeds, keep_traces=True)
    chosen = [outcome for outcome in outcomes if outcome.success][:missing]
    recorder.seeds = {outcome.seed for outcome in chosen}
    repeat_episodes(environment, chosen, residual is not None, recorder)
    return outcomes


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
