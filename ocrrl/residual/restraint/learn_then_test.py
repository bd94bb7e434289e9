"""Choosing a gate's margin so that the harm that it does is bounded with a confidence (learn then test, arXiv 2110.01052).

Harm is the probability that base + residual fails from an initial state that the base solves; net harm is it less a placebo's. States
are drawn independently. For each margin the hypothesis is that its harm exceeds the limit. Of n states that the base solves, a policy
of harm h loses a binomial number, so the p-value is P(Binomial(n, limit) <= lost); that of net harm is `betting_p`. Both hold for
any n. Margins are tested in the order that the configuration gives, from the most cautious on, each at the whole error level, until
the first that is not rejected (fixed sequence testing): every margin before it is within the limit, all together with the
confidence. So the best of them by success may be taken, seen on the same states.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import comb
from typing import Any

import numpy as np

from ocrrl.residual.gate_config import GateConfig
from ocrrl.residual.restraint.critic_gate import ALWAYS, NEVER, margin_said

_GAMBLERS = 40


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
    lost_by_placebo: int | None
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


def betting_p(losses: Sequence[float], limit: float) -> float:
    """A p-value of "the mean loss is at least `limit`" for losses in [-1, 1], as they came, one after the other.

    A gambler bets a share b of their capital on each loss being below the limit: prod_i (1 + b (limit - loss_i)), in expectation at
    most 1 while the hypothesis holds. Many gamblers with bets spread evenly share one capital here; by Ville's inequality its largest
    value exceeds 1/p with probability at most p (Waudby-Smith and Ramdas, arXiv 2010.09686). Unlike Hoeffding's bound it gains from
    losses that are mostly 0, as paired ones are.
    """
    largest = 0.9 / (1.0 - limit)  # of a bet, at which no loss ruins
    bets = np.linspace(0.0, largest, _GAMBLERS + 1)[1:, None]
    capital = np.exp(np.cumsum(np.log1p(bets * (limit - np.asarray(losses, float))), axis=1)).mean(axis=0)
    return float(min(1.0, 1.0 / capital.max(initial=1.0)))


def certified_count(p_values: Sequence[float], level: float) -> int:
    """How many hypotheses, from the first on, fixed sequence testing rejects at `level`."""
    return next((i for i, p in enumerate(p_values) if p > level), len(p_values))


def calibrate(
    config: GateConfig,
    base: Sequence[bool],
    placebo: Sequence[bool] | None,
    run: Callable[[float], Sequence[Course]],
    cell: str,
) -> Calibration:
    """The margin for which base + residual succeeds most, among those whose harm is within `config.harm` with `config.confidence`.

    `base` and `placebo` say which of the states they solve; `run` gives what becomes of them with a margin, in the same order. On ties
    the margin with which the residual acts more wins. Where no margin can be certified, the residual never acts. ValueError where
    these are other numbers of states, or a placebo is missing where harm is net.
    """
    if config.net and placebo is None:
        raise ValueError("a placebo must be run where gate.net is true, got none")
    placebo, tested, level = placebo if config.net else None, list[Tested](), 1.0 - config.confidence
    for margin in (*config.margins, ALWAYS):
        courses = run(margin)
        if len({len(base), len(courses), len(base if placebo is None else placebo)}) > 1:
            raise ValueError(f"a margin must be tried on the base's {len(base)} states, got {len(courses)}")
        tested.append(_tested(config, margin, base, placebo, courses))
        if tested[-1].p > level:
            break
    count = certified_count([one.p for one in tested], level)
    chosen = max(tested[:count], key=lambda one: (one.success_rate, -one.margin), default=None)
    return Calibration(chosen.margin if chosen else NEVER, tested, count, _statement(config, chosen, sum(base), cell))


def _tested(
    config: GateConfig,
    margin: float,
    base: Sequence[bool],
    placebo: Sequence[bool] | None,
    courses: Sequence[Course],
) -> Tested:
    lost = [not course.success for solved, course in zip(base, courses, strict=True) if solved]
    by_placebo = None if placebo is None else [not p for solved, p in zip(base, placebo, strict=True) if solved]
    if by_placebo is None:
        p = binomial_p(sum(lost), len(lost), config.harm)
    else:
        p = betting_p([float(a) - float(b) for a, b in zip(lost, by_placebo, strict=True)], config.harm)
    success, acting = (
        sum(values) / len(courses) for values in zip(*((c.success, c.acting) for c in courses), strict=True)
    )
    return Tested(margin, len(lost), sum(lost), None if by_placebo is None else sum(by_placebo), success, acting, p)


def _statement(config: GateConfig, chosen: Tested | None, solved: int, cell: str) -> str:
    net = ", net of those that a placebo loses" if config.net else ""
    limit = f"at most {100 * config.harm:g}% of the initial states that the base solves in {cell}{net}"
    if chosen is None:
        return (
            f"no margin could be shown to lose {limit}, with {100 * config.confidence:g}% confidence, on {solved} states that the "
            "base solves: the residual never acts"
        )
    by_placebo = "" if chosen.lost_by_placebo is None else f", {chosen.lost_by_placebo} by the placebo"
    return (
        f"with {100 * config.confidence:g}% confidence, base + residual loses {limit}; seen: {chosen.lost} of {solved}{by_placebo}, "
        f"the residual acting on {100 * chosen.acting:.0f}% of the steps"
    )
