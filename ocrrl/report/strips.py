"""Videos side by side as H.264 in MP4, and their frames in one image; reproducible bytes.

An image shows one initial state under several policies, or one episode from several cameras.
Legend: T frames, H x W pixels, RGB uint8.
"""

import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import h5py
import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont, ImageOps

from ocrrl.interface.actions import CONTROL_HZ
from ocrrl.report.inputs import MeasuredTask, Video
from ocrrl.report.page import Figure
from ocrrl.report.values import VARIANT_LABELS, cell_label

PANEL = 256  # [pixel], width and height of one video in the composition
BAND = 36  # [pixel], height of the captions
GAP = 4  # [pixel]
LAST_FRAME_HELD = CONTROL_HZ  # [frame]
INK, PAPER, SUCCESS, FAILURE = (31, 41, 55), (255, 255, 255), (4, 120, 87), (185, 28, 28)
MOMENTS = 8
CELL = 132  # [pixel], width and height of one moment
LABELS = 128  # [pixel], width of the rows' labels
HEAD = 24  # [pixel], height of the moments' times
SPACE = 3  # [pixel], between moments
KINDS = {
    (False, True): ("rescued", "the residual rescues what the base alone fails at"),
    (True, False): ("harmed", "the base alone succeeds, with the residual it fails"),
    (False, False): ("failed", "both fail"),
    (True, True): ("solved", "both succeed"),
}
"""By whether the base succeeded, and base + residual."""


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


def filmstrip(clips: list[Clip], until: int | None = None) -> bytes:
    """`clips` as JPEG; one that is over is not shown again. Raises ValueError without one.

    `until` is the number of frames from which on nothing is shown; all by default.
    """
    if not clips:
        raise ValueError("clips must hold at least one video, got none")
    longest = max(len(clip.frames) for clip in clips)
    moments = np.linspace(0, min(longest, until or longest) - 1, MOMENTS).round().astype(int)
    size = (LABELS + MOMENTS * (CELL + SPACE), HEAD + len(clips) * (CELL + SPACE))
    canvas = Image.new("RGB", size, PAPER)
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(size=15)
    for column, t in enumerate(moments):
        middle = LABELS + column * (CELL + SPACE) + CELL // 2
        draw.text((middle, HEAD // 2), f"{t / CONTROL_HZ:.1f} s", INK, font, anchor="mm")
    for row, clip in enumerate(clips):
        top = HEAD + row * (CELL + SPACE)
        ending, colour = ("success, ", SUCCESS) if clip.success else ("failure, ", FAILURE)
        if clip.success is None:
            ending, colour = "", INK
        words = [*clip.label.replace("+", "+\n").split("\n"), f"{ending}{len(clip.frames) / CONTROL_HZ:.1f} s"]
        for line, word in enumerate(words):
            ink = colour if line == len(words) - 1 else INK
            draw.text((6, top + CELL // 2 + 20 * (line - (len(words) - 1) / 2)), word.strip(), ink, font, anchor="lm")
        for column, t in enumerate(_shown(moments, len(clip.frames))):
            image = ImageOps.pad(Image.fromarray(clip.frames[t]), (CELL, CELL), Image.Resampling.BICUBIC, PAPER)
            canvas.paste(image, (LABELS + column * (CELL + SPACE), top))
    content = io.BytesIO()
    canvas.save(content, "JPEG", quality=85)
    return content.getvalue()


def _shown(moments: np.ndarray, steps: int) -> list[int]:
    """The moments within a video of `steps` frames, and its last frame at the first moment after it."""
    within = [int(t) for t in moments if t < steps - 1]
    return [*within, steps - 1][:MOMENTS]


def first_episode(source: Path, what: str) -> list[Figure]:
    """Frames of the first episode in `source`, a folder of episode files or a LeRobotDataset; none where there is none."""
    episode = next(iter(sorted(source.glob("*.h5"))), source if (source / "videos").is_dir() else None)
    caption = f"{what}: frames from its start to its end, evenly spaced; a row a camera."
    return [Figure("image/jpeg", lambda: filmstrip(_clips(episode)), caption, panels=2)] if episode else []


def _clips(episode: Path) -> list[Clip]:
    """What each camera saw of an episode file, or of the first episode of a dataset."""
    if episode.suffix == ".h5":
        with h5py.File(episode) as file:
            images, success = file["images"], file.attrs.get("success")
            assert isinstance(images, h5py.Group)
            ending = None if success is None else bool(success)
            return [Clip(str(camera), np.asarray(images[camera]), ending) for camera in images]
    first: dict[str, Any] = json.loads((episode / "sidecar" / "episodes.json").read_text())[0]
    videos = sorted((episode / "videos").glob("*/chunk-000/file-000.mp4"))
    return [
        Clip(path.parts[-3].rpartition(".")[2], _frames(path, first["length"]), first.get("success")) for path in videos
    ]


def _frames(video: Path, count: int) -> np.ndarray:
    """The first `count` frames (T, H, W, 3)."""
    with av.open(str(video)) as container:
        decoded = zip(range(count), container.decode(video=0), strict=False)
        frames = [frame.to_ndarray(format="rgb24") for _, frame in decoded]
    return np.stack(frames)
