"""One episode of a foreign dataset before conversion: numbers by feature, images by camera.

Legend: T rows of a feature, F images of a camera; they may disagree here, and `episode_meaning` refuses it.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8


@dataclass(frozen=True)
class RawEpisode:
    """The rows of one episode, in order, at the recording's own rate."""

    columns: dict[str, Float[np.ndarray, "T d"]]
    """Every feature that the mapping names, by its key."""
    names: dict[str, list[str]]
    """The names of each feature's numbers, where the dataset gives them."""
    images: dict[str, UInt8[np.ndarray, "F h w 3"]]
    """RGB by OUR camera name, brought to the size that was asked for as they were decoded."""
    instruction: str | None
    """None where the dataset has none."""
    fps: float
    notes: tuple[str, ...] = ()
    """What was done in reading it that a person should know."""
