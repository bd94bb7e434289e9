"""LeRobot policies that take a window of observations, in a slot that gives one observation and takes a chunk.

Most of LeRobot's policies take one observation, and name H, the actions in a chunk, `chunk_size`. Diffusion Policy (arXiv 2303.04137)
takes `n_obs_steps` observations and predicts `horizon` actions, the first at the time of the first observation. With a window of one
observation, its `horizon` is H.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

WINDOW_TYPES = ("diffusion",)


def chunk_field(policy_type: object) -> str:
    """The field of a LeRobot configuration of `policy_type` with H."""
    return "horizon" if policy_type in WINDOW_TYPES else "chunk_size"


def as_window(observation: "Mapping[str, Tensor]", policy_type: str) -> "dict[str, Tensor]":
    """Observations (B, ...) as a policy of `policy_type` takes them: (B, 1, ...), where it takes a window."""
    if policy_type not in WINDOW_TYPES:
        return dict(observation)
    return {name: values.unsqueeze(1) for name, values in observation.items()}
