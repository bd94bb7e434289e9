import numpy as np

from ocrrl.policies.chunk_batches import ChunkSampler, randomly_shifted
from tests.policies.synthetic import dot_dataset


def numbered_dataset():
    """Two episodes of 4 and 6 frames whose first action number counts the frames of the dataset."""
    data = dot_dataset(episodes=2, length=5, size=16)
    data.episode_index = np.array([0] * 4 + [1] * 6)
    data.action[:, 0] = np.arange(10)
    data.state[:, 0] = np.arange(10)
    return data


def test_a_chunk_is_the_actions_from_its_frame_on_and_padding_stays_in_the_episode():
    batch = ChunkSampler(numbered_dataset(), chunk_size=3, batch_size=64, image_shift=0, seed=0).batch(0)
    for frame, chunk, is_pad, episode in zip(
        batch.state[:, 0], batch.action[..., 0], batch.is_pad, batch.episode, strict=True
    ):
        last = 3 if episode == 0 else 9
        expected = frame + np.arange(3)
        assert np.array_equal(is_pad, expected > last)
        assert np.array_equal(chunk, np.minimum(expected, last))
    assert batch.is_pad.any() and not batch.is_pad[:, 0].any()


def test_a_step_has_the_same_batch_whenever_it_is_asked_for():
    first, second = (ChunkSampler(dot_dataset(), 16, 8, image_shift=4, seed=3) for _ in range(2))
    first.batch(0)
    one, other = first.batch(7), second.batch(7)
    assert np.array_equal(one.images["front"], other.images["front"])
    assert np.array_equal(one.action, other.action)
    assert not np.array_equal(one.action, first.batch(8).action)


def test_a_shifted_image_is_the_image_moved_by_whole_pixels():
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (20, 16, 24, 3)).astype(np.uint8)
    shifted = randomly_shifted(images, 2, generator)
    assert shifted.shape == images.shape
    for image, moved in zip(images, shifted, strict=True):
        offsets = [
            (y, x)
            for y in range(-2, 3)
            for x in range(-2, 3)
            if np.array_equal(moved[2:-2, 2:-2], image[2 + y : 14 + y, 2 + x : 22 + x])
        ]
        assert len(offsets) == 1
    assert not np.array_equal(shifted, images)
