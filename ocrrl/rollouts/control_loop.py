"""The control loop of base + residual, for simulator, twin and robot (Algorithm 2).

Legend: N environments, n of them still running, D numbers in the residual's observation.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import numpy as np
from jaxtyping import Float, Int

from ocrrl.interface.actions import ACTION_DIM, compose, limit
from ocrrl.interface.observations import Images, Observation
from ocrrl.interface.protocols import (
    Abort,
    Capture,
    Environment,
    Handover,
    Interruptible,
    Policy,
    StepResult,
    chunk_features,
)
from ocrrl.interface.residual_observations import AnyResidual, correction
from ocrrl.rollouts.episode_outcome import EpisodeOutcome, EpisodeTrace
from ocrrl.rollouts.lost_objects import LOST_STEPS, LostObjects


class EpisodeObserver(Protocol):
    """Watches episodes without touching them: a recorder, a video, a live view."""

    def begin(self, ids: Int[np.ndarray, " n"], seeds: list[int]) -> None:
        """Episodes begin in the environments `ids`."""

    def before_step(
        self,
        ids: Int[np.ndarray, " n"],
        observation: Observation,
        capture: Capture,
        base_action: Float[np.ndarray, "n 7"],
        residual: Float[np.ndarray, "n 7"],
        action: Float[np.ndarray, "n 7"],
    ) -> None:
        """`action` is about to be given to the environment; images that the base policy took now are not taken again."""

    def after_step(self, ids: Int[np.ndarray, " n"], result: StepResult) -> None:
        """What the step led to; an environment whose success is true has ended its episode."""

    def end(self, outcomes: list[EpisodeOutcome]) -> None:
        """All episodes begun have ended, in success or at the horizon; `outcomes` in the order of `begin`."""


def run_episodes(
    environment: Environment,
    base: Policy,
    residual: AnyResidual | None,
    seeds: Sequence[int],
    observer: EpisodeObserver | None = None,
    keep_traces: bool = False,
    lost_steps: int = LOST_STEPS,
    handover: Handover | None = None,
) -> list[EpisodeOutcome]:
    """One episode for each initial state in `seeds`, in that order; without `residual` the base policy acts alone.

    Runs in lockstep batches of `environment.num_envs` (the last may be smaller). An episode ends in success, at the
    tabletop task's horizon, or where the cell aborts it. Objects that were lost for longer than `lost_steps` leave the
    base alone until they are seen again, unless the residual is one of images. Where somebody acts in place of an `Interruptible`
    base, no residual is added; nor where `handover` leaves the base alone. Raises ValueError when an action is not finite, and
    where the environment does not give what the residual observes.
    """
    outcomes = []
    for first in range(0, len(seeds), environment.num_envs):
        batch = [int(seed) for seed in seeds[first : first + environment.num_envs]]
        outcomes += _run_batch(environment, base, residual, batch, observer, keep_traces, lost_steps, handover)
    return outcomes


def _run_batch(
    environment: Environment,
    base: Policy,
    residual: AnyResidual | None,
    seeds: list[int],
    observer: EpisodeObserver | None,
    keep_traces: bool,
    most_lost_steps: int,
    handover: Handover | None,
) -> list[EpisodeOutcome]:
    horizon = environment.tabletop_task.horizon
    running = np.arange(len(seeds))
    success = np.zeros(len(seeds), bool)
    steps = np.zeros(len(seeds), int)
    total_reward = np.zeros(len(seeds))
    aborted: Abort | None = None
    traces = _Traces(len(seeds)) if keep_traces else None
    correct = correction(environment, residual) if residual is not None else None
    interruptible = base if isinstance(base, Interruptible) else None

    environment.reset(running, seeds)
    base.reset(running, seeds)
    if handover:
        handover.reset(running, seeds)
    if observer:
        observer.begin(running, seeds)
    kept = np.zeros((len(seeds), ACTION_DIM), np.float32)
    lost = LostObjects(len(seeds), residual, most_lost_steps)
    with _at_rest_after_an_error(environment):
        for t in range(horizon):
            observation = environment.observe().take(running)
            camera = _OncePerStep(environment.capture)
            base_action = base.act(observation, running, camera)
            if traces:  # which are float32, so that an episode can be acted again from them
                base_action = base_action.astype(np.float32)
            visible = observation.visible()
            if residual is not None and correct is not None and t % residual.every == 0:
                chunks = chunk_features(base, running, residual.chunk_phase, residual.coming_actions)
                kept[running] = correct(running, observation, base_action, visible, chunks, camera)
            if interruptible:
                kept[running[interruptible.interrupted(running)]] = 0.0
            delta = lost.withhold(running, visible, kept[running])
            acting = handover.handed_over(observation, running) if handover else None
            if acting is not None:
                delta = np.where(acting[:, None], delta, np.float32(0.0))
            action = limit(base_action) if residual is None else compose(base_action, delta)
            if acting is not None:  # the base alone: its bits, which a composition with zero rounds
                action = np.where(acting[:, None], action, limit(base_action))
            if not np.isfinite(action).all():
                broken = [seeds[i] for i in running[~np.isfinite(action).all(axis=-1)]]
                raise ValueError(f"action must be finite, got NaN or infinity in the episodes of seeds {broken}")

            if traces:
                traces.add(running, observation, visible, base_action, delta, acting)
            if observer:
                observer.before_step(running, observation, camera, base_action, delta, action)
            result = environment.step(action, running)
            if interruptible:
                interruptible.applied(running, result.applied(action))
            if observer:
                observer.after_step(running, result)

            steps[running] += 1
            total_reward[running] += result.reward
            success[running] = result.success
            running = running[~result.success]
            aborted = result.aborted
            if len(running) == 0 or aborted:
                break

    outcomes = [
        EpisodeOutcome(
            seed=seed,
            success=bool(success[i]),
            steps=int(steps[i]),
            total_reward=float(total_reward[i]),
            trace=traces.of(i) if traces else None,
            aborted=aborted if i in running else None,
        )
        for i, seed in enumerate(seeds)
    ]
    if observer:
        observer.end(outcomes)
    return outcomes


@contextmanager
def _at_rest_after_an_error(environment: Environment) -> Iterator[None]:
    """Whatever ends the loop, an arm does not go on to where it was last told to go."""
    try:
        yield
    except BaseException as error:  # Ctrl-C too, which says nothing
        environment.come_to_rest(str(error))
        raise


class _OncePerStep:
    """Images of one instant: whoever asks, each environment is captured at most once."""

    def __init__(self, capture: Capture) -> None:
        self._capture = capture
        self._taken: dict[int, Images] = {}

    def __call__(self, ids: Int[np.ndarray, " n"]) -> Images:
        missing = np.array([i for i in ids if int(i) not in self._taken], int)
        if len(missing):
            images = self._capture(missing)
            for k, i in enumerate(missing):
                self._taken[int(i)] = {camera: image[k] for camera, image in images.items()}
        cameras = self._taken[int(ids[0])] if len(ids) else {}
        return {camera: np.stack([self._taken[int(i)][camera] for i in ids]) for camera in cameras}


class _Traces:
    """The traces of n episodes while they run."""

    def __init__(self, count: int) -> None:
        self._rows: list[list[tuple[np.ndarray, ...]]] = [[] for _ in range(count)]

    def add(
        self,
        ids: np.ndarray,
        observation: Observation,
        visible: np.ndarray,
        base_action: np.ndarray,
        residual: np.ndarray,
        handed_over: np.ndarray | None,
    ) -> None:
        columns = (
            observation.gripper_pose[:, :3].astype(np.float32),
            observation.object_poses[..., :3].astype(np.float32),
            np.array(visible, bool),
            np.array(base_action, np.float32),
            np.array(residual, np.float32),
            *([] if handed_over is None else [np.array(handed_over, bool)]),
        )
        for k, i in enumerate(ids):
            self._rows[i].append(tuple(column[k] for column in columns))

    def of(self, i: int) -> EpisodeTrace:
        return EpisodeTrace(*(np.stack(column) for column in zip(*self._rows[i], strict=True)))
