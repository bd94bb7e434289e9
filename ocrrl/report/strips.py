"""A film in one picture: the same initial state under several policies, a row each, at moments spread over the longest."""

import io

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ocrrl.interface.actions import CONTROL_HZ
from ocrrl.report.videos import FAILURE, INK, PAPER, SUCCESS, Clip

MOMENTS = 8
CELL = 132  # [pixel], width and height of one moment
LABELS = 128  # [pixel], width of the rows' labels
HEAD = 24  # [pixel], height of the moments' times
GAP = 3  # [pixel]


def film_strip(clips: list[Clip]) -> bytes:
    """`clips` as JPEG; one that is over is not shown again. Raises ValueError without one."""
    if not clips:
        raise ValueError("clips must hold at least one film, got none")
    moments = np.linspace(0, max(len(clip.frames) for clip in clips) - 1, MOMENTS).round().astype(int)
    size = (LABELS + MOMENTS * (CELL + GAP), HEAD + len(clips) * (CELL + GAP))
    canvas = Image.new("RGB", size, PAPER)
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(size=15)
    for column, t in enumerate(moments):
        middle = LABELS + column * (CELL + GAP) + CELL // 2
        draw.text((middle, HEAD // 2), f"{t / CONTROL_HZ:.1f} s", INK, font, anchor="mm")
    for row, clip in enumerate(clips):
        top = HEAD + row * (CELL + GAP)
        ending, colour = ("success", SUCCESS) if clip.success else ("failure", FAILURE)
        words = [*clip.label.replace("+", "+\n").split("\n"), f"{ending}, {len(clip.frames) / CONTROL_HZ:.1f} s"]
        for line, word in enumerate(words):
            ink = colour if line == len(words) - 1 else INK
            draw.text((6, top + CELL // 2 + 20 * (line - (len(words) - 1) / 2)), word.strip(), ink, font, anchor="lm")
        for column, t in enumerate(_shown(moments, len(clip.frames))):
            picture = Image.fromarray(clip.frames[t]).resize((CELL, CELL), Image.Resampling.BICUBIC)
            canvas.paste(picture, (LABELS + column * (CELL + GAP), top))
    content = io.BytesIO()
    canvas.save(content, "JPEG", quality=85)
    return content.getvalue()


def _shown(moments: np.ndarray, steps: int) -> list[int]:
    """The moments within a film of `steps` frames, and its last frame at the first moment after it."""
    within = [int(t) for t in moments if t < steps - 1]
    return [*within, steps - 1][:MOMENTS]
