"""Videos side by side with captions, as H.264 in MP4; reproducible bytes.

Legend: T frames, H x W pixels, RGB uint8.
"""

import io
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from ocrrl.interface.actions import CONTROL_HZ
from ocrrl.report.inputs import MeasuredTask, Video
from ocrrl.report.values import VARIANT_LABELS

PANEL = 256  # [pixel], width and height of one video in the composition
BAND = 36  # [pixel], height of the captions
GAP = 4  # [pixel]
LAST_FRAME_HELD = CONTROL_HZ  # [frame]
INK, PAPER, SUCCESS, FAILURE = (31, 41, 55), (255, 255, 255), (4, 120, 87), (185, 28, 28)


@dataclass(frozen=True)
class Clip:
    """The video of one episode; it stands still on its last frame once it is over."""

    label: str
    frames: UInt8[np.ndarray, "T H W 3"]
    success: bool | None
    """None where it is not known."""


def clips_of(video: Video, task: MeasuredTask) -> list[Clip]:
    """Both variants of a `video` of `task`."""
    listed = task.main_episodes.get(video.cell, {}).get("episodes", [])
    outcome = next((episode for episode in listed if episode["seed"] == video.seed), {})
    return [
        Clip(VARIANT_LABELS[variant], video.variants[variant], bool(outcome.get(f"{variant}_success")))
        for variant in ("base", "residual")
        if variant in video.variants
    ]


def encode_video(frames: UInt8[np.ndarray, "T H W 3"], fps: int) -> bytes:
    """`frames` as an MP4 with H.264, playable in every browser; height and width must be even.

    One thread, no look-ahead (from preset veryfast on it is not repeatable) and no time stamps, so that the bytes depend on
    the frames and the version of the codec only.
    Raises ValueError for no frames, another type or an odd size.
    """
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8 or len(frames) == 0:
        raise ValueError(f"frames must be (T, H, W, 3) uint8 with T >= 1, got {frames.shape} {frames.dtype}")
    height, width = frames.shape[1:3]
    if height % 2 or width % 2:
        raise ValueError(f"frames must have an even height and width, got {height} x {width}")
    content = io.BytesIO()
    with av.open(content, "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("libx264", rate=Fraction(fps), options={"crf": "26", "preset": "superfast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.thread_count = 1
        for image in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")))
        container.mux(stream.encode())
    return content.getvalue()


def side_by_side(clips: list[Clip]) -> UInt8[np.ndarray, "T H W 3"]:
    """`clips` beside each other, labelled above, their time and how they ended below; raises ValueError without one."""
    if not clips:
        raise ValueError("clips must hold at least one video, got none")
    length = max(len(clip.frames) for clip in clips) + LAST_FRAME_HELD
    width = len(clips) * PANEL + (len(clips) - 1) * GAP
    font = ImageFont.load_default(size=17)
    composed = np.empty((length, PANEL + 2 * BAND, width, 3), np.uint8)
    for t in range(length):
        canvas = Image.new("RGB", (width, PANEL + 2 * BAND), PAPER)
        draw = ImageDraw.Draw(canvas)
        for k, clip in enumerate(clips):
            left = k * (PANEL + GAP)
            image = Image.fromarray(clip.frames[min(t, len(clip.frames) - 1)])
            canvas.paste(image.resize((PANEL, PANEL), Image.Resampling.BICUBIC), (left, BAND))
            caption, colour = _ending(clip, t)
            draw.text((left + PANEL // 2, BAND // 2), clip.label, INK, font, anchor="mm")
            draw.text((left + PANEL // 2, BAND + PANEL + BAND // 2), caption, colour, font, anchor="mm")
            if colour != INK:
                draw.rectangle((left, BAND, left + PANEL - 1, BAND + PANEL - 1), outline=colour, width=4)
        composed[t] = np.asarray(canvas)
    return composed


def _ending(clip: Clip, t: int) -> tuple[str, tuple[int, int, int]]:
    steps = len(clip.frames)
    if t < steps:
        return f"{t / CONTROL_HZ:.1f} s", INK
    if clip.success:
        return f"success after {steps / CONTROL_HZ:.1f} s", SUCCESS
    return f"failure, stopped at {steps / CONTROL_HZ:.1f} s", FAILURE
