"""The measured distance of a recording's fingers in metres.

Legend: T rows.
"""

import numpy as np
from jaxtyping import Float

from ocrrl.episodes.episode_checks import MAX_WIDTH, EpisodeRejected


def measured_width(values: Float[np.ndarray, "T n"], scale: float, at_zero: float) -> Float[np.ndarray, " T"]:
    """The width [m] of one number a row, or of two fingers' positions, whose distance it is; raises `EpisodeRejected`."""
    if values.shape[1] not in (1, 2):
        raise EpisodeRejected("gripper_width", "1 number, or 2 fingers' positions", f"{values.shape[1]}")
    raw = values[:, 0] if values.shape[1] == 1 else np.abs(values).sum(axis=-1)
    width = at_zero + scale * raw
    if not np.isfinite(width).all():
        raise EpisodeRejected(
            "gripper_width", "finite", f"NaN or infinity at step {int(np.argmin(np.isfinite(width)))}"
        )
    low, high = float(width.min(initial=0.0)), float(width.max(initial=0.0))
    if low < -0.01 or high > MAX_WIDTH:
        got = high if high > MAX_WIDTH else low
        raise EpisodeRejected("gripper_width", f"in metres, in [-0.01, {MAX_WIDTH:.2f}]", f"{got:g}{_width_hint(raw)}")
    return width


def _width_hint(raw: np.ndarray) -> str:
    low, high = float(raw.min()), float(raw.max())
    if low < -1e-6:
        return " (0 open and below when closed? then gripper_width_at_zero: 0.08)" if high < 0.01 else ""
    for top, name, scale in ((1.02, "0..1", 0.08), (100.0, "millimetres", 0.001), (255.0, "0..255", 0.08 / 255)):
        if high <= top:
            return f" ({name}? then gripper_width_scale: {scale:.5g})"
    return ""
