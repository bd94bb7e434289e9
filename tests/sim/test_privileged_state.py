"""What a teacher is told, and images at a residual's own size, from the real simulator."""

import numpy as np
import pytest

from ocrrl.interface.residual_observations import CapturesAtAnySize, KnowsPrivilegedState
from ocrrl.sim.privileged_state import FORCE_SCALE, SPEED_SCALE
from ocrrl.worlds import make_simulator, make_twin

HOLD = np.array([[0, 0, 0, 0, 0, 0, 1.0]])
ONE = np.array([0])


@pytest.fixture(scope="module")
def world():
    return make_simulator("cube_lift", 2)


def test_at_rest_nothing_moves_and_the_table_carries_the_cuboid_s_weight(world):
    world.reset(np.arange(2), [3, 4])
    for _ in range(10):
        world.step(np.repeat(HOLD, 2, axis=0), np.arange(2))
    state = world.privileged.read(np.arange(2))
    assert state.shape == (2, world.privileged.dim) == (2, 6 + 3 * 3)
    np.testing.assert_allclose(state[:, :6], 0.0, atol=0.05)
    weight = 0.075 * 9.81
    np.testing.assert_allclose(np.sinh(2 * state[:, 8]) * FORCE_SCALE, weight, rtol=0.1)
    np.testing.assert_allclose(state[:, 9:], 0.0, atol=1e-6)


def test_a_falling_cuboid_has_its_speed(world):
    world.reset(ONE, [3])
    seen = world.observe()
    lifted = seen.object_poses[ONE].copy()
    lifted[0, 0, 2] += 0.1
    world.reset_to(ONE, seen.joint_positions[ONE], seen.gripper_width[ONE], lifted)
    world.step(HOLD, ONE)
    fallen = world.privileged.read(ONE)[0]
    assert fallen[5] * SPEED_SCALE == pytest.approx(-9.81 / 20, rel=0.1)
    np.testing.assert_allclose(fallen[6:9], 0.0, atol=1e-6)


def test_reading_it_changes_nothing_that_happens(world):
    def episode(read):
        world.reset(ONE, [5])
        for _ in range(5):
            world.step(HOLD * 0.5, ONE)
            if read:
                world.privileged.read(ONE)
        return world.get_qpos()[0]

    np.testing.assert_array_equal(episode(False), episode(True))


@pytest.mark.parametrize("make", [make_simulator, make_twin])
def test_images_come_at_the_residual_s_size_and_the_vla_s_stay(make):
    cell = make("cube_lift", 1)
    assert isinstance(cell, CapturesAtAnySize) and isinstance(cell, KnowsPrivilegedState) == (make is make_simulator)
    own = cell.capture(ONE)
    images = cell.capture_at(ONE, {"front": (84, 84), "wrist": (84, 84)})
    assert {name: image.shape for name, image in images.items()} == dict.fromkeys(("front", "wrist"), (1, 84, 84, 3))
    assert images["front"].std() > 5
    np.testing.assert_array_equal(cell.capture(ONE)["front"], own["front"])
    with pytest.raises(ValueError, match=r"cameras must be among those of the scene of cube_lift, .*, got 'ceiling'"):
        cell.capture_at(ONE, {"ceiling": (84, 84)})
