"""The probability that a fitted pose is within 10 mm and 10 deg: a logistic regression on what the frame says of it.

`python -m benchmarks.tracking --split calibration` fits the coefficients on sequences that are never reported on.
"""

import numpy as np
from jaxtyping import Float

from ocrrl.perception.pose_fit import Body, Fit

NEAR_POSITION, NEAR_ROTATION = 0.010, float(np.deg2rad(10.0))  # [m], [rad]
FEATURES = (
    "constant",
    "visible",
    "contradicted",
    "misfit",
    "unexplained",
    "log agreeing pixels",
    "log position spread",
    "log rotation spread",
    "hidden",
)
COEFFICIENTS = np.array([2.0, 1.0, -10.0, -2.0, -3.0, 1.0, -1.0, -1.0, 0.0])
"""One a feature."""


def features(body: Body, fit: Fit) -> Float[np.ndarray, " F"]:
    """What the probability is computed from, in the order of `FEATURES`."""
    said = fit.agreement
    spread, turn_spread = fit.spread(body)
    return np.array(
        [
            1.0,
            said.visible,
            said.contradicted,
            said.misfit,
            1.0 - said.explained,
            np.log10(said.agree + 1.0) - 2.0,
            np.log10(spread / 0.001),
            np.log10(turn_spread / 0.01),
            said.hidden,
        ]
    )


def confidence(body: Body, fit: Fit) -> float:
    """P(error < 10 mm and < 10 deg), symmetry left out of account."""
    return float(1.0 / (1.0 + np.exp(-np.clip(features(body, fit) @ COEFFICIENTS, -30.0, 30.0))))
