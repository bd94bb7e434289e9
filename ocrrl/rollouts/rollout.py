"""`rollout`: successful episodes of base + residual, or of the base alone, for retraining (Sec. 3.4)."""

import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from ocrrl import files
from ocrrl.config_builder import OPTIONAL, repr_of, values_of
from ocrrl.episodes.episode_store import write_episode
from ocrrl.interface.devices import require_device
from ocrrl.interface.episode import Episode
from ocrrl.interface.protocols import Environment, Policy
from ocrrl.interface.residual_observations import AnyResidual
from ocrrl.rollouts.control_loop import run_episodes
from ocrrl.rollouts.episode_outcome import EpisodeOutcome
from ocrrl.rollouts.handover import HandoverRule, HandoverWhereStalled
from ocrrl.rollouts.labels import Labeller
from ocrrl.rollouts.repeat import repeat_episodes
from ocrrl.rollouts.rollout_recorder import RolloutRecorder
from ocrrl.rollouts.statistics import SuccessSummary, success_summary

Attempts = list[tuple[EpisodeOutcome, Episode | None]]
"""The attempts of a batch, in the order of its seeds, each with its episode where that was recorded.

A seed whose initial state was passed over (`RolloutConfig.initial_states`) is not among them.
"""
ATTEMPTS_FILE = "attempts.json"
OPERATOR = "policy"
INITIAL_STATES = ("same", "fresh", "failed")
FAILURES, LABELLED = "failures", "labelled"
"""The folders, in that of the successes, of the episodes that `RolloutConfig.failures` and `labelled` ask for."""


