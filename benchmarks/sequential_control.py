"""The simulator as a control variate of the twin, on recorded outcomes of the same states."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Int

from benchmarks.recorded_units import Units, read_units
from ocrrl.report.inputs import CELLS
from ocrrl.report.table import Table
from ocrrl.report.values import NONE
from ocrrl.rollouts.control_variate import COEFFICIENT, controlled_limits, controlled_log_e_values
from ocrrl.tabletop.registry import slugs

FOLDER = Path("benchmarks/recorded")
SEED = 0
LISTED = 1000
LOOKS = (25, 50, 100)
ORDERS, ORDERS_OF_WIDTHS = 200, 10

Scores = Int[np.ndarray, " states"]


def control_table(level: float) -> Table:
    """Width of the twin's interval with the simulator's outcomes, over the width without them."""
    random = np.random.default_rng(SEED)
    rows: list[tuple[str, ...]] = []
    covered: list[float] = []
    for name, simulated, scores in recorded_scores():
        drawn = random.integers(len(scores), size=LISTED)
        listed, true = simulated[drawn], scores[drawn]
        orders = np.stack([random.permutation(LISTED)[: max(LOOKS)] for _ in range(ORDERS)])

        def width(pairs: int, coefficient: float) -> float:
            run = orders[:ORDERS_OF_WIDTHS, :pairs]  # noqa: B023
            low, high = controlled_limits(level, true[run], listed[run], listed, coefficient)  # noqa: B023
            return float(np.mean(high - low))

        ratios = (f"{width(pairs, COEFFICIENT) / width(pairs, 0.0):.2f}" for pairs in LOOKS)
        rows.append((*name, _correlation(simulated, scores), *ratios))
        mean = np.full(ORDERS, true.mean())
        log_e = controlled_log_e_values(mean, true[orders], listed[orders], listed, COEFFICIENT)
        covered.append(float((log_e < -np.log(level)).all(axis=1).mean()))
    return Table(
        ("tabletop task", "base", "correlation", *(f"{pairs} pairs" for pairs in LOOKS)),
        rows,
        text_columns=2,
        title=f"Simulator as a control variate of the twin (c = {COEFFICIENT:g}): width of the interval with it over without it",
        note=(
            f"A list of {LISTED:,} states drawn from the recorded ones, {max(LOOKS)} of them run. The list's mean was inside at "
            f"every look in {100 * np.mean(covered):.1f}% of {ORDERS * len(rows):,} comparisons."
        ),
    )


def recorded_scores() -> Iterator[tuple[tuple[str, str], Scores, Scores]]:
    """(Tabletop task, base), and base + residual's scores against the base's, in simulation and in the twin, from the same seeds."""
    first, strong, bases = (
        read_units(FOLDER / f"{name}.json") for name in ("failure_modes", "strong_base", "across_bases")
    )
    for task in slugs():
        yield (task, "compact"), *_scores(first, f"{task} base", f"{task} residual")
    yield ("pick_and_place", "strong compact"), *_scores(strong, "strong base", "strong residual")
    for task in ("cube_lift", "close_drawer"):
        for base in ("act", "diffusion"):
            yield (task, base), *_scores(bases, f"{task} {base} alone", f"{task} {base} residual of {base}")


def _scores(units: Units, base: str, residual: str) -> tuple[Scores, Scores]:
    pairs = [(units[f"{base} in {cell}"], units[f"{residual} in {cell}"]) for cell in CELLS]
    if len({tuple(unit["seeds"]) for pair in pairs for unit in pair}) != 1:
        raise ValueError(f"{base} and {residual} must be recorded from the same seeds in {' and '.join(CELLS)}")
    simulated, scores = (np.array(with_it["success"]) - np.array(alone["success"]) for alone, with_it in pairs)
    return simulated, scores


def _correlation(first: Scores, second: Scores) -> str:
    if not np.std(first) or not np.std(second):
        return NONE
    return f"{np.corrcoef(first, second)[0, 1]:.2f}"
