"""What a sequential test can find, computed exactly before the first pair.

The chances of all counts of pairs are carried from pair to pair; those with a verdict are taken out (Armitage et al. 1969, JRSS A
132:235-244). Legend: N most pairs, a the pairs that only the first variant solves, b those that only the second solves.
"""

from functools import lru_cache
from typing import TypedDict

import numpy as np
from jaxtyping import Int8

from ocrrl.rollouts.sequential_test import DECISIONS, Decision, StoppingRule, decisions

_BISECTIONS = 20
_MOST_PAIRS = 400


class Prospects(TypedDict):
    """How a comparison ends: the chance of each verdict, and the mean number of pairs run."""

    better: float
    worse: float
    no_difference: float
    most_pairs_reached: float
    mean_pairs: float


def prospects(rule: StoppingRule, difference: float, discordance: float) -> Prospects:
    """How a comparison ends whose success rates differ by `difference`, and whose variants disagree in `discordance` of the pairs.

    Raises ValueError unless |difference| <= discordance <= 1.
    """
    if not abs(difference) <= discordance <= 1:
        raise ValueError(
            "the variants must disagree in at least as many pairs as the rates differ by, and in at most all: "
            f"got difference {difference}, discordance {discordance}"
        )
    only_first, only_second = (discordance - difference) / 2, (discordance + difference) / 2
    most, table = rule.most_pairs, decision_table(rule)
    ended = np.zeros(len(DECISIONS))
    mean_pairs = 0.0
    chance = np.zeros((most + 1, most + 1))  # of a, b, with no verdict yet
    chance[0, 0] = 1.0
    for pairs in range(1, most + 1):
        moved = chance * (1 - discordance)
        moved[1:] += chance[:-1] * only_first
        moved[:, 1:] += chance[:, :-1] * only_second
        found = np.bincount(table[pairs].ravel(), moved.ravel(), len(DECISIONS))
        found[0] = 0.0
        ended += found
        mean_pairs += pairs * float(found.sum())
        chance = np.where(table[pairs] == 0, moved, 0.0)

    def share(decision: Decision) -> float:
        return float(ended[DECISIONS.index(decision)])

    return {
        "better": share("better"),
        "worse": share("worse"),
        "no_difference": share("no_difference"),
        "most_pairs_reached": share("most_pairs_reached"),
        "mean_pairs": mean_pairs,
    }


def least_detectable_effect(rule: StoppingRule, discordance: float, power: float = 0.8) -> float | None:
    """The least difference of success rates that ends in `better` with a chance of `power`, where the variants disagree in
    `discordance` of the pairs; None where even `discordance`, the greatest difference possible, is found more seldom.
    """
    if not 0 < power < 1:
        raise ValueError(f"power must be in (0, 1), got {power}")
    if prospects(rule, discordance, discordance)["better"] < power:
        return None
    below, found = 0.0, discordance
    for _ in range(_BISECTIONS):
        middle = (below + found) / 2
        enough = prospects(rule, middle, discordance)["better"] >= power
        below, found = (below, middle) if enough else (middle, found)
    return found


@lru_cache(maxsize=8)
def decision_table(rule: StoppingRule) -> Int8[np.ndarray, "pairs a b"]:
    """What a look says by itself, as an index into DECISIONS, by pairs so far (0 to N), a and b (0 to N each).

    0 where a + b exceeds the pairs. Time and memory are those of N cubed, a second for 100 pairs: raises ValueError for more than 400.
    """
    if rule.most_pairs > _MOST_PAIRS:
        raise ValueError(f"power is computed for most_pairs of at most {_MOST_PAIRS}, got {rule.most_pairs}")
    most = rule.most_pairs
    table = np.zeros((most + 1, most + 1, most + 1), np.int8)
    grid = np.arange(most + 1)
    discordant = grid[:, None] + grid
    for pairs in range(1, most + 1):
        only_first, only_second = np.nonzero(discordant <= pairs)
        counts = np.stack([only_first, pairs - only_first - only_second, only_second], axis=-1)
        table[pairs, only_first, only_second] = decisions(rule, counts)
    table.setflags(write=False)
    return table
