"""Labels for the states that a VLA comes into by itself: what base + residual would do there (DAgger, arXiv 1011.0686).

The VLA acts alone; the residual is asked beside it, at every step, and never carried out. It is the expert, so no person labels.
Legend: n environments, T control steps.
"""

import numpy as np
from jaxtyping import Float, Int

from ocrrl.interface.actions import compose
from ocrrl.interface.observations import Observation
from ocrrl.interface.protocols import Capture, Environment, Policy, StepResult, chunk_features
from ocrrl.interface.residual_observations import AnyResidual, FadesIn, correction
from ocrrl.rollouts.episode_outcome import EpisodeOutcome
from ocrrl.rollouts.lost_objects import LostObjects


class Labeller:
    """An `EpisodeObserver` of a base that acts alone; `labels` holds the actions (T, 7) of the finished episodes by seed.

    A label is `compose(base action, residual)` of its own row's state, float32. As in the control loop, an object that was lost for
    longer than `lost_objects.LOST_STEPS` leaves the base's action, unless the residual is one of images.
    """

    def __init__(self, environment: Environment, base: Policy, residual: AnyResidual) -> None:
        """ValueError for a residual that waits for its base to stall: it has no label for the states before."""
        if isinstance(residual, FadesIn) and residual.fade_in is not None:
            raise ValueError(
                "rollout.labelled must be 0 with train_residual.fade_in: such a residual waits, so it labels no state"
            )
        self.labels: dict[int, Float[np.ndarray, "T 7"]] = {}
        self._base, self._residual = base, residual
        self._correct = correction(environment, residual)
        self._lost = LostObjects(environment.num_envs, residual)
        self._rows: dict[int, list[np.ndarray]] = {}

    def begin(self, ids: Int[np.ndarray, " n"], seeds: list[int]) -> None:
        self._rows = {int(env): [] for env in ids}
        self._lost.reset(ids)

    def before_step(
        self,
        ids: Int[np.ndarray, " n"],
        observation: Observation,
        capture: Capture,
        base_action: Float[np.ndarray, "n 7"],
        residual: Float[np.ndarray, "n 7"],
        action: Float[np.ndarray, "n 7"],
    ) -> None:
        visible = observation.visible()
        chunks = chunk_features(self._base, ids, self._residual.chunk_phase, self._residual.coming_actions)
        asked = self._correct(ids, observation, base_action, visible, chunks, capture)
        asked = self._lost.withhold(ids, visible, asked)
        for env, label in zip(ids.tolist(), compose(base_action.astype(np.float32), asked), strict=True):
            self._rows[env].append(label)

    def after_step(self, ids: Int[np.ndarray, " n"], result: StepResult) -> None:
        """Labels are of the state before."""

    def end(self, outcomes: list[EpisodeOutcome]) -> None:
        for outcome, rows in zip(outcomes, self._rows.values(), strict=True):
            self.labels[outcome.seed] = np.stack(rows)
