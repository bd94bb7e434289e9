"""Converts a recorded gripper command to an opening in [0, 1].

A command that is read in the wrong direction or range makes a gripper that never closes, and nothing else shows it. So
command and measured width are witnesses of each other: a range that is not the declared one, and a command that goes the
other way than the width, are refused with the lines to add; only where a mapping declares nothing and the numbers leave one
reading is that taken, and said.

Legend: T rows.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ocrrl.episodes.episode_checks import EpisodeRejected, check_finite
from ocrrl.interface.observations import MAX_GRIPPER_WIDTH

OVERSHOOT = 0.02
"""The share of the declared range by which a command may lie outside; it is then made the range's end."""
MOVING = 0.005  # [m] of the width between its ends, less is a gripper that holds still
WIDE = 0.02  # [m] of the width between its ends that a command must explain
SETTLING = 1.0  # [s] in which fingers may still obey what was commanded before the first row
LONGEST_DELAY = 0.6  # [s] from a command until the fingers have gone
AGAINST, WITH = -0.5, 0.5
"""Correlations of command and width that say that they run against each other, and with each other."""
_LEAST_ROWS = 8
_CUT_SHORT = 0.008  # [m] by which the fingers were closed further than a linear command asked for
_SHUT, _NEARLY_SHUT, _WIDE_OPEN = 0.003, 0.01, 0.075  # [m]
_SAME = 1e-3
"""Of an opening: it never changes."""

RANGES = ((0.0, 1.0, ""), (-1.0, 1.0, "-1..1"), (0.0, 100.0, "0..100"), (0.0, 255.0, "0..255"))
WIDTHS = ((0.0, 0.04), (0.0, 0.08), (0.0, 0.085), (0.0, 0.1))
"""[m] that a command may ask for, of one finger or both."""


@dataclass(frozen=True)
class GripperDeclaration:
    """What a mapping says of the gripper; the fields bear the mapping's names, None where it says nothing."""

    gripper_closed: float | None
    gripper_open: float | None
    usual: tuple[float, float]
    """Closed and open as the format has them where nothing is declared."""
    strict: bool
    """Whether the format itself says so: then nothing is found from the numbers."""
    scale: float = 1.0
    """Metres that one unit of the width stands for."""

    @property
    def scaled(self) -> bool:
        """Whether the width is a share that was scaled, so that its direction is as doubtful as the command's."""
        return self.scale != 1.0

    @property
    def declared(self) -> bool:
        """Whether the mapping says either."""
        return self.gripper_closed is not None or self.gripper_open is not None

    @property
    def ends(self) -> tuple[float, float]:
        """Closed and open, the usual ones where nothing is declared."""
        closed, opened = self.usual
        return (
            closed if self.gripper_closed is None else self.gripper_closed,
            opened if self.gripper_open is None else self.gripper_open,
        )


def commanded_opening(
    command: Float[np.ndarray, " T"], width: Float[np.ndarray, " T"], declaration: GripperDeclaration, hz: float
) -> tuple[Float[np.ndarray, " T"], tuple[str, ...]]:
    """The opening in [0, 1] that `command` asks for, rows at `hz`, and notes; raises `EpisodeRejected`."""
    check_finite("gripper_command", command)
    agreement = _agreement(command, width, hz)
    closed, opened = declaration.ends
    notes: tuple[str, ...] = ()
    if not declaration.declared and not declaration.strict:
        trusted = agreement > 0 or not declaration.scaled
        found = _found(command, agreement) if trusted else None
        if found is not None and found != (closed, opened):
            closed, opened = found
            notes = (
                f"gripper_command: {closed:g} closed, {opened:g} open, as gripper_width tells"
                f" (gripper_closed: {closed:g}, gripper_open: {opened:g} in the mapping says so)",
            )
    _check_range(command, closed, opened, agreement)
    opening = np.clip((command - closed) / (opened - closed), 0.0, 1.0)
    _check_direction(command, agreement * np.sign(opened - closed), (closed, opened), declaration)
    _check_never_open(opening, width, (closed, opened), command, agreement)
    settled = width[int(SETTLING * hz) :]
    if np.ptp(opening) < _SAME:
        _check_same(opening, settled, (closed, opened), command)
    elif len(settled) and np.ptp(settled) >= WIDE:
        _check_reach(opening, width, (closed, opened), command)
    if not declaration.declared:
        _check_both_reversed(opening, width, declaration)
    return opening, notes + _stillness(opening, width)


