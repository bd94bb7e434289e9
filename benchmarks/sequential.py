"""The sequential test on recorded outcomes: `python -m benchmarks.sequential`, about a minute.

Base against base + residual, 100 pairs a tabletop task in simulation and in the twin (benchmarks/recorded/results.json), run again
in random orders and under the null with a look after every pair: wrong verdicts, pairs to a verdict, coverage of the
confidence sequence, what can be found in so many pairs, and what the simulator's outcomes of the same states add to those of the
twin (the other files of benchmarks/recorded). Every number is of a simulator or a twin, none of a robot.
"""

import argparse
from collections.abc import Callable, Sequence
from functools import cache, partial

import numpy as np
from jaxtyping import Bool

from benchmarks.sequential_control import control_table
from benchmarks.sequential_replays import Comparison, Scores, counts_of, ever, recorded_comparisons, verdicts
from ocrrl.report.inputs import CELLS
from ocrrl.report.table import Table, markdown_table
from ocrrl.report.values import NONE, cell_label
from ocrrl.rollouts.sequential_power import least_detectable_effect, prospects
from ocrrl.rollouts.sequential_test import DECISIONS, StoppingRule, log_e_values, sequential_verdict
from ocrrl.rollouts.statistics import mcnemar_p, newcombe_interval, wilson_interval

RULE = StoppingRule()
REPLAYS = 10_000
"""Of each row that is split evenly over the tabletop tasks and cells; also random orders of each comparison."""
EASIEST = 3
SEED = 0
DISCORDANCES = (0.1, 0.2, 0.3, 0.5, 0.7)
"""Shares of pairs in which the variants disagree."""

Draw = Callable[[Comparison, int, np.random.Generator], Scores]


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    first, later = recorded_comparisons(0), recorded_comparisons(1)
    for table in (
        errors_table(first),
        pairs_table(first, "Round 0"),
        pairs_table(later, "Round 1: bases that were retrained"),
        coverage_table(first),
        widths_table(first),
        futility_table(first),
        power_table(),
        control_table(RULE.level),
    ):
        print(f"**{table.title}**\n\n{markdown_table(table)}\n{table.note}\n")


NULLS: dict[str, Draw] = {
    "variants of each recorded pair swapped at random": Comparison.with_labels_swapped,
    "the base against itself": lambda comparison, *draw: comparison.against_itself("base", *draw),
    "base + residual against itself": lambda comparison, *draw: comparison.against_itself("residual", *draw),
}


def errors_table(comparisons: Sequence[Comparison]) -> Table:
    """Replays with equal rates in which any of the looks says `better` or `worse`."""
    random = np.random.default_rng(SEED)
    rows: list[tuple[str, ...]] = []
    for name, draw in NULLS.items():
        strata = _strata(comparisons, draw, random)
        wrong = [ever(RULE, scores, ("better", "worse")) for scores in strata]
        fixed = [_mcnemar_at_any_look(scores) for scores in strata]
        rows.append((name, *_shares(wrong), f"{100 * float(np.mean(fixed)):.1f}%"))
    return Table(
        ("equal rates by", "replays", "better or worse", "95% interval", "worst task", "McNemar's p <= 0.05"),
        rows,
        title=f"Wrong verdicts at level {RULE.level:g}, a look after each of {RULE.most_pairs} pairs",
        note="Any look counts. The last column is what the same looks give with a test that allows only one.",
    )


def pairs_table(comparisons: Sequence[Comparison], when: str) -> Table:
    """Pairs to a verdict in random orders of each comparison."""
    random = np.random.default_rng(SEED)
    rows: list[tuple[str, ...]] = []
    medians: dict[str, list[float]] = {cell: [] for cell in CELLS}
    for task in dict.fromkeys(comparison.task for comparison in comparisons):
        row = [task]
        for comparison in (found for found in comparisons if found.task == task):
            ends, pairs = verdicts(RULE, comparison.in_random_order(REPLAYS, random))
            shares = [float(np.mean(ends == DECISIONS.index(end))) for end in ("better", "worse", "no_difference")]
            decided = np.where(ends == DECISIONS.index("most_pairs_reached"), np.inf, pairs)
            medians[comparison.cell].append(float(np.median(decided)))
            quantile = np.quantile(decided, 0.9, method="higher")
            row += [f"{100 * comparison.difference:+.0f}", _pairs(np.median(decided)), _pairs(quantile)]
            row.append(" / ".join(f"{100 * share:.1f}" for share in shares))
        rows.append(tuple(row))
    header = [f"{cell}: {name}" for cell in CELLS for name in ("points", "median", "90%", "better / worse / none, %")]
    said = (
        f"{cell_label(cell)}: {_pairs(np.median(found))} (median of the tasks), {_pairs(sorted(found)[EASIEST - 1])} (third easiest "
        f"task), {_pairs(max(found))} (hardest)"
        for cell, found in medians.items()
    )
    return Table(
        ("tabletop task", *header),
        rows,
        title=f"{when}: pairs to a verdict, {REPLAYS:,} random orders of each comparison",
        note=f"Median pairs, {'; '.join(said)}.",
    )


