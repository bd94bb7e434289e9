"""Formats measured values: per cent, points, seconds; an unknown value is a dash.

R, P and the differences are those of the metrics files (`ocrrl.rollouts.statistics`).
"""

from ocrrl.interface.cells import TWINS
from ocrrl.printable import one_line
from ocrrl.report.json_reader import Json

NONE = "–"
STEPS_PER_SECOND = 20  # `ocrrl.interface.actions.CONTROL_HZ`, which a test holds equal; that module loads numpy
VARIANT_LABELS = {
    "base": "base VLA",
    "residual": "base + residual",
    "before": "VLA before",
    "retrained": "VLA retrained on corrected rollouts",
    "demonstrations_only": "control: demonstrations only",
    "base_rollouts": "control: base's own rollouts",
}
SUCCESS_COLUMNS = ("successes", "rate", "95% interval", "mean length")
PAIRED_COLUMNS = ("both", "only base + residual", "only base", "neither", "difference", "McNemar p")
LENGTH_COLUMNS = ("pairs both solved", "base", "base + residual", "difference", "relative")


def cell_label(cell: str) -> str:
    """How a cell is called in tables and plots, so that no twin passes for a robot."""
    if cell == "sim":
        return "sim"
    return f"{one_line(str(cell))} ({'simulated' if cell in TWINS else 'robot'})"


def number(value: float | None, digits: int = 0) -> str:
    """`48,000`, or with decimals."""
    return NONE if value is None else f"{value:,.{digits}f}"


def percent(value: float | None, signed: bool = False) -> str:
    """A fraction as whole per cent."""
    if value is None:
        return NONE
    return f"{100 * value:+.0f}%" if signed else f"{100 * value:.0f}%"


def seconds(steps: float | None) -> str:
    """Control steps as seconds."""
    return NONE if steps is None else f"{steps / STEPS_PER_SECOND:.1f} s"


def millimetres(metres: float | None) -> str:
    """`3.2 mm`."""
    return NONE if metres is None else f"{1000 * metres:.1f} mm"


def rate_with_interval(summary: Json) -> str:
    """R as its rate and Wilson interval: `24% [17, 33]`."""
    low, high = 100 * summary["wilson_low"], 100 * summary["wilson_high"]
    return f"{percent(summary['success_rate'])} [{low:.0f}, {high:.0f}]"


def success_columns(summary: Json) -> tuple[str, str, str, str]:
    """`SUCCESS_COLUMNS` of R: successes, rate, interval and mean length of the successes."""
    return (
        f"{summary['successes']} / {summary['episodes']}",
        percent(summary["success_rate"]),
        f"{100 * summary['wilson_low']:.0f} to {100 * summary['wilson_high']:.0f}%",
        seconds(summary.get("mean_steps_success")),
    )


def points(difference: Json | None) -> str:
    """A difference of success rates with its interval: `+74 [+63, +81] points`."""
    if not difference:
        return NONE
    low, high = 100 * difference["low"], 100 * difference["high"]
    return f"{100 * difference['difference']:+.0f} [{low:+.0f}, {high:+.0f}] points"


def lost_of_solved(lost: int, solved: int) -> str:
    """`2 of 41, 4.9 [1.1, 14.7]%`: with a 95% interval, which leaves room for harm where nothing was lost."""
    from ocrrl.rollouts.harm import share  # loads numpy, as no other value does

    found = share(lost, solved)
    if found is None:
        return NONE
    return f"{lost} of {solved}, {100 * found.value:.1f} [{100 * found.low:.1f}, {100 * found.high:.1f}]%"


def difference_columns(difference: Json | None) -> tuple[str, str]:
    """A paired difference of success rates with its interval, and McNemar's p."""
    p = (difference or {}).get("mcnemar_p")
    return points(difference), NONE if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"


def sequential_verdict_text(verdict: Json) -> str:
    """A sequential test's verdict: `Sequential test: better after 7 of 9 pairs, +100 [+19, +100] points, p 0.011 at any look`.

    Of a session's, whether it was unlocked early, too.
    """
    early = "; unlocked early" if verdict.get("unlocked_early") else ""
    if not verdict["pairs"]:
        return f"Sequential test: no pair yet{early}"
    after = verdict["decided_after"]
    said = {
        "better": "better",
        "worse": "worse",
        "no_difference": "no difference that matters",
        "not_yet": "not decided yet",
        "most_pairs_reached": "not decided",
    }[verdict["decision"]]
    when = f"after {verdict['pairs']} pairs" if after is None else f"after {after} of {verdict['pairs']} pairs"
    p = "< 0.001" if verdict["p_value"] < 0.001 else f"{verdict['p_value']:.3f}"
    return f"Sequential test: {said} {when}, {points(verdict)}, p {p} at any look{early}"


def paired_columns(entry: Json) -> tuple[str, ...]:
    """`PAIRED_COLUMNS` of a cell: both, only base + residual, only base, neither, the paired difference and McNemar's p."""
    counts = (str(entry["paired"][name]) for name in ("both", "only_residual", "only_base", "neither"))
    return (*counts, *difference_columns(entry.get("difference")))


def length_columns(entry: Json) -> tuple[str, str, str, str, str]:
    """`LENGTH_COLUMNS` of a cell: pairs both solved, the base's length, base + residual's, the difference, its share of the base's."""
    steps = entry.get("steps_difference") or {}
    return (
        str(steps.get("pairs", 0)),
        seconds(steps.get("mean_first")),
        seconds(steps.get("mean_second")),
        seconds_difference(steps),
        percent(steps.get("relative"), signed=True),
    )


def seconds_difference(steps: Json | None) -> str:
    """A difference of episode lengths with its interval."""
    if not steps or steps.get("difference") is None:
        return NONE
    text = f"{steps['difference'] / STEPS_PER_SECOND:+.2f}"
    if steps.get("low") is not None:
        text += f" [{steps['low'] / STEPS_PER_SECOND:+.2f}, {steps['high'] / STEPS_PER_SECOND:+.2f}]"
    return text + " s"
