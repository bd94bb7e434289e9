"""A target for a result: reached, missed, or not measured."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ocrrl.report.json_reader import Json
from ocrrl.report.table import Table
from ocrrl.report.values import percent, points

NOTHING = "nothing"
STATES = {True: "reached", False: "MISSED", None: "not measured"}


@dataclass(frozen=True)
class Target:
    """`text` says what should be reached, `measured` what was; `reached` is None when it was not measured."""

    text: str
    measured: str
    reached: bool | None


def target_table(targets: Sequence[Target]) -> Table:
    """A row for each of `targets`."""
    rows = [(target.text, target.measured, STATES[target.reached]) for target in targets]
    return Table(("target", "measured", "state"), rows, text_columns=3)


def rate_target(text: str, rate: float | None, reached: Callable[[float], bool]) -> Target:
    """On one success rate."""
    if rate is None:
        return Target(text, NOTHING, None)
    return Target(text, percent(rate), reached(rate))


def gain_target(text: str, first: float | None, second: float | None, least: float) -> Target:
    """On how far the second rate is above the first, at least `least`."""
    if first is None or second is None:
        return Target(text, NOTHING, None)
    return Target(text, f"{100 * (second - first):+.0f} points", second - first >= least)


def difference_target(text: str, difference: Json | None, reached: Callable[[Json], bool]) -> Target:
    """On a difference of success rates with its interval."""
    if not difference:
        return Target(text, NOTHING, None)
    return Target(text, points(difference), reached(difference))


def above_zero(difference: Json) -> bool:
    """Whether the whole interval is above zero."""
    return difference["low"] > 0


def not_below_zero(difference: Json) -> bool:
    """Whether the interval reaches up to zero: not significantly below it."""
    return difference["high"] >= 0
