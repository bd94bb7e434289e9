"""An episode as one HTML page, for a browser: images side by side in time, and curves. It needs no viewer to be installed."""

from collections.abc import Iterator
from functools import partial
from html import escape
from io import BytesIO
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from ocrrl import files
from ocrrl.interface.actions import ACTION_NAMES
from ocrrl.interface.episode import Episode
from ocrrl.report.page import Figure, Page, Section, page_html

SHOWN = 8
"""Images of each camera, evenly in time, first and last among them."""
_HEIGHT = 120  # pixels of an image
_WIDTH, _ROW, _LEFT = 640, 46, 150  # of a curve and its name
_INK = "#0b6fb8"


def write_episode_page(episode: Episode, path: Path, title: str) -> None:
    """Write the page of `episode` to `path`."""
    attributes = episode.attributes
    facts = [f"{name}: {value}" for name, value in attributes.shown().items()]
    times = np.unique(np.linspace(0, len(episode) - 1, SHOWN).round().astype(int))
    at = ", ".join(f"{episode.timestamps[step]:.1f}" for step in times)
    images = [
        Figure("image/png", partial(_strip, frames[times]), f"{camera}, at {at} s")
        for camera, frames in episode.images.items()
    ]
    curves = [
        Figure("image/svg+xml", partial(_curves, episode.timestamps, list(values)), f"{name}, over time [s]")
        for name, values in _signals(episode)
    ]
    page = Page(
        title,
        [f"cell: {attributes.cell}"],  # of a twin this says that no robot was there
        [Section("Images", images), Section("Curves", curves), Section("Attributes", [facts])],
        subtitle=f"{attributes.tabletop_task}, {len(episode)} steps",
    )
    files.write_bytes(path, page_html(page, "ocrrl view").encode())


def _signals(episode: Episode) -> Iterator[tuple[str, list[tuple[str, Float[np.ndarray, " T"]]]]]:
    """Groups of named numbers over time."""
    yield "gripper", [("width [m]", episode.gripper_width)]
    for kind in ("action", "base_action", "residual"):
        values = getattr(episode, kind)
        if values is not None:
            yield kind, list(zip(ACTION_NAMES, values.T, strict=True))
    if episode.object_confidence is not None:
        yield (
            "confidence of object poses",
            list(zip(episode.attributes.object_names, episode.object_confidence.T, strict=True)),
        )


def _strip(frames: UInt8[np.ndarray, "k H W 3"]) -> bytes:
    """`frames` in a row, as PNG."""
    width = round(frames.shape[2] * _HEIGHT / frames.shape[1])
    strip = Image.new("RGB", (len(frames) * (width + 2), _HEIGHT), "white")
    for place, frame in enumerate(frames):
        strip.paste(Image.fromarray(frame).resize((width, _HEIGHT)), (place * (width + 2), 0))
    buffer = BytesIO()
    strip.save(buffer, "PNG")
    return buffer.getvalue()


def _curves(times: Float[np.ndarray, " T"], values: list[tuple[str, np.ndarray]]) -> bytes:
    """One curve above the other, as SVG; each with its own scale, whose ends stand beside it."""
    end = max(float(times[-1]), 1e-9)
    rows = []
    for row, (name, numbers) in enumerate(values):
        low, high = float(np.min(numbers)), float(np.max(numbers))
        span, top = max(high - low, 1e-12), row * _ROW
        points = " ".join(
            f"{_LEFT + _WIDTH * t / end:.1f},{top + 36 - 30 * (v - low) / span:.1f}"
            for t, v in zip(times, numbers, strict=True)
        )
        rows.append(
            f'<text x="0" y="{top + 18}">{escape(name)}</text><text x="0" y="{top + 34}" fill="#5b6674">{low:.3g} to {high:.3g}</text>'
            f'<polyline points="{points}" fill="none" stroke="{_INK}" stroke-width="1.5"/>'
        )
    last = len(values) * _ROW
    axis = f'<text x="{_LEFT}" y="{last + 12}">0 s</text><text x="{_LEFT + _WIDTH - 40}" y="{last + 12}">{end:.1f} s</text>'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_LEFT + _WIDTH}" height="{last + 18}" '
        f'font-family="sans-serif" font-size="12">{"".join(rows)}{axis}</svg>'
    ).encode()
