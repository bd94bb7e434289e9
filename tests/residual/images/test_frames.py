"""Frames by number, and how they are moved."""

import numpy as np
import pytest

from ocrrl.residual.images.frames import FILE, FrameStore, frame_bytes, shifted

CAMERAS = {"front": (16, 16), "wrist": (16, 16)}


def some_images(count, seed=0):
    random = np.random.default_rng(seed)
    return {name: random.integers(0, 256, (count, 16, 16, 3), dtype=np.uint8) for name in CAMERAS}


def some_offsets(count):
    return np.arange(6 * count, dtype=np.float32).reshape(count, 6)


def test_a_frame_is_what_was_added_under_its_number_also_after_the_file_has_grown(tmp_path):
    store, images = FrameStore(tmp_path, CAMERAS, 2), some_images(1500)
    numbers = np.concatenate(
        [
            store.add({name: frames[k : k + 300] for name, frames in images.items()}, some_offsets(1500)[k : k + 300])
            for k in range(0, 1500, 300)
        ]
    )
    assert numbers.tolist() == list(range(1500)) and len(store) == 1500
    np.testing.assert_array_equal(store.offsets(numbers), some_offsets(1500))
    taken = store.take(np.array([1499, 0, 700]))
    for row, number in enumerate((1499, 0, 700)):
        for camera, name in enumerate(CAMERAS):
            np.testing.assert_array_equal(taken[row, camera], images[name][number])


def test_a_store_goes_on_from_its_file_and_forgets_what_came_after_the_checkpoint(tmp_path):
    first, images = FrameStore(tmp_path, CAMERAS, 2), some_images(5)
    first.add(images, some_offsets(5))
    state = first.get_state()
    first.add(some_images(3, seed=1), np.zeros((3, 6), np.float32))
    again = FrameStore(tmp_path, CAMERAS, 2)
    again.set_state(state)
    np.testing.assert_array_equal(again.take(np.arange(5))[:, 1], images["wrist"])
    np.testing.assert_array_equal(again.offsets(np.arange(5)), some_offsets(5))
    assert again.add(some_images(1, seed=2), some_offsets(1)).tolist() == [5]
    np.testing.assert_array_equal(again.take(np.array([5]))[0, 0], some_images(1, seed=2)["front"][0])


def test_a_file_that_was_cut_is_named_with_what_to_remove(tmp_path):
    store = FrameStore(tmp_path, CAMERAS, 2)
    store.add(some_images(5), some_offsets(5))
    state = store.get_state()
    (tmp_path / FILE).write_bytes(b"x" * (2 * frame_bytes(CAMERAS)))
    with pytest.raises(ValueError, match=r"frames\.u8 must hold 5 frames, got 2; remove its folder"):
        FrameStore(tmp_path, CAMERAS, 2).set_state(state)


def test_a_shift_moves_the_picture_and_repeats_its_border():
    frames = np.arange(16 * 16, dtype=np.uint8).reshape(1, 1, 16, 16, 1).repeat(3, axis=-1)
    np.testing.assert_array_equal(shifted(frames, 2, np.array([[2, 2]])), frames)
    moved = shifted(frames, 2, np.array([[0, 3]]))[0, 0]  # two rows down, one column to the left
    np.testing.assert_array_equal(moved[2:, :15], frames[0, 0, :14, 1:])
    np.testing.assert_array_equal(moved[:2, :15], frames[0, 0, [0, 0], 1:])
    np.testing.assert_array_equal(moved[2:, 15], frames[0, 0, :14, 15])
    assert shifted(frames, 0, np.zeros((1, 2), int)) is frames
