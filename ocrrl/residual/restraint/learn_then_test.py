"""Choosing a gate's margin so that the harm that it does is bounded with a confidence (learn then test, arXiv 2110.01052).

Harm is the probability that base + residual fails from an initial state that the base solves. States are drawn independently, so of n
states that the base solves, a policy of harm h loses a binomial number. For each margin the hypothesis is that its harm exceeds the
limit; its p-value is exact, P(Binomial(n, limit) <= lost). Margins are tested in the order that the configuration gives, from the
most cautious on, each at the whole error level, until the first that is not rejected (fixed sequence testing): every margin before
it is within the limit, all together with the confidence. So the best of them by success may be taken, seen on the same states.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import comb
from typing import Any

from ocrrl.residual.gate_config import GateConfig
from ocrrl.residual.restraint.critic_gate import ALWAYS, NEVER, margin_said


@dataclass(frozen=True)
class Course:
    """What became of one initial state."""

    success: bool
    acting: float
    """Share of the control steps on which the residual acted."""


@dataclass(frozen=True)
class Tested:
    """A margin, and what was seen of it on the states of the calibration."""

    margin: float
    base_solved: int
    lost: int
    """Of those, by base + residual."""
    success_rate: float
    acting: float
    p: float
    """Of the hypothesis that its harm exceeds the limit."""


@dataclass(frozen=True)
class Calibration:
    """The margin that was chosen, and on what grounds."""

    margin: float
    tested: Sequence[Tested]
    certified: int
    """So many of `tested`, from the first on, are within the limit."""
    statement: str

    def described(self) -> dict[str, Any]:
        """For config.json."""
        rows = [{**vars(tested), "margin": margin_said(tested.margin)} for tested in self.tested]
        return {
            "margin": margin_said(self.margin),
            "tested": rows,
            "certified": self.certified,
            "statement": self.statement,
        }


def binomial_p(lost: int, solved: int, harm: float) -> float:
    """P(Binomial(solved, harm) <= lost): how likely so few losses are where the harm is at the limit `harm`; 1 without a state."""
    return min(1.0, sum(comb(solved, k) * harm**k * (1.0 - harm) ** (solved - k) for k in range(lost + 1)))


def certified_count(p_values: Sequence[float], level: float) -> int:
    """How many hypotheses, from the first on, fixed sequence testing rejects at `level`."""
    return next((i for i, p in enumerate(p_values) if p > level), len(p_values))


def calibrate(
    config: GateConfig, base: Sequence[bool], run: Callable[[float], Sequence[Course]], cell: str
) -> Calibration:
    """The margin for which base + residual succeeds most, among those whose harm is within `config.harm` with `config.confidence`.

    `base` says which of the states the base solves; `run` gives what becomes of them with a margin, in the same order. On ties the
    margin with which the residual acts more wins. Where no margin can be certified, the residual never acts. ValueError where
    `run` gives another number of states.
    """
    tested: list[Tested] = []
    level = 1.0 - config.confidence
    for margin in (*config.margins, ALWAYS):
        courses = run(margin)
        if len(courses) != len(base):
            raise ValueError(f"a margin must be tried on the base's {len(base)} states, got {len(courses)}")
        lost = sum(solved and not course.success for solved, course in zip(base, courses, strict=True))
        success = sum(course.success for course in courses) / len(courses)
        acting = sum(course.acting for course in courses) / len(courses)
        tested.append(Tested(margin, sum(base), lost, success, acting, binomial_p(lost, sum(base), config.harm)))
        if tested[-1].p > level:
            break
    count = certified_count([one.p for one in tested], level)
    chosen = max(tested[:count], key=lambda one: (one.success_rate, -one.margin), default=None)
    return Calibration(chosen.margin if chosen else NEVER, tested, count, _statement(config, chosen, sum(base), cell))


def _statement(config: GateConfig, chosen: Tested | None, solved: int, cell: str) -> str:
    limit = f"at most {100 * config.harm:g}% of the initial states that the base solves in {cell}"
    if chosen is None:
        return (
            f"no margin could be shown to lose {limit}, with {100 * config.confidence:g}% confidence, on {solved} states that it "
            "solves: the residual never acts"
        )
    return (
        f"with {100 * config.confidence:g}% confidence, base + residual loses {limit}; seen: {chosen.lost} of {solved}, the residual "
        f"acting on {100 * chosen.acting:.0f}% of the steps"
    )
