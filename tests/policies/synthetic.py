"""A dataset that a VLA can learn in seconds: a red dot on a dark image, the action points from the centre to it."""

import numpy as np

from ocrrl.datasets.frames.decoded_frames import DecodedDataset

INSTRUCTION = "go to the red dot"


def dot_frames(generator: np.random.Generator, count: int, size: int = 32) -> tuple[np.ndarray, np.ndarray]:
    """Images (count, size, size, 3) uint8 and the dots' offsets (count, 2) from the centre in [-1, 1], x right."""
    offsets = generator.uniform(-0.8, 0.8, (count, 2))
    y, x = np.mgrid[:size, :size]
    centre = (offsets + 1.0) * 0.5 * (size - 1)
    distance = np.hypot(x - centre[:, :1, None], y - centre[:, 1:, None])
    images = generator.integers(20, 60, (count, size, size, 3))
    images[..., 0] += np.where(distance < 3.0, 160, 0)
    return images.astype(np.uint8), offsets.astype(np.float32)


def dot_dataset(
    episodes: int = 6, length: int = 20, size: int = 32, cameras: tuple[str, ...] = ("front",), seed: int = 0
) -> DecodedDataset:
    """Episodes of independent dots; every action moves 2 cm times the offset and opens the gripper."""
    generator = np.random.default_rng(seed)
    count = episodes * length
    images, offsets = dot_frames(generator, count, size)
    action = np.zeros((count, 7), np.float32)
    action[:, :2], action[:, 6] = 0.02 * offsets, 1.0
    return DecodedDataset(
        images=dict.fromkeys(cameras, images),
        state=generator.normal(0.0, 0.02, (count, 8)).astype(np.float32),
        action=action,
        episode_index=np.repeat(np.arange(episodes), length),
        tasks=(INSTRUCTION,) * episodes,
        fps=20.0,
        timestamp=np.tile(np.arange(length) / 20.0, episodes),
    )
