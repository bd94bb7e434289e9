"""Videos of chosen episodes: an observer that takes an image before every step.

File: one npz a cell (no pickle), an array (T, height, width, 3) uint8 `<variant>_<seed>` for each video.
"""

import io
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from ocrrl import files
from ocrrl.interface.observations import Observation
from ocrrl.interface.protocols import Capture, StepResult
from ocrrl.rollouts.episode_outcome import EpisodeOutcome

Frames = UInt8[np.ndarray, "T H W 3"]


class VideoRecorder:
    """Records the episodes of `seeds` with the environment's first camera; `frames` holds what was taken, by seed."""

    def __init__(self, seeds: Iterable[int], capture: Capture | None = None) -> None:
        """`capture` takes the video's images in place of the policy's."""
        self._video_capture = capture
        self.frames: dict[int, Frames] = {}
        self._seeds = set(seeds)
        self._running: dict[int, int] = {}
        self._images: dict[int, list[np.ndarray]] = {}

    def begin(self, ids: np.ndarray, seeds: list[int]) -> None:
        self._running = {int(env): seed for env, seed in zip(ids, seeds, strict=True) if seed in self._seeds}
        self._images = {env: [] for env in self._running}

    def before_step(
        self,
        ids: np.ndarray,
        observation: Observation,
        capture: Capture,
        base_action: np.ndarray,
        residual: np.ndarray,
        action: np.ndarray,
    ) -> None:
        frames = np.array([env for env in ids if int(env) in self._running], int)
        if len(frames) == 0:
            return
        images = (self._video_capture or capture)(frames)
        for env, image in zip(frames, images[next(iter(images))], strict=True):
            self._images[int(env)].append(np.array(image, np.uint8))

    def after_step(self, ids: np.ndarray, result: StepResult) -> None:
        pass

    def end(self, outcomes: list[EpisodeOutcome]) -> None:
        for env, seed in self._running.items():
            self.frames[seed] = np.stack(self._images[env])


def write_videos(path: Path, videos: Mapping[str, Frames]) -> None:
    """Write `videos`, named `<variant>_<seed>`, to the npz file `path`; the same videos give the same bytes."""
    content = io.BytesIO()
    np.savez_compressed(content, allow_pickle=False, **{name: videos[name] for name in sorted(videos)})
    files.write_bytes(path, content.getvalue())
