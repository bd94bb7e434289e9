"""A small line chart as SVG: no library, so that a flow's process stays light.

Lengths are in pixels of the drawing; y grows downwards.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 720, 320
LEFT, RIGHT, TOP, BOTTOM = 62, 16, 40, 48
INK, SOFT, GRID = "#1f2937", "#6b7785", "#e5e7eb"
COLOURS = ("#0b6fb8", "#c98a00", "#b35a93", "#0a8f6a")


@dataclass(frozen=True)
class Line:
    """One named line of (x, y); `dots` marks its points."""

    name: str
    points: Sequence[tuple[float, float]]
    dots: bool = False


@dataclass(frozen=True)
class Mark:
    """A point that is ringed and named."""

    name: str
    x: float
    y: float


def line_chart(
    lines: Sequence[Line],
    x_name: str,
    y_name: str,
    y_limits: tuple[float, float] | None = None,
    y_text: Callable[[float], str] = "{:g}".format,
    mark: Mark | None = None,
) -> bytes:
    """The drawing of `lines`, those without a point left out; raises ValueError where none has any."""
    drawn = [line for line in lines if line.points]
    if not drawn:
        raise ValueError("a chart must have at least one point, got none")
    xs, ys = ([point[axis] for line in drawn for point in line.points] for axis in (0, 1))
    x_ticks, y_ticks = ticks(min(0.0, *xs), max(xs)), ticks(*(y_limits or (min(0.0, *ys), max(ys))))
    x_at = _scale(x_ticks[0], x_ticks[-1], LEFT, WIDTH - RIGHT)
    y_at = _scale(y_ticks[0], y_ticks[-1], HEIGHT - BOTTOM, TOP)
    parts = [f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>']
    for value in y_ticks:
        y = y_at(value)
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="{GRID}"/>')
        parts.append(_text(LEFT - 8, y + 4, y_text(value), "end", SOFT))
    parts += [_text(x_at(value), HEIGHT - BOTTOM + 18, _thousands(value), "middle", SOFT) for value in x_ticks]
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, x_name, "middle", INK))
    parts.append(_text(8, 20, y_name, "start", INK))
    parts += _lines(drawn, x_at, y_at)
    if mark:
        x, y = x_at(mark.x), y_at(mark.y)
        left = x > WIDTH / 2
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="8" fill="none" stroke="{INK}" stroke-width="2"/>')
        parts.append(_text(x + (-14 if left else 14), y + 16, mark.name, "end" if left else "start", INK))
    size = f'width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}"'
    font = 'font-family="Inter, Helvetica, Arial, sans-serif" font-size="13"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {font}>{"".join(parts)}</svg>'.encode()


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round values from at most `low` to at least `high`, in steps of 1, 2, 2.5 or 5 times a power of ten."""
    span = high - low or abs(high) or 1.0
    power = 10.0 ** math.floor(math.log10(span / most))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10, 20) if span / (power * factor) <= most - 1)
    first, last = math.floor(low / step + 1e-9), math.ceil((low + span) / step - 1e-9)
    return [round(k * step, 12) for k in range(first, last + 1)]


def _lines(drawn: Sequence[Line], x_at: Callable[[float], float], y_at: Callable[[float], float]) -> list[str]:
    parts, right = [], float(WIDTH - RIGHT)
    named = len(drawn) > 1
    for line, colour in reversed(list(zip(drawn, COLOURS * len(drawn), strict=False))):  # the first on top
        places = [(x_at(x), y_at(y)) for x, y in line.points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2.2"/>')
        if line.dots:
            parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>' for x, y in places]
        if named:
            parts.append(_text(right, 20, line.name, "end", colour))
            right -= 7.2 * len(line.name) + 22
    return parts


def _scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    return lambda value: start + (value - low) / (high - low) * (end - start)


def _thousands(value: float) -> str:
    return f"{value / 1000:g}k" if value >= 1000 else f"{value:g}"


def _text(x: float, y: float, text: str, anchor: str, colour: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{escape(text)}</text>'
