"""Video frames in one image: one initial state under several policies, or one episode from several cameras."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from ocrrl.interface.actions import CONTROL_HZ
from ocrrl.report.inputs import MeasuredTask
from ocrrl.report.values import cell_label
from ocrrl.report.videos import FAILURE, INK, PAPER, SUCCESS, Clip, clips_of

MOMENTS = 8
CELL = 132  # [pixel], width and height of one moment
LABELS = 128  # [pixel], width of the rows' labels
HEAD = 24  # [pixel], height of the moments' times
GAP = 3  # [pixel]
KINDS = {
    (False, True): ("rescued", "the residual rescues what the base alone fails at"),
    (True, False): ("harmed", "the base alone succeeds, with the residual it fails"),
    (False, False): ("failed", "both fail"),
    (True, True): ("solved", "both succeed"),
}
"""By whether the base succeeded, and base + residual."""


@dataclass(frozen=True)
class Strip:
    """An image of one initial state, `name` being `<tabletop task>_<kind>`."""

    name: str
    caption: str
    jpeg: bytes


def strips(tasks: Sequence[MeasuredTask]) -> Iterator[Strip]:
    """The first video of each kind that failed once, task by task, from the last cell that has videos (the simulator is first).

    One that both policies solved where there is no other.
    """
    for task in tasks:
        found: dict[str, Strip] = {}
        for video in (video for video in task.videos if video.cell == task.videos[-1].cell):
            clips = clips_of(video, task)
            if len(clips) < 2:
                continue
            kind, what = KINDS[bool(clips[0].success), bool(clips[1].success)]
            if kind not in found:
                caption = f"{task.tabletop_task}, {cell_label(video.cell)}, initial state {video.seed}: {what}."
                found[kind] = Strip(f"{task.tabletop_task}_{kind}", caption, filmstrip(clips))
        solved = found.pop("solved", None)
        yield from found.values() or ([solved] if solved else [])


def filmstrip(clips: list[Clip]) -> bytes:
    """`clips` as JPEG; one that is over is not shown again. Raises ValueError without one."""
    if not clips:
        raise ValueError("clips must hold at least one video, got none")
    moments = np.linspace(0, max(len(clip.frames) for clip in clips) - 1, MOMENTS).round().astype(int)
    size = (LABELS + MOMENTS * (CELL + GAP), HEAD + len(clips) * (CELL + GAP))
    canvas = Image.new("RGB", size, PAPER)
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(size=15)
    for column, t in enumerate(moments):
        middle = LABELS + column * (CELL + GAP) + CELL // 2
        draw.text((middle, HEAD // 2), f"{t / CONTROL_HZ:.1f} s", INK, font, anchor="mm")
    for row, clip in enumerate(clips):
        top = HEAD + row * (CELL + GAP)
        ending, colour = ("success, ", SUCCESS) if clip.success else ("failure, ", FAILURE)
        if clip.success is None:
            ending, colour = "", INK
        words = [*clip.label.replace("+", "+\n").split("\n"), f"{ending}{len(clip.frames) / CONTROL_HZ:.1f} s"]
        for line, word in enumerate(words):
            ink = colour if line == len(words) - 1 else INK
            draw.text((6, top + CELL // 2 + 20 * (line - (len(words) - 1) / 2)), word.strip(), ink, font, anchor="lm")
        for column, t in enumerate(_shown(moments, len(clip.frames))):
            image = ImageOps.pad(Image.fromarray(clip.frames[t]), (CELL, CELL), Image.Resampling.BICUBIC, PAPER)
            canvas.paste(image, (LABELS + column * (CELL + GAP), top))
    content = io.BytesIO()
    canvas.save(content, "JPEG", quality=85)
    return content.getvalue()


def _shown(moments: np.ndarray, steps: int) -> list[int]:
    """The moments within a video of `steps` frames, and its last frame at the first moment after it."""
    within = [int(t) for t in moments if t < steps - 1]
    return [*within, steps - 1][:MOMENTS]
