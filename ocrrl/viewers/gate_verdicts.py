"""What the gates decided in a recorded episode: the cell's limits on each action, and the gate on each object's pose.

T control steps, O objects. The safety gate's verdicts are not in an episode as such: they follow from the action that was
applied, against the one that was asked for, base ⊕ residual.
"""

import numpy as np
from jaxtyping import Bool, Int

from ocrrl.interface.actions import compose
from ocrrl.interface.episode import Episode

FOLLOWED, LIMITED, REFUSED = 0, 1, 2
VERDICTS = ("followed", "limited", "refused")
"""By number: applied as asked; a limit left less of it; refused, the arm held."""
_ROUNDING = 1e-6  # [m], [rad] between an action composed in float32 and in float64


def safety_verdicts(episode: Episode) -> Int[np.ndarray, " T"] | None:
    """The verdict of each step; None where nobody recorded what was asked for, as in a demonstration."""
    if episode.base_action is None or episode.residual is None:
        return None
    asked = compose(episode.base_action, episode.residual)
    differs = (np.abs(asked - episode.action) > _ROUNDING).any(axis=1)
    held = (episode.action[:, :6] == 0).all(axis=1)
    return np.where(differs & held, REFUSED, np.where(differs, LIMITED, FOLLOWED))


def shown_to_policies(episode: Episode) -> Bool[np.ndarray, "T O"] | None:
    """Whether the policies saw each object; None where no poses were recorded."""
    return None if episode.object_poses is None else episode.observation().visible()
