"""Confidence of a fitted pose, P(error within 10 mm and 10 deg): logistic regression on its agreement with the frame.

`python -m benchmarks.tracking --split calibration` fits the coefficients on sequences that are never reported on.
"""

from math import erf, sqrt

import numpy as np
from jaxtyping import Float

from ocrrl.perception.tracking.fitting.pose_fit import Body, Fit

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
    "unknown",
)
COEFFICIENTS = np.array([4.53, 1.69, -10.48, -10.39, -5.88, -0.3, -0.42, -0.62, -0.92])
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
            said.unknown / max(said.predicted, 1.0),
        ]
    )


def probability(features: Float[np.ndarray, " F"]) -> float:
    """P(error < 10 mm and < 10 deg), symmetry left out of account.

    The regression's, times the chance that a normal error of the fit's own spreads is that small: few poses that nothing
    holds fast are among those it was fitted to.
    """
    regressed = 1.0 / (1.0 + np.exp(-np.clip(features @ COEFFICIENTS, -30.0, 30.0)))
    spread, turn_spread = 0.001 * 10 ** features[6], 0.01 * 10 ** features[7]
    return float(regressed * erf(NEAR_POSITION / spread / sqrt(2)) * erf(NEAR_ROTATION / turn_spread / sqrt(2)))


def confidence(body: Body, fit: Fit) -> float:
    """The probability for a fit; 0 where the same pose further along explains the image better."""
    return probability(features(body, fit)) if fit.lead >= 0.0 else 0.0
