"""Training batches from a decoded dataset: a frame as input, the action chunk from that frame on as target.

Sampling is a function of (seed, step) alone, so that a resumed run sees the batches an unbroken one would.
Legend: B batch, H actions in a chunk.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from ocrrl.datasets.frames.decoded_frames import DecodedDataset


@dataclass
class ChunkBatch:
    """B frames with what was done from each on."""

    images: dict[str, UInt8[np.ndarray, "B height width 3"]]
    state: Float[np.ndarray, "B 8"]
    action: Float[np.ndarray, "B H 7"]
    is_pad: Bool[np.ndarray, "B H"]
    """True where the chunk runs past the episode's end, the action there repeating the last one, or on to a frame of weight 0,
    or beyond what counts of its labels."""
    episode: Int[np.ndarray, " B"]


class ChunkSampler:
    """Draws batches of frames with replacement, all frames equally likely, or by their weight in the dataset."""

    def __init__(self, data: DecodedDataset, chunk_size: int, batch_size: int, image_shift: int, seed: int):
        self._data = data
        self._chunk = np.arange(chunk_size)
        self._batch_size = batch_size
        self._image_shift = image_shift
        self._seed = seed
        frames = np.arange(len(data.episode_index))
        ends = np.flatnonzero(np.append(np.diff(data.episode_index) != 0, True))
        self._last = ends[np.searchsorted(ends, frames)]  # the last frame of each frame's episode
        self._share = None if data.weight is None else data.weight / data.weight.sum()

    def batch(self, step: int) -> ChunkBatch:
        """The batch for training step `step`, the same whenever it is asked for."""
        generator = np.random.default_rng([self._seed, step])
        if self._share is None:
            frames = generator.integers(len(self._last), size=self._batch_size)
        else:
            frames = generator.choice(len(self._last), self._batch_size, p=self._share)
        targets = frames[:, None] + self._chunk
        last = self._last[frames][:, None]
        is_pad = targets > last
        if self._share is not None:
            is_pad |= self._share[np.minimum(targets, last)] == 0
        if self._data.chunk_steps is not None:
            is_pad |= self._chunk >= self._data.chunk_steps[frames][:, None]
        return ChunkBatch(
            images={
                camera: randomly_shifted(images[frames], self._image_shift, generator)
                for camera, images in self._data.images.items()
            },
            state=self._data.state[frames].astype(np.float32, copy=False),
            action=self._data.action[np.minimum(targets, last)].astype(np.float32, copy=False),
            is_pad=is_pad,
            episode=self._data.episode_index[frames],
        )


def randomly_shifted(
    images: UInt8[np.ndarray, "B height width 3"], most: int, generator: np.random.Generator
) -> UInt8[np.ndarray, "B height width 3"]:
    """Each image moved by up to `most` pixels each way, its edge repeated (arXiv 2004.13649)."""
    if most == 0:
        return images
    height, width = images.shape[1:3]
    padded = np.pad(images, ((0, 0), (most, most), (most, most), (0, 0)), mode="edge")
    shifted = np.empty_like(images)
    for i, (y, x) in enumerate(generator.integers(2 * most + 1, size=(len(images), 2))):
        shifted[i] = padded[i, y : y + height, x : x + width]
    return shifted
