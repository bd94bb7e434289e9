"""A script in the place of a person who steps in, for twins: takes over where the tabletop task's progress stalls.

Legend: N environments, n of them selected by ids (n,). Progress is the task's staged reward in [0, 1] (Table 3).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from ocrrl.interface.actions import ACTION_DIM, limit
from ocrrl.interface.observations import Observation
from ocrrl.interface.protocols import Capture, Policy
from ocrrl.sim.teleoperator import TrueStateEnvironment
from ocrrl.tabletop.parts.scene import TabletopScene


@dataclass(frozen=True)
class StallRule:
    """When a person takes over, and when they give back."""

    patience: int = 20
    """Control steps without progress after which they take over."""
    least_progress: float = 0.02
    """What counts as progress: so much more than the most so far."""
    brought_on: float = 0.3
    """They give back once progress is so much above the most that it was before; at the end of the task never."""

    def __post_init__(self) -> None:
        if self.patience < 1:
            raise ValueError(f"patience must be at least 1, got {self.patience}")
        for name in ("least_progress", "brought_on"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"{name} must be in (0, 1], got {getattr(self, name)}")


class ScriptedIntervener:
    """`interface.protocols.Intervener` in N environments; acts as `demonstrator` does, planning anew at each take-over."""

    def __init__(
        self,
        environment: TrueStateEnvironment,
        scene: TabletopScene,
        demonstrator: Policy,
        rule: StallRule | None = None,
    ) -> None:
        self._environment, self._scene, self._demonstrator = environment, scene, demonstrator
        self._rule, n = rule or StallRule(), environment.num_envs
        self._acting = np.zeros(n, bool)
        self._most = np.zeros(n)  # progress so far
        self._still = np.zeros(n, int)  # control steps since it rose
        self._goal = np.zeros(n)  # progress at which to give back
        self._seeds = np.zeros(n, np.int64)

    def ready(self) -> None:
        """A script is always there."""

    def reset(self, ids: Int[np.ndarray, " n"], seeds: Sequence[int]) -> None:
        """As `interface.protocols.Intervener`."""
        self._acting[ids], self._seeds[ids] = False, seeds
        self._most[ids], self._still[ids] = -np.inf, 0

    def act(
        self,
        observation: Observation,
        ids: Int[np.ndarray, " n"],
        capture: Capture,
        openings: Float[np.ndarray, " n"],
    ) -> tuple[Bool[np.ndarray, " n"], Float[np.ndarray, "n 7"]]:
        """As `interface.protocols.Intervener`."""
        progress = self._progress()[ids]
        risen = progress >= self._most[ids] + self._rule.least_progress
        self._still[ids] = np.where(risen, 0, self._still[ids] + 1)
        self._most[ids] = np.where(risen, progress, self._most[ids])
        acting = self._acting[ids]

        given_back = ids[acting & (progress >= self._goal[ids])]
        self._acting[given_back], self._still[given_back] = False, 0
        taken = ids[~acting & (self._still[ids] >= self._rule.patience)]
        if len(taken):
            self._acting[taken] = True
            self._goal[taken] = self._most[taken] + self._rule.brought_on
            self._demonstrator.reset(taken, self._seeds[taken].tolist())

        acting, actions = self._acting[ids], np.zeros((len(ids), ACTION_DIM))
        if acting.any():
            actions[acting] = limit(self._demonstrator.act(observation.take(acting), ids[acting], capture))
        return acting, actions

    def _progress(self) -> Float[np.ndarray, " N"]:
        stages = self._scene.stage_rewards(self._environment.true_state())
        return np.clip(sum(stages.values()), 0.0, 1.0)
