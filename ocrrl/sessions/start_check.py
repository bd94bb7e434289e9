"""Whether an episode starts from the initial state that was asked for, as the tracker sees it. Legend: O tracked objects."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from ocrrl.interface import poses, rotations
from ocrrl.interface.observations import CONFIDENCE_THRESHOLD, Observation
from ocrrl.interface.protocols import Capture, Environment, StepResult
from ocrrl.interface.tabletop_tasks import TabletopTask
from ocrrl.rollouts.control_loop import EpisodeObserver
from ocrrl.rollouts.episode_outcome import EpisodeOutcome

if TYPE_CHECKING:
    from ocrrl.tabletop.parts.scene import TabletopScene

ASKS = 3
"""Times that the table is set for one episode, until its start counts as a technical fault."""


class StartNotConfirmed(RuntimeError):
    """The tracker sees another initial state than the one asked for, or no object: nothing has moved since the arm is at home."""


@dataclass(frozen=True)
class StartTolerance:
    """How far each object may be from where the initial state has it, symmetric orientations being one and the same.

    Wider than the errors of a tracker (docs/tracking.md; the twin's reach 13 mm and 10 deg) and than a hand's that sets the table.
    """

    position: float = 0.015
    """[m]"""
    angle: float = 15.0
    """[deg]"""

    def __post_init__(self) -> None:
        for name in ("position", "angle"):
            if not getattr(self, name) > 0:
                raise ValueError(f"start_tolerance.{name} must be above 0, got {getattr(self, name)}")


def require_start(
    task: TabletopTask, asked: Float[np.ndarray, "O 7"], seen: Observation, tolerance: StartTolerance, state: str
) -> None:
    """StartNotConfirmed, naming `state`, each object and how far it is, unless `seen` (N = 1) shows the objects at `asked`."""
    wrong = []
    for index, tracked in enumerate(task.objects):
        pose, trust = seen.object_poses[0, index], float(seen.object_confidence[0, index])
        if trust < CONFIDENCE_THRESHOLD:
            wrong.append(f"{tracked.name} with a confidence of {trust:.2f} (at least {CONFIDENCE_THRESHOLD} required)")
            continue
        away = float(np.linalg.norm(pose[:3] - asked[index, :3]))
        turned = poses.canonical_quaternion(pose[3:], tracked.symmetry, asked[index, 3:])
        angle = float(np.degrees(rotations.angle_between(turned, asked[index, 3:])))
        if away > tolerance.position or angle > tolerance.angle:
            wrong.append(f"{tracked.name} {1000 * away:.0f} mm and {angle:.0f} deg away")
    if wrong:
        raise StartNotConfirmed(
            f"{state} is not confirmed: every object must be within {1000 * tolerance.position:g} mm and {tolerance.angle:g} deg "
            f"of it, the tracker sees {', '.join(wrong)}"
        )


def start_check(scene: "TabletopScene", tolerance: StartTolerance) -> Callable[[Environment, int], None]:
    """What raises StartNotConfirmed where an environment, just reset, does not show the initial state of a seed."""
    from ocrrl.sim.initial_state import initial_object_poses

    def check(environment: Environment, seed: int) -> None:
        asked = initial_object_poses(scene, seed)
        require_start(scene.task, asked, environment.observe(), tolerance, f"initial state {seed}")

    return check


class ConfirmedStart:
    """An `EpisodeObserver` that hands everything on to another one, unless the start of an episode is not confirmed."""

    def __init__(self, observer: EpisodeObserver, environment: Environment, check: Callable[[Environment, int], None]):
        self._observer, self._check = observer, partial(check, environment)

    def begin(self, ids: np.ndarray, seeds: list[int]) -> None:
        """Raises StartNotConfirmed, before a step was taken."""
        for seed in seeds:
            self._check(seed)
        self._observer.begin(ids, seeds)

    def before_step(
        self,
        ids: np.ndarray,
        observation: Observation,
        capture: Capture,
        base_action: np.ndarray,
        residual: np.ndarray,
        action: np.ndarray,
    ) -> None:
        self._observer.before_step(ids, observation, capture, base_action, residual, action)

    def after_step(self, ids: np.ndarray, result: StepResult) -> None:
        self._observer.after_step(ids, result)

    def end(self, outcomes: list[EpisodeOutcome]) -> None:
        self._observer.end(outcomes)
