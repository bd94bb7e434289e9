"""The corpus of malformed recordings: a few of its kinds, judged as `python -m benchmarks.hostile` judges all of them."""

import numpy as np
import pytest

from benchmarks.hostile.__main__ import KINDS, run_case
from benchmarks.hostile.judge import differences
from benchmarks.hostile.motion import CAMERAS, make_motion, read_numbers
from ocrrl.datasets.frames.decoded_frames import DecodedDataset


def test_the_corpus_is_as_wide_as_it_says():
    assert len(KINDS) >= 40
    assert 2 * sum(kind.sound is not None for kind in KINDS.values()) >= len(KINDS)


@pytest.mark.parametrize(
    ("name", "sound"),
    [
        ("own: clock", False),
        ("lerobot: rows twice", False),
        ("lerobot: rows twice", True),
        ("robomimic: failures", False),
    ],
)
def test_a_case_is_refused_by_name_or_read_right(name, sound):
    verdict = run_case(name, 11, sound, 5, None)
    faults = [fault for fault in verdict.faults if not fault.startswith("took")]  # a busy machine says nothing of time
    assert faults == [], verdict.printed


def as_read(motion, images_of):
    images = {camera: images_of.images(camera) for camera in CAMERAS}
    state = np.concatenate([motion.pose, motion.width[:, None]], -1)
    action = np.concatenate([np.zeros((len(motion), 6)), motion.opening[:, None]], -1)
    return DecodedDataset(images, state, action, np.zeros(len(motion), int), ("",), 20.0, motion.t)


def test_another_episodes_rows_and_images_are_told_apart():
    generator = np.random.default_rng(0)
    first, second = make_motion(generator, 1), make_motion(generator, 2)
    assert differences(as_read(first, first), 0, first) == []
    assert any(
        "shows episode, frame and camera (2, 0, 1)" in fault for fault in differences(as_read(first, second), 0, first)
    )
    assert any("position is off" in fault for fault in differences(as_read(second, first), 0, first))
    assert read_numbers(first.images("wrist")[7]) == (1, 7, 2)