def _agreement(command: np.ndarray, width: np.ndarray, hz: float) -> float:
    """The correlation of command and width at the delay where it is strongest; 0 where that does not tell the direction.

    A pulse that the fingers follow late runs against the width at other delays, so that all must have been looked at,
    and one that agrees goes before one that does not.
    """
    delays = int(LONGEST_DELAY * hz) + 1
    if np.ptp(width) < MOVING or np.ptp(command) < 1e-9 or len(command) < delays + _LEAST_ROWS:
        return 0.0
    found = [0.0]
    for rows in range(delays):
        early, late = command[: len(command) - rows], width[rows:]
        if np.ptp(early) > 1e-9 and np.ptp(late) > MOVING:
            found.append(float(np.corrcoef(early, late)[0, 1]))
    best, worst = max(found), min(found)
    if best >= WITH and best >= -worst:
        return best
    return worst if worst <= AGAINST and best < WITH / 2 else 0.0


def _found(command: np.ndarray, agreement: float) -> tuple[float, float] | None:
    """Closed and open of the one known range whose both ends the command reaches, in the direction of the width.

    A command of a few centimetres is a width itself.
    """
    if abs(agreement) < WITH:
        return None
    low, high = float(command.min()), float(command.max())
    known = [(bottom, top) for bottom, top, _ in RANGES]
    if high <= (1 + OVERSHOOT) * WIDTHS[-1][1]:
        known = [*WIDTHS, *known]
    for bottom, top in known:
        slack = OVERSHOOT * (top - bottom)
        is_width = top < 1.0
        reaches_bottom = abs(low - bottom) <= slack or (is_width and low >= bottom - slack and low <= 0.6 * top)
        if reaches_bottom and abs(high - top) <= slack:
            return (bottom, top) if agreement > 0 else (top, bottom)
    return None


def _check_range(command: np.ndarray, closed: float, opened: float, agreement: float) -> None:
    low, high = min(closed, opened), max(closed, opened)
    slack = OVERSHOOT * (high - low)
    outside = np.maximum(command - high, low - command)
    if len(command) and outside.max() > slack:
        worst = float(command[int(outside.argmax())])
        raise EpisodeRejected(
            "gripper_command",
            f"between gripper_closed {closed:g} and gripper_open {opened:g}",
            f"{worst:g}{_range_hint(command, closed, opened, agreement)}",
        )


def _range_hint(command: np.ndarray, closed: float, opened: float, agreement: float) -> str:
    low, high = float(command.min()), float(command.max())
    for bottom, top, name in RANGES:
        slack = OVERSHOOT * (top - bottom)
        if low >= bottom - slack and high <= top + slack:
            upwards = agreement >= AGAINST if agreement else opened > closed
            right = (bottom, top) if upwards else (top, bottom)
            changes = [
                f"{key}: {new:g}"
                for key, new, old in (("gripper_closed", right[0], closed), ("gripper_open", right[1], opened))
                if new != old
            ]
            return f" ({name or '0..1'}? then {' and '.join(changes)})" if changes else ""
    return ""


def _check_direction(
    command: np.ndarray, agreement: float, ends: tuple[float, float], declaration: GripperDeclaration
) -> None:
    if agreement > AGAINST:
        return
    closed, opened = ends
    right = _found(command, agreement * np.sign(opened - closed)) or _ends_of(command, upwards=opened < closed)
    lines = f"gripper_closed: {right[0]:g} and gripper_open: {right[1]:g}"
    if declaration.scaled:
        at_zero, scale = (0.08, -abs(declaration.scale)) if declaration.scale > 0 else (0.0, abs(declaration.scale))
        lines += f"; or, if the width is what is reversed, gripper_width_scale: {scale:g}, gripper_width_at_zero: {at_zero:g}"
    raise EpisodeRejected(
        "gripper_command",
        f"{closed:g} where the fingers close and {opened:g} where they open",
        f"a command that runs against the measured gripper_width, correlation {agreement:.2f} (then {lines})",
    )


def _check_never_open(
    opening: np.ndarray, width: np.ndarray, ends: tuple[float, float], command: np.ndarray, agreement: float
) -> None:
    """A command that goes with the width and never asks for more than a little is in another unit."""
    if opening.max() <= 0.15 and np.ptp(opening) > _SAME and agreement >= WITH:
        hint = _metres_hint(command) or _exact_hint(command, *ends)
        raise _unreached(command, width, ends, hint)