def coverage_table(comparisons: Sequence[Comparison]) -> Table:
    """Replays in which the confidence sequence holds the true difference at all looks together."""
    random = np.random.default_rng(SEED)
    kinds: dict[str, tuple[Draw, bool]] = {
        "recorded pairs, drawn with replacement": (Comparison.drawn, False),
        "recorded pairs, in random order": (Comparison.in_random_order, False),
        **{f"equal rates: {name}": (draw, True) for name, draw in NULLS.items()},
    }
    rows: list[tuple[str, ...]] = []
    for name, (draw, equal) in kinds.items():
        held: list[Bool[np.ndarray, " R"]] = []
        for comparison, scores in zip(comparisons, _strata(comparisons, draw, random), strict=True):
            log_e = log_e_values(0.0 if equal else comparison.difference, counts_of(scores))
            held.append((log_e < -np.log(RULE.level)).all(axis=1))
        rows.append((name, *_shares(held, worst=min)))
    return Table(
        ("pairs", "replays", "true difference inside at every look", "95% interval", "worst task"),
        rows,
        title=f"Coverage of the confidence sequence, {RULE.most_pairs} looks together",
        note=f"At least {100 * (1 - RULE.level):g}% is what is promised.",
    )


def widths_table(comparisons: Sequence[Comparison]) -> Table:
    """Mean width of the confidence sequence, and of an interval that is valid at one look only."""
    random = np.random.default_rng(SEED)
    looks, orders = (10, 25, 50, 100), 5
    rows: list[tuple[str, ...]] = []
    for cell in CELLS:
        widths = np.array(
            [
                [_widths(order[:pairs]) for pairs in looks]
                for comparison in comparisons
                if comparison.cell == cell
                for order in comparison.in_random_order(orders, random)
            ]
        ).mean(axis=0)  # (looks, 2)
        rows += [
            (cell_label(cell), kind, *(f"{100 * width:.0f}" for width in widths[:, k]))
            for k, kind in enumerate(("confidence sequence", "one look (Newcombe)"))
        ]
    return Table(
        ("where", "interval", *(f"{pairs} pairs" for pairs in looks)),
        rows,
        text_columns=2,
        title="Width of the 95% interval [points], mean over the tasks",
        note="What looks after every pair cost.",
    )


def futility_table(comparisons: Sequence[Comparison]) -> Table:
    """How often and when a comparison ends with `no_difference`."""
    random = np.random.default_rng(SEED)
    effect = RULE.least_effect
    draws: dict[str, Draw] = {
        "recorded pairs, in random order": Comparison.in_random_order,
        **{
            f"recorded disagreement, difference {100 * sign * effect:+.0f} points": partial(_differing, sign * effect)
            for sign in (1, -1)
        },
        **{f"equal rates: {name}": draw for name, draw in NULLS.items()},
    }
    rows: list[tuple[str, ...]] = []
    for name, draw in draws.items():
        ended = [verdicts(RULE, scores) for scores in _strata(comparisons, draw, random)]
        futile = [ends == DECISIONS.index("no_difference") for ends, _ in ended]
        after = np.concatenate([pairs[found] for (_, pairs), found in zip(ended, futile, strict=True)])
        meaning = "right" if name.startswith("equal") else "wrong"
        rows.append((name, meaning, *_shares(futile)[:2], _pairs(np.median(after)) if len(after) else NONE))
    return Table(
        ("pairs", "no difference would be", "replays", "no difference", "median pairs"),
        rows,
        text_columns=2,
        title=f"Stops for futility: no difference of {100 * effect:.0f} points or more, at most {RULE.most_pairs} pairs",
        note="Few of the equal rates are found so where the variants disagree often: that takes more pairs.",
    )


