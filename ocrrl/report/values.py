"""Measured values as people read them: per cent, points, seconds; what is unknown is a dash.

R, P and the differences are those of the metrics files (`ocrrl.rollouts.statistics`).
"""

from ocrrl.interface.actions import CONTROL_HZ
from ocrrl.report.json_reader import Json

NONE = "–"
ARM_LABELS = {
    "base": "base VLA",
    "residual": "base + residual",
    "before": "VLA before",
    "retrained": "VLA retrained on corrected rollouts",
    "demonstrations_only": "control: demonstrations only",
    "base_rollouts": "control: base's own rollouts",
}


def percent(value: float | None, signed: bool = False) -> str:
    """A fraction as whole per cent."""
    if value is None:
        return NONE
    return f"{100 * value:+.0f}%" if signed else f"{100 * value:.0f}%"


def seconds(steps: float | None) -> str:
    """Control steps as seconds."""
    return NONE if steps is None else f"{steps / CONTROL_HZ:.1f} s"


def rate_with_interval(summary: Json) -> str:
    """R as its rate and Wilson interval: `24% [17, 33]`."""
    low, high = 100 * summary["wilson_low"], 100 * summary["wilson_high"]
    return f"{percent(summary['success_rate'])} [{low:.0f}, {high:.0f}]"


def success_columns(summary: Json) -> tuple[str, str, str, str]:
    """R as successes, rate, interval and mean length of the successes."""
    return (
        f"{summary['successes']} / {summary['episodes']}",
        percent(summary["success_rate"]),
        f"{100 * summary['wilson_low']:.0f} to {100 * summary['wilson_high']:.0f}%",
        seconds(summary["mean_steps_success"]),
    )


def points(difference: Json | None) -> str:
    """A difference of success rates with its interval: `+74 [+63, +81] points`."""
    if not difference:
        return NONE
    low, high = 100 * difference["low"], 100 * difference["high"]
    return f"{100 * difference['difference']:+.0f} [{low:+.0f}, {high:+.0f}] points"


def difference_columns(difference: Json | None) -> tuple[str, str]:
    """A paired difference of success rates with its interval, and McNemar's p."""
    if not difference:
        return NONE, NONE
    p = difference["mcnemar_p"]
    return points(difference), "< 0.001" if p < 0.001 else f"{p:.3f}"


def paired_columns(entry: Json) -> tuple[str, ...]:
    """P of a cell (both, only base + residual, only base, neither), the paired difference and McNemar's p."""
    counts = (str(entry["paired"][name]) for name in ("both", "only_residual", "only_base", "neither"))
    return (*counts, *difference_columns(entry.get("difference")))


def length_columns(entry: Json) -> tuple[str, str, str, str, str]:
    """Of a cell: pairs both solved, the base's length, base + residual's, their difference, relative to the base's."""
    steps = entry.get("steps_difference") or {}
    return (
        str(steps.get("pairs", 0)),
        seconds(steps.get("mean_first")),
        seconds(steps.get("mean_second")),
        seconds_difference(steps),
        percent(steps.get("relative"), signed=True),
    )


def seconds_difference(steps: Json) -> str:
    """A difference of episode lengths with its interval."""
    if steps.get("difference") is None:
        return NONE
    text = f"{steps['difference'] / CONTROL_HZ:+.2f}"
    if steps.get("low") is not None:
        text += f" [{steps['low'] / CONTROL_HZ:+.2f}, {steps['high'] / CONTROL_HZ:+.2f}]"
    return text + " s"
