"""Per-feature statistics for LeRobot's normalisation: min, max, mean, std, count and quantiles.

Legend: n rows of d numbers; image statistics are per channel, of intensities in [0, 1].
"""

import numpy as np
from jaxtyping import Int, Real, UInt8

QUANTILES = {"q01": 0.01, "q10": 0.10, "q50": 0.50, "q90": 0.90, "q99": 0.99}
_SAMPLED_FRAMES = 100  # of an episode; more say nothing new
_SAMPLED_SIDE = 150  # pixels

Statistics = dict[str, np.ndarray]


def row_statistics(rows: Real[np.ndarray, "n d"]) -> Statistics:
    """Statistics of `rows`, each (d,), and `count` (1,)."""
    rows = np.asarray(rows, np.float64)
    return {
        "min": rows.min(0),
        "max": rows.max(0),
        "mean": rows.mean(0),
        "std": rows.std(0),
        "count": np.array([len(rows)]),
    } | {name: np.quantile(rows, level, axis=0) for name, level in QUANTILES.items()}


def intensity_histogram(frames: UInt8[np.ndarray, "n H W 3"]) -> Int[np.ndarray, "3 256"]:
    """How often each intensity occurs in each channel, over evenly spaced frames and pixels."""
    every = -(-len(frames) // _SAMPLED_FRAMES)
    stride = max(1, max(frames.shape[1:3]) // _SAMPLED_SIDE)
    sample = frames[::every, ::stride, ::stride]
    return np.stack([np.bincount(sample[..., channel].ravel(), minlength=256) for channel in range(3)])


def image_statistics(histogram: Int[np.ndarray, "3 256"], frames: int) -> Statistics:
    """Statistics of the images that `histogram` counts, each (3, 1, 1), and `count` (1,), the number of `frames`."""
    levels = np.arange(256) / 255.0
    weight = histogram / histogram.sum(1, keepdims=True)
    mean = weight @ levels
    present = histogram > 0
    cumulative = weight.cumsum(1)
    statistics = {
        "min": levels[present.argmax(1)],
        "max": levels[255 - present[:, ::-1].argmax(1)],
        "mean": mean,
        "std": np.sqrt(np.maximum(weight @ levels**2 - mean**2, 0.0)),
    } | {name: levels[(cumulative >= level - 1e-12).argmax(1)] for name, level in QUANTILES.items()}
    return {name: value.reshape(3, 1, 1) for name, value in statistics.items()} | {"count": np.array([frames])}
