import numpy as np
import pytest

from ocrrl.interface.actions import advance_command
from ocrrl.robot.safety.command_follower import CommandFollower
from tests.robot.cell.scripted_cell import ScriptedCell

ACTION = np.array([0.01, 0.0, 0.0, 0.0, 0.0, 0.02, 0.1])


@pytest.fixture
def cell():
    return ScriptedCell()


def follower_of(cell):
    follower = CommandFollower(cell.gate, 0.2)
    follower.begin(cell.gate.state().gripper_pose)
    return follower


def test_an_action_moves_the_command_and_is_applied_as_it_was_asked_for(cell):
    follower, state = follower_of(cell), cell.gate.state()
    sent = follower.send(ACTION, state, cell.gate.now())
    commanded = advance_command(state.gripper_pose, state.gripper_pose, ACTION)
    np.testing.assert_allclose(follower.commanded_pose, commanded, atol=1e-12)
    np.testing.assert_array_equal(follower.applied, ACTION)
    assert sent.command.opening == 0.0  # 0.1 is closed


def test_a_command_that_is_refused_applies_nothing_and_the_next_goes_on_from_where_the_arm_is(cell):
    follower = follower_of(cell)
    follower.send(ACTION, cell.gate.state(), cell.gate.now())
    cell.sleep(0.05)
    state = cell.gate.state()
    assert follower.send(ACTION, state, cell.gate.now() - 1.0).refused.startswith("stale_command")
    np.testing.assert_array_equal(follower.commanded_pose, state.gripper_pose)
    np.testing.assert_array_equal(follower.applied, [0, 0, 0, 0, 0, 0, 0.1])


def test_at_rest_the_fingers_stay_as_they_are(cell):
    follower = follower_of(cell)
    follower.send(ACTION, cell.gate.state(), cell.gate.now())
    follower.rest()
    np.testing.assert_array_equal(follower.applied, [0, 0, 0, 0, 0, 0, 0.1])
    follower.begin(cell.gate.state().gripper_pose)
    np.testing.assert_array_equal(follower.applied, [0, 0, 0, 0, 0, 0, 1.0])
