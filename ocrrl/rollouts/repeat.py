"""Repeats episodes with rendering, since images cost far more than physics and only some episodes need them."""

from collections.abc import Sequence
from dataclasses import astuple

import numpy as np

from ocrrl.interface.observations import Observation
from ocrrl.interface.protocols import Capture, Environment
from ocrrl.rollouts.control_loop import EpisodeObserver, run_episodes
from ocrrl.rollouts.episode_outcome import EpisodeOutcome, EpisodeTrace


def repeat_episodes(
    environment: Environment, outcomes: Sequence[EpisodeOutcome], corrected: bool, observer: EpisodeObserver
) -> None:
    """Run the episodes of `outcomes` again, for `observer` to see, without asking a policy.

    What was done is in their traces; `corrected`: with a residual. Raises ValueError for an outcome without a trace,
    RuntimeError for a cell whose episodes go another way than they went.
    """
    for first in range(0, len(outcomes), environment.num_envs):
        batch = outcomes[first : first + environment.num_envs]
        recorded = _RecordedActions([_trace(outcome) for outcome in batch])
        seeds = [outcome.seed for outcome in batch]
        # No step is too many to have lost an object for: what was added to the base's action then is in the traces too.
        horizon = environment.tabletop_task.horizon
        again = run_episodes(
            environment,
            recorded,
            recorded if corrected else None,
            seeds,
            observer,
            keep_traces=True,
            lost_steps=horizon,
            handover=recorded if recorded.handed_over_once else None,
        )
        changed = [a.seed for a, b in zip(batch, again, strict=True) if not _same(a, b)]
        if changed:
            raise RuntimeError(f"a cell that is run again must repeat its episodes, got others for the seeds {changed}")


class _RecordedActions:
    """A base policy, its residual and its handover that do, step by step, what the traces of their environments say."""

    every, chunk_phase, coming_actions = 1, False, 0

    def __init__(self, traces: Sequence[EpisodeTrace]) -> None:
        self._traces, self._step = traces, -1
        self._acting = np.arange(len(traces))

    @property
    def handed_over_once(self) -> bool:
        """Whether the base began these episodes alone."""
        return any(trace.handed_over is not None for trace in self._traces)

    def reset(self, ids: np.ndarray, seeds: Sequence[int]) -> None:
        self._step = -1

    def act(self, observation: Observation, ids: np.ndarray, capture: Capture) -> np.ndarray:
        self._acting, self._step = ids, self._step + 1
        return np.stack([self._at_step(self._traces[i].base_actions) for i in ids.tolist()])

    def residual(self, residual_observation: np.ndarray) -> np.ndarray:
        """For the environments that the base acted in just before."""
        return np.stack([self._at_step(self._traces[i].residuals) for i in self._acting.tolist()])

    def handed_over(self, observation: Observation, ids: np.ndarray) -> np.ndarray:
        """As `interface.protocols.Handover`, for the step that the base acted in just before."""
        marks = [self._traces[i].handed_over for i in ids.tolist()]
        return np.array([mark is None or bool(self._at_step(mark)) for mark in marks])

    def _at_step(self, rows: np.ndarray) -> np.ndarray:
        return rows[min(self._step, len(rows) - 1)]  # one that lasts longer than it did is found out when it is over


def _trace(outcome: EpisodeOutcome) -> EpisodeTrace:
    if outcome.trace is None:
        raise ValueError(f"the episode of seed {outcome.seed} must have a trace to be run again, got none")
    return outcome.trace


def _same(first: EpisodeOutcome, again: EpisodeOutcome) -> bool:
    went = [(outcome.success, outcome.steps) for outcome in (first, again)]
    courses = zip(astuple(_trace(first)), astuple(_trace(again)), strict=True)
    return went[0] == went[1] and all(np.array_equal(a, b) for a, b in courses)