@dataclass(frozen=True)
class RolloutConfig:
    """How many successful episodes to collect, and how many attempts that may take."""

    successes: int = 50
    max_attempts: int = 300
    num_envs: int = 25
    device: str = "auto"
    handover: HandoverRule | None = field(default=None, metadata=OPTIONAL)
    """The VLA begins each episode alone, base + residual goes on where the VLA stalls; null: base + residual from the first step."""
    initial_states: str = field(default="same", metadata=OPTIONAL)
    """`same`: every round begins from the same ones; `fresh`: each from others; `failed`: fresh ones that the VLA alone fails from."""
    labelled: int = field(default=0, metadata=OPTIONAL)
    """Episodes of the VLA alone to record besides, succeed or fail, with what base + residual would have done (`labels.Labeller`)."""
    failures: int = field(default=0, metadata=OPTIONAL)
    """Failed attempts to record besides, for `training_set.failures`."""

    def __post_init__(self) -> None:
        require_device(self.device)
        for name in ("successes", "num_envs"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.max_attempts < self.successes:
            raise ValueError(f"max_attempts must be at least successes ({self.successes}), got {self.max_attempts}")
        if self.initial_states not in INITIAL_STATES:
            raise ValueError(f"initial_states must be one of {', '.join(INITIAL_STATES)}, got {self.initial_states!r}")
        for name in ("labelled", "failures"):
            if not 0 <= getattr(self, name) <= self.max_attempts:
                raise ValueError(
                    f"{name} must be in [0, max_attempts ({self.max_attempts})], got {getattr(self, name)}"
                )

    def __repr__(self) -> str:
        return repr_of(self)

    def first_state(self, round_number: int) -> int:
        """The place of a round's first initial state among those of rollouts."""
        return 0 if self.initial_states == "same" else round_number * self.max_attempts


@dataclass(frozen=True)
class RolloutSummary:
    """What `collect_rollouts` did; `recorded` falls short of the config's successes when the attempts were spent."""

    cell: str
    wanted: int
    recorded: int
    attempts: SuccessSummary
    passed_over: int = field(default=0, metadata=OPTIONAL)
    """Initial states from which the VLA alone succeeds, where only those are attempted from which it fails."""
    failures: int = field(default=0, metadata=OPTIONAL)
    """Failed attempts recorded."""


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

    The first `config.failures` failed ones that `attempt` records go into the folder `FAILURES` there; an episode with labels counts
    as a success, whatever came of it.
    `attempt` runs batches of seeds, each with how many successes are missing when it starts; it may begin some ahead, which are not
    counted where those before were enough. `out/attempts.json` lists all attempts. `work`, on the file system of `out`, keeps
    finished batches: a killed run that is started again goes on after them.
    Raises ValueError for fewer seeds than `max_attempts`, or a `work` of other seeds.
    """
    if len(seeds) < config.max_attempts:
        raise ValueError(f"seeds must number at least max_attempts ({config.max_attempts}), got {len(seeds)}")
    seeds = list(seeds[: config.max_attempts])
    attempts = _finished_attempts(work, seeds)
    recorded = {part: sum(_part(a.get("episode")) == part for a in attempts) for part in ("", FAILURES)}
    begun: deque[list[int]] = deque()

    def missing_batches() -> Iterator[tuple[list[int], int]]:
        for first in range(len(attempts), len(seeds), config.num_envs):
            if recorded[""] < config.successes:
                begun.append(seeds[first : first + config.num_envs])
                yield begun[-1], config.successes - recorded[""]

    for batch in attempt(missing_batches()):
        by_seed = {outcome.seed: (outcome, tried) for outcome, tried in batch}
        for seed in begun.popleft():
            if seed not in by_seed:
                attempts.append({"seed": seed, "passed_over": True})
                continue
            outcome, tried = by_seed[seed]
            episode = None
            if tried is not None:
                part = "" if outcome.success or tried.label is not None else FAILURES
                if recorded[part] < (config.failures if part else config.successes):
                    episode = f"{part}{'/' * bool(part)}episode_{recorded[part]:06d}.h5"
                    write_episode(work / episode, tried)
                    recorded[part] += 1
            attempts.append({"seed": seed, "success": outcome.success, "steps": outcome.steps, "episode": episode})
        files.write_json(work / ATTEMPTS_FILE, {"cell": cell, "attempts": attempts})
        progress(recorded[""], len(attempts))
        if recorded[""] == config.successes:
            break
    files.publish(work, out)
    tried = [a for a in attempts if "success" in a]
    if not tried:
        raise ValueError(
            f"initial_states must be same or fresh where the VLA fails from none, got {config.initial_states} and {len(attempts)} "
            "states that it solves"
        )
    outcomes = [EpisodeOutcome(a["seed"], a["success"], a["steps"], 0.0) for a in tried]
    passed_over = len(attempts) - len(tried)
    return RolloutSummary(
        cell, config.successes, recorded[""], success_summary(outcomes), passed_over, recorded[FAILURES]
    )


def attempt_batch(
    environment: Environment,
    base: Policy,
    residual: AnyResidual | None,
    seeds: list[int],
    missing: int,
    calibration: Mapping | None = None,
    versions: Mapping[str, str] | None = None,
    config: RolloutConfig | None = None,
) -> Attempts:
    """One attempt a seed, without images; then the first `missing` successes once more with them, which are recorded.

    `config` says whether there is a handover, which initial states are attempted, and how many failures are recorded too.
    Raises RuntimeError for a cell that does not repeat its episodes.
    """
    rule, failures = (config.handover, config.failures) if config else (None, 0)
    if config and config.initial_states == "failed":
        alone = run_episodes(environment, base, None, seeds)
        seeds = [outcome.seed for outcome in alone if not outcome.success]
    handover = (
        HandoverWhereStalled(rule, environment.num_envs, len(environment.tabletop_task.objects)) if rule else None
    )
    outcomes = run_episodes(environment, base, residual, seeds, keep_traces=True, handover=handover)
    chosen = [outcome for outcome in outcomes if outcome.success][:missing]
    chosen += [outcome for outcome in outcomes if not outcome.success][:failures]
    episodes = _recorded(environment, chosen, residual is not None, calibration, versions)
    return [(replace(outcome, trace=None), episodes.get(outcome.seed)) for outcome in outcomes]


def labelled_batch(
    environment: Environment,
    base: Policy,
    residual: AnyResidual,
    seeds: list[int],
    missing: int,
    calibration: Mapping | None = None,
    versions: Mapping[str, str] | None = None,
    config: RolloutConfig | None = None,
) -> Attempts:
    """One attempt of the base alone a seed, the first `missing` of them recorded with labels, or of those that failed.

    `config.initial_states` says which. Raises RuntimeError for a cell that does not repeat its episodes.
    """
    labeller = Labeller(environment, base, residual)
    outcomes = run_episodes(environment, base, None, seeds, labeller, keep_traces=True)
    if config and config.initial_states == "failed":
        outcomes = [outcome for outcome in outcomes if not outcome.success]
    episodes = _recorded(environment, outcomes[:missing], False, calibration, versions)
    labelled = {seed: replace(episode, label=labeller.labels[seed]) for seed, episode in episodes.items()}
    return [(replace(outcome, trace=None), labelled.get(outcome.seed)) for outcome in outcomes]


def _recorded(
    environment: Environment,
    chosen: Sequence[EpisodeOutcome],
    corrected: bool,
    calibration: Mapping | None,
    versions: Mapping[str, str] | None,
) -> dict[int, Episode]:
    """The `chosen` episodes by seed, run again with images; marked where the base began one alone and did not finish alone."""
    recorder = RolloutRecorder(environment, OPERATOR, calibration, versions)
    recorder.seeds = {outcome.seed for outcome in chosen}
    repeat_episodes(environment, chosen, corrected, recorder)
    for outcome in chosen:
        marks = outcome.trace.handed_over if outcome.trace else None
        if marks is not None and marks.any() and not marks.all():
            episode = recorder.episodes[outcome.seed]
            recorder.episodes[outcome.seed] = replace(episode, handed_over=marks.astype(float))
    return recorder.episodes


def rollout_metrics(
    tabletop_task: str, round_number: int, residual_seed: int | None, policy: str, summary: RolloutSummary
) -> dict[str, Any]:
    """The metrics file of one policy, `corrected` (base + residual) or `base`, which has no residual seed."""
    identity = {"tabletop_task": tabletop_task, "round": round_number}
    seed = {} if residual_seed is None else {"residual_seed": residual_seed}
    return identity | seed | {policy: values_of(summary)}


def _part(episode: str | None) -> str | None:
    """The folder of a recorded attempt; None of one that was not recorded."""
    return None if episode is None else episode.rpartition("/")[0]


def _finished_attempts(work: Path, seeds: list[int]) -> list[dict[str, Any]]:
    """The attempts of the batches that an earlier run finished."""
    file = work / ATTEMPTS_FILE
    attempts = json.loads(file.read_text())["attempts"] if file.is_file() else []
    if [attempt["seed"] for attempt in attempts] != seeds[: len(attempts)]:
        raise ValueError(f"{work} must hold attempts of these seeds, got attempts of others; delete it")
    return attempts
