"""Recorded comparisons, run again pair by pair in many random orders, and under the null.

Legend: R replays, n pairs; a score is 1 where only base + residual succeeded, -1 where only the base did, 0 else.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int

from benchmarks.measured_results import read_recorded
from ocrrl.report.inputs import CELLS, Measured
from ocrrl.rollouts.sequential_power import decision_table
from ocrrl.rollouts.sequential_test import DECISIONS, Decision, StoppingRule
from ocrrl.rollouts.statistics import PairedCounts

RESULTS = Path("benchmarks/recorded/results.json")
Scores = Int[np.ndarray, "R n"]


@dataclass(frozen=True)
class Comparison:
    """Base and base + residual of a tabletop task in a cell, from the same held-out states."""

    task: str
    cell: str
    paired: PairedCounts

    @property
    def scores(self) -> Int[np.ndarray, " pairs"]:
        """Of all pairs, in no order."""
        ties = self.paired["both"] + self.paired["neither"]
        return np.repeat([-1, 0, 1], [self.paired["only_base"], ties, self.paired["only_residual"]])

    @property
    def difference(self) -> float:
        return float(self.scores.mean())

    def rate(self, variant: str) -> float:
        """Success rate of `base` or `residual`."""
        return (self.paired["both"] + self.paired[f"only_{variant}"]) / len(self.scores)

    def in_random_order(self, replays: int, random: np.random.Generator) -> Scores:
        """All pairs, each replay in an order of its own."""
        return random.permuted(np.tile(self.scores, (replays, 1)), axis=1)

    def drawn(self, replays: int, random: np.random.Generator) -> Scores:
        """As many pairs, drawn with replacement: the difference of the whole population is the recorded one."""
        return random.choice(self.scores, (replays, len(self.scores)))

    def with_labels_swapped(self, replays: int, random: np.random.Generator) -> Scores:
        """The variants of each pair change places with a chance of one half: the rates are equal."""
        drawn = self.drawn(replays, random)
        return drawn * random.choice([-1, 1], drawn.shape)

    def against_itself(self, variant: str, replays: int, random: np.random.Generator) -> Scores:
        """Two variants that succeed independently of each other at `variant`'s rate."""
        first, second = random.random((2, replays, len(self.scores))) < self.rate(variant)
        return second.astype(int) - first.astype(int)

    def with_difference(self, difference: float, replays: int, random: np.random.Generator) -> Scores:
        """Pairs that disagree as often as those recorded, of which as many more are won by base + residual as `difference` says."""
        discordance = float(np.abs(self.scores).mean())
        chances = [(discordance - difference) / 2, 1 - discordance, (discordance + difference) / 2]
        return random.choice([-1, 0, 1], (replays, len(self.scores)), p=chances)


def recorded_comparisons(round_number: int, path: Path = RESULTS) -> list[Comparison]:
    """Those of a round: the tabletop tasks in simulation and in the twin."""
    found: Measured = read_recorded(path).rounds[round_number]
    return [
        Comparison(task.tabletop_task, cell, task.evaluations[0][cell]["paired"])
        for cell in CELLS
        for task in found.tasks
    ]


def counts_of(scores: Scores) -> Int[np.ndarray, "R n 3"]:
    """Pairs so far with score -1, 0, 1."""
    return np.cumsum(scores[..., None] == (-1, 0, 1), axis=1)


def looks_of(rule: StoppingRule, scores: Scores) -> Int[np.ndarray, "R n"]:
    """What each look says by itself, as an index into DECISIONS."""
    counts = counts_of(scores)
    pairs = np.arange(1, scores.shape[1] + 1)
    return decision_table(rule)[pairs, counts[..., 0], counts[..., 2]]


def ever(rule: StoppingRule, scores: Scores, said: Sequence[Decision]) -> Bool[np.ndarray, " R"]:
    """Whether any look says one of `said`, also one after a verdict."""
    found = np.isin(looks_of(rule, scores), [DECISIONS.index(decision) for decision in said])
    return np.asarray(found.any(axis=1))


def verdicts(rule: StoppingRule, scores: Scores) -> tuple[Int[np.ndarray, " R"], Int[np.ndarray, " R"]]:
    """How each replay ends, as an index into DECISIONS, and after how many pairs. n is the rule's most pairs."""
    looks = looks_of(rule, scores)
    last = np.argmax(looks != DECISIONS.index("not_yet"), axis=1)
    return looks[np.arange(len(looks)), last], last + 1
