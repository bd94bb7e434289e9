"""Where a tracker has lost an object for too long, a residual that needs its pose is not added: the base acts alone.

Legend: N environments, n of them selected by ids (n,); O tracked objects.
"""

import numpy as np
from jaxtyping import Bool, Float, Int

from ocrrl.interface.residual_observations import AnyResidual, ImageResidual

LOST_STEPS = 20
"""Control steps after which a residual that still lacks an object's pose is no longer added: training drops poses for a step."""


class LostObjects:
    """Counts for how many control steps an object was lost, in each of N environments."""

    def __init__(self, num_envs: int, residual: AnyResidual | None, most: int = LOST_STEPS) -> None:
        """A residual of images needs no poses; it acts whatever is lost."""
        self._steps, self._most = np.zeros(num_envs, int), most
        self._needs_poses = not isinstance(residual, ImageResidual)

    def reset(self, ids: Int[np.ndarray, " n"]) -> None:
        """Episodes begin."""
        self._steps[ids] = 0

    def withhold(
        self, ids: Int[np.ndarray, " n"], visible: Bool[np.ndarray, "n O"], residual: Float[np.ndarray, "n 7"]
    ) -> Float[np.ndarray, "n 7"]:
        """`residual`, float32, and zero where an object was lost for longer than `most` steps; to be asked at every control step."""
        if self._needs_poses:
            self._steps[ids] = np.where(visible.all(axis=-1), 0, self._steps[ids] + 1)
        return np.where(self._steps[ids, None] > self._most, 0.0, residual).astype(np.float32)
