"""The outcome of an episode. T control steps, O tracked objects."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32

from ocrrl.interface.protocols import Abort


@dataclass(frozen=True)
class EpisodeTrace:
    """The course of one episode, as the policies saw it, for the figures on the residual (Fig. 5, 7a)."""

    gripper_positions: Float32[np.ndarray, "T 3"]
    """Measured, before each step [m], robot base frame."""
    object_positions: Float32[np.ndarray, "T O 3"]
    """As the tracker gave them [m], robot base frame."""
    object_visible: Bool[np.ndarray, "T O"]
    """Whether the pose passed the confidence gate."""
    base_actions: Float32[np.ndarray, "T 7"]
    residuals: Float32[np.ndarray, "T 7"]
    """Zero where no residual ran."""
    handed_over: Bool[np.ndarray, " T"] | None = None
    """Whether base + residual acted, of an episode that the base began alone (`interface.protocols.Handover`); None of others."""

    @property
    def acting(self) -> float:
        """Share of the steps on which a residual was added."""
        return float(self.residuals.any(axis=-1).mean())


@dataclass(frozen=True)
class EpisodeOutcome:
    """One episode: its initial state's seed, whether it succeeded, its length in control steps, its summed reward."""

    seed: int
    success: bool
    steps: int
    total_reward: float
    trace: EpisodeTrace | None = None
    aborted: Abort | None = None
    """What ended it before its time, in a cell where that happens."""
