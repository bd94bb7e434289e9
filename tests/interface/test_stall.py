"""A residual that waits for its base to stall: what counts as motion, and how it comes in."""

import numpy as np
import pytest

from ocrrl.interface.observations import GRIPPER_DOWN, Observation
from ocrrl.interface.stall import FadeIn, FadingIn

EVERY = 4


def seen(hand=0.0, width=0.08, thing=0.0) -> Observation:
    """One robot and one object, each so far from where it was [m]."""
    pose = np.array([[0.5 + hand, 0.0, 0.2, *GRIPPER_DOWN]])
    objects = np.array([[[0.5, thing, 0.02, 1.0, 0.0, 0.0, 0.0]]])
    return Observation(pose, pose.copy(), np.zeros((1, 7)), np.array([width]), objects, np.ones((1, 1)))


def scales(fade_in, observations, visible=True):
    fading = FadingIn(fade_in, 1, 1, EVERY)
    found = [fading.scale(np.arange(1), o, np.array([[visible]])) for o in observations]
    assert all(scale.shape == (1, 1) and scale.dtype == np.float32 for scale in found)
    return [float(scale[0, 0]) for scale in found]


def test_a_base_that_goes_on_keeps_the_residual_away_until_patience_ends_and_then_it_stays():
    moving = [seen(hand=0.02 * k) for k in range(12)]
    assert scales(FadeIn(after=24, still_steps=8, over=8), moving) == [0.0] * 6 + [0.5] + [1.0] * 5


def test_a_base_that_stands_still_for_the_window_has_stalled():
    stopped = [seen(hand=0.02 * k) for k in range(4)] + [seen(hand=0.06)] * 6
    assert scales(FadeIn(after=1000, still_steps=8, over=0), stopped) == [0.0] * 5 + [1.0] * 5
    going_on = [*stopped[:6], *(seen(hand=0.06 + 0.02 * k) for k in range(4))]
    assert scales(FadeIn(after=1000, still_steps=8, over=0), going_on)[-1] == 1.0, "it acts to the end"


@pytest.mark.parametrize("what", ["hand", "width", "thing"])
def test_hand_fingers_and_objects_are_motion(what):
    fade_in = FadeIn(after=1000, still_steps=8)
    assert not any(scales(fade_in, [seen(**{what: 0.012 * (k % 2)}) for k in range(12)]))


def test_an_object_that_is_not_seen_says_nothing():
    fade_in = FadeIn(after=1000, still_steps=8, over=0)
    assert scales(fade_in, [seen(thing=0.02 * k) for k in range(4)], visible=False) == [0.0, 0.0, 1.0, 1.0]


def test_fingers_that_closed_on_nothing_are_a_stall_where_that_is_asked_for():
    closing = [seen(hand=0.02 * k, width=width) for k, width in enumerate((0.08, 0.04, 0.001, 0.04))]
    assert scales(FadeIn(after=1000, over=0), closing) == [0.0] * 4
    assert scales(FadeIn(after=1000, over=0, missed=0.004), closing) == [0.0, 0.0, 1.0, 1.0]


def test_without_patience_it_is_no_wait_at_all():
    assert scales(FadeIn(after=0, over=0), [seen()] * 5) == [1.0] * 5


def test_environments_that_end_leave_the_others_alone():
    fading = FadingIn(FadeIn(after=1000, still_steps=8, over=0), 3, 1, EVERY)
    three, two = np.arange(3), np.array([0, 2])

    def of(hands):
        each = [seen(hand=hand) for hand in hands]
        return Observation(**{n: np.concatenate([getattr(o, n) for o in each]) for n in each[0].arrays()})

    for k in range(2):
        assert not fading.scale(three, of([0.02 * k, 0.0, 0.0]), np.ones((3, 1), bool)).any()
    scale = fading.scale(two, of([0.04, 0.0]), np.ones((2, 1), bool))
    np.testing.assert_array_equal(scale, [[0.0], [1.0]])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"after": -1}, "after must be at least 0 or null, got -1"),
        ({"still_steps": -1}, "still_steps must be at least 0"),
        ({"missed": 1.0}, r"missed must be in \[0, 0.1\] m"),
        ({"over": -1}, "over must be at least 0"),
    ],
)
def test_bad_input_is_named(changes, message):
    with pytest.raises(ValueError, match=message):
        FadeIn(**changes)