def _check_same(opening: np.ndarray, settled: np.ndarray, ends: tuple[float, float], command: np.ndarray) -> None:
    """A command that never changes must be obeyed, once the fingers are `settled`."""
    if not len(settled):
        return
    got = f"{command[0]:g} throughout while gripper_width is {settled.min():.3f} to {settled.max():.3f} m"
    if np.ptp(settled) >= WIDE:
        required = "changing as the fingers close and open"
        raise EpisodeRejected("gripper_command", required, f"{got} (another column?)")
    closed, opened = ends
    asks_open, is_shut, is_wide = opening[0] > 0.75, np.median(settled) < _NEARLY_SHUT, np.median(settled) > _WIDE_OPEN
    if (asks_open and is_shut) or (opening[0] < 0.25 and is_wide):
        raise EpisodeRejected(
            "gripper_command",
            f"{closed:g} where the fingers are closed and {opened:g} where they are open",
            f"{got} (reversed? then gripper_closed: {opened:g} and gripper_open: {closed:g})",
        )


def _check_reach(opening: np.ndarray, width: np.ndarray, ends: tuple[float, float], command: np.ndarray) -> None:
    """Where the fingers open and close widely, the command must have asked for it."""
    widest = max(float(width.max()), MAX_GRIPPER_WIDTH)
    most = opening >= opening.max() - 0.02
    opens_further = opening.max() < 0.75 and np.median(width[most]) > opening.max() * widest + _CUT_SHORT
    least = opening <= opening.min() + 0.02
    half = abs(opening.min() - 0.5) <= OVERSHOOT and opening.max() >= 1 - OVERSHOOT
    closes_further = opening.min() >= 0.45 and (half or np.median(width[least]) < opening.min() * widest - _CUT_SHORT)
    if opens_further or closes_further:
        raise _unreached(command, width, ends, _exact_hint(command, *ends))


def _unreached(command: np.ndarray, width: np.ndarray, ends: tuple[float, float], hint: str) -> EpisodeRejected:
    closed, opened = ends
    return EpisodeRejected(
        "gripper_command",
        f"from gripper_closed {closed:g} to gripper_open {opened:g} as the fingers close and open",
        f"{command.min():g} to {command.max():g} while gripper_width goes from {width.max():.3f} to {width.min():.3f} m"
        f"{hint}",
    )


def _metres_hint(command: np.ndarray) -> str:
    top = next((top for _, top in WIDTHS if command.max() <= (1 + OVERSHOOT) * top), None)
    return "" if top is None or command.min() < -OVERSHOOT * top else f" (metres? then gripper_open: {top:g})"


def _exact_hint(command: np.ndarray, closed: float, opened: float) -> str:
    right = _ends_of(command, upwards=opened > closed)
    return f" (then gripper_closed: {right[0]:g} and gripper_open: {right[1]:g}?)"


def _ends_of(command: np.ndarray, upwards: bool) -> tuple[float, float]:
    """Closed and open as the least and the largest command, or the other way round."""
    low, high = float(command.min()), float(command.max())
    return (low, high) if upwards else (high, low)


def _check_both_reversed(opening: np.ndarray, width: np.ndarray, declaration: GripperDeclaration) -> None:
    """Commanded closed the fingers rest on nothing, commanded open half-way: a share of closedness, as DROID has it."""
    if not declaration.scaled or np.ptp(width) < WIDE:
        return
    shut, wide = width[opening < 0.25], width[opening > 0.75]
    if not len(shut) or not len(wide):
        return
    rests, opens = float(np.median(shut)), float(np.median(wide))
    if opening[0] < 0.25 and abs(rests) < _SHUT and opens < MAX_GRIPPER_WIDTH - 0.01:
        closed, opened = declaration.ends
        raise EpisodeRejected(
            "gripper_command",
            f"{closed:g} where the fingers close and {opened:g} where they open, gripper_width 0 where closed",
            f"fingers that begin shut on nothing, at {rests:.3f} m, and open no further than {opens:.3f} m (are both the"
            f" other way round, as DROID's? then gripper_closed: {opened:g}, gripper_open: {closed:g}, gripper_width_scale:"
            f" {-declaration.scale:g}, gripper_width_at_zero: 0.08; if not, declare gripper_closed: {closed:g} and"
            f" gripper_open: {opened:g})",
        )


def _stillness(opening: np.ndarray, width: np.ndarray) -> tuple[str, ...]:
    command_moves, width_moves = np.ptp(opening) > 0.05, np.ptp(width) > MOVING
    if not command_moves and not width_moves:
        return ("gripper_command: never opens or closes the gripper",)
    if not command_moves:
        return ("gripper_command: the same in every row",)
    if not width_moves:
        return ("gripper_width: never changes, so the direction of gripper_command cannot be checked",)
    return ()