def power_table() -> Table:
    """The least effect that is found with 80% power, and the exact chances where the rates are equal."""
    rows: list[tuple[str, ...]] = []
    for most_pairs in (25, 50, 100):
        rule, effect = StoppingRule(most_pairs=most_pairs), f"{100 * RULE.least_effect:.0f}"
        found = [least_detectable_effect(rule, share) for share in DISCORDANCES]
        equal = [prospects(rule, 0.0, share) for share in DISCORDANCES]
        rows += [
            (str(most_pairs), "least detectable effect", *(_points(effect) for effect in found)),
            (
                str(most_pairs),
                "equal: wrong verdict",
                *(f"{100 * (end['better'] + end['worse']):.1f}%" for end in equal),
            ),
            (
                str(most_pairs),
                f"differ by {effect}: no difference",
                *(_wrongly_none(rule, share) for share in DISCORDANCES),
            ),
            (str(most_pairs), "equal: no difference", *(f"{100 * end['no_difference']:.0f}%" for end in equal)),
            (str(most_pairs), "equal: mean pairs", *(f"{end['mean_pairs']:.0f}" for end in equal)),
        ]
    return Table(
        ("most pairs", "what", *(f"disagree in {100 * share:.0f}%" for share in DISCORDANCES)),
        rows,
        text_columns=2,
        title="Before the first pair: the least difference [points] found with 80% power, computed exactly",
        note="A dash: not even the greatest difference that so much disagreement allows.",
    )


def _differing(difference: float, comparison: Comparison, replays: int, random: np.random.Generator) -> Scores:
    return comparison.with_difference(difference, replays, random)


def _strata(comparisons: Sequence[Comparison], draw: Draw, random: np.random.Generator) -> list[Scores]:
    """REPLAYS replays, split evenly over the comparisons."""
    return [draw(comparison, REPLAYS // len(comparisons), random) for comparison in comparisons]


def _shares(
    strata: Sequence[Bool[np.ndarray, " R"]], worst: Callable[[Sequence[float]], float] = max
) -> tuple[str, ...]:
    """Replays, the share of true ones with its Wilson interval, the worst stratum's share."""
    replays, true = sum(map(len, strata)), int(sum(stratum.sum() for stratum in strata))
    low, high = wilson_interval(true, replays)
    furthest = worst([float(stratum.mean()) for stratum in strata])
    shares = (f"{100 * true / replays:.2f}%", f"{100 * low:.2f} to {100 * high:.2f}%", f"{100 * furthest:.1f}%")
    return (f"{replays:,}", *shares)


def _mcnemar_at_any_look(scores: Scores) -> Bool[np.ndarray, " R"]:
    counts = counts_of(scores)
    return np.asarray(_significant(scores.shape[1])[counts[..., 0], counts[..., 2]].any(axis=1))


@cache
def _significant(most: int) -> Bool[np.ndarray, "a b"]:
    return np.array([[mcnemar_p(a, b) <= RULE.level for b in range(most + 1)] for a in range(most + 1)])


def _widths(scores: np.ndarray) -> tuple[float, float]:
    verdict = sequential_verdict(RULE, [(score < 0, score > 0) for score in scores])
    # Of the ties only the number counts here, and for Newcombe's method how both and neither share it: evenly.
    won, lost = verdict["only_second"], verdict["only_first"]
    both = (len(scores) - won - lost) // 2
    low, high = newcombe_interval(both, won, lost, len(scores) - won - lost - both)
    return verdict["high"] - verdict["low"], high - low


def _wrongly_none(rule: StoppingRule, discordance: float) -> str:
    if discordance < rule.least_effect:
        return NONE
    return f"{100 * prospects(rule, rule.least_effect, discordance)['no_difference']:.1f}%"


def _pairs(pairs: float | np.floating) -> str:
    return f"> {RULE.most_pairs}" if np.isinf(pairs) else f"{pairs:.0f}"


def _points(effect: float | None) -> str:
    return NONE if effect is None else f"{100 * effect:.0f}"


if __name__ == "__main__":
    main()
