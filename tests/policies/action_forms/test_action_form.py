"""Each form of action gives demonstrations back as they were; what a declaration or a reply gets wrong is named."""

from functools import cache

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from ocrrl.interface import rotations
from ocrrl.interface.actions import CONTROL_HZ, MAX_TRANSLATION_STEP
from ocrrl.interface.fr3_chain import FR3
from ocrrl.interface.observations import RobotState
from ocrrl.interface.rigid import compose
from ocrrl.policies.action_forms.action_form import DEFAULT, ActionForm, action_form
from ocrrl.policies.action_forms.named_forms import NAMED_FORMS
from ocrrl.policies.action_forms.pose_path import path_along
from ocrrl.rollouts.record import collect_episodes
from ocrrl.worlds import make_teleoperator, make_twin

TOLERANCE = 2e-6  # [m], [rad]: rotations are smooth at zero within 1e-6
ROWS = 16
TURNED = [0.1, -0.2, 0.05, *np.roll(Rotation.from_rotvec([0.3, -0.4, 0.9]).as_quat(), 1).tolist()]
HAND = [0.0, 0.02, -0.1034, *np.roll(Rotation.from_rotvec([0.0, 0.0, np.pi / 4]).as_quat(), 1).tolist()]
POSES = {"actions": "poses", "command_position": "xyz", "command_rotation": "turn"}
DECLARED = {name: {"form": name} for name in NAMED_FORMS} | {
    "poses wxyz": {**POSES, "command_rotation_form": "quaternion_wxyz"},
    "poses from measured": {**POSES, "command_rotation_form": "matrix", "chunk_starts_at": "measured"},
    "poses euler in degrees": {**POSES, "command_rotation_form": "euler_ZYX_degrees"},
    "poses in millimetres": {**POSES, "position_scale": 0.001},
    "poses of a flange in a world": {**POSES, "base_pose": TURNED, "tool_in_gripper": HAND},
    "offsets along the base": {**POSES, "actions": "offsets", "axes": "base", "command_rotation_form": "rotation_6d"},
    "offsets of a flange": {**POSES, "actions": "offsets", "base_pose": TURNED, "tool_in_gripper": HAND},
    "deltas along the gripper": {**POSES, "actions": "deltas", "axes": "gripper"},
    "deltas of a flange in a world": {**POSES, "actions": "deltas", "base_pose": TURNED, "tool_in_gripper": HAND},
    "deltas as 6 numbers": {**POSES, "actions": "deltas", "command_rotation_form": "rotation_6d_rows"},
    "poses at 10 Hz": {**POSES, "hz": 10.0},
    "poses at 50 Hz": {**POSES, "hz": 50.0},
    "joints in degrees": {"form": "franka_joint_positions", "joint_scale": np.pi / 180},
}


@cache
def demonstrations() -> tuple[RobotState, np.ndarray]:
    """The robot at every fifth row of two demonstrations in the twin cell, and the chunk of the next `ROWS` actions."""
    twin = make_twin("stack_cube", 2)
    twin.capture = lambda ids: {"front": np.zeros((len(ids), 4, 4, 3), np.uint8)}
    robots, chunks = [], []
    for episode in collect_episodes(twin, make_teleoperator("stack_cube", twin), [3, 4], "scripted", {}, {}):
        ids = np.arange(0, len(episode) - ROWS, 5)
        seen = episode.observation()
        robots.append(
            RobotState(seen.gripper_pose, seen.commanded_pose, seen.joint_positions, seen.gripper_width).take(ids)
        )
        chunks.append(np.stack([episode.action[t : t + ROWS] for t in ids]))
    joined = {name: np.concatenate([robot.arrays()[name] for robot in robots]) for name in robots[0].arrays()}
    chunk = np.concatenate(chunks)
    assert len(chunk) > 20 and (np.ptp(chunk[..., :6], axis=(0, 1)) > 0.01).all() and np.ptp(chunk[..., 6]) > 0.9
    return RobotState(**joined), chunk


def form_of(name: str) -> ActionForm:
    return action_form(DECLARED[name], f"test {name}")


@pytest.mark.parametrize("name", [name for name in DECLARED if form_of(name).declaration.hz == CONTROL_HZ])
def test_demonstrations_come_back_as_they_were(name):
    form, (robot, chunk) = form_of(name), demonstrations()
    reply = form.from_steps(chunk, robot)
    assert {key: values.shape for key, values in reply.items()} == {
        key: (len(chunk), ROWS, width) for key, width in form.keys.items()
    }
    back = form.to_steps(reply, robot)
    np.testing.assert_allclose(back[..., :6], chunk[..., :6], rtol=0, atol=TOLERANCE)
    opening = np.round(chunk[..., 6]) if form.declaration.gripper_binary else chunk[..., 6]
    np.testing.assert_allclose(back[..., 6], opening, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("name", [name for name in DECLARED if form_of(name).declaration.hz != CONTROL_HZ])
def test_at_another_rate_the_path_is_the_same_wherever_both_have_a_row(name):
    form, (robot, chunk) = form_of(name), demonstrations()
    reply = form.from_steps(chunk, robot)
    back = form.to_steps(reply, robot)
    assert back.shape[1] == form.control_steps(next(iter(reply.values())).shape[1]) == ROWS
    every = CONTROL_HZ // int(
        np.gcd(CONTROL_HZ, round(form.declaration.hz))
    )  # control steps from one common instant to the next
    was, came = (path_along(robot.commanded_pose, steps[..., :6])[:, ::every] for steps in (chunk, back))
    assert was.shape[1] > 3
    np.testing.assert_allclose(came[..., :3], was[..., :3], rtol=0, atol=ROWS * TOLERANCE)
    assert rotations.angle_between(came[..., 3:], was[..., 3:]).max() < ROWS * TOLERANCE
    assert (np.abs(back[..., 6] - chunk[..., 6]) > 0.01).mean() < 0.1  # the gripper may change a row earlier or later


def test_our_own_steps_pass_through_untouched():
    robot, chunk = demonstrations()
    assert DEFAULT.keys == {"actions": 7}
    assert np.array_equal(DEFAULT.from_steps(chunk, robot)["actions"], chunk)
    assert np.array_equal(DEFAULT.to_steps({"actions": chunk}, robot), chunk)


def robots(count: int = 2) -> RobotState:
    robot, _ = demonstrations()
    return robot.take(np.arange(count))


def test_steps_are_the_differences_of_targets_that_follow_each_other():
    robot = robots(1)
    targets = robot.commanded_pose[:, None] + np.array([0.0, 0.0, 0.01, 0, 0, 0, 0]) * np.arange(1, 5)[None, :, None]
    form = action_form({"form": "gr00t_poses"}, "test")
    reply = {
        "eef_position": targets[..., :3],
        "eef_rotation": np.roll(targets[..., 3:], -1, axis=-1),
        "gripper_width": np.full((1, 4, 1), 0.04),
    }
    steps = form.to_steps(reply, robot)
    np.testing.assert_allclose(steps[0], [[0, 0, 0.01, 0, 0, 0, 0.5]] * 4, atol=TOLERANCE)


def test_the_first_step_leads_from_the_pose_that_is_declared():
    robot = robots(1)
    robot.commanded_pose = robot.gripper_pose + np.eye(7)[0] * 0.004
    target = robot.gripper_pose + np.eye(7)[0] * 0.010
    reply = {
        "xyz": target[:, None, :3],
        "turn": rotations.to_rotation_vector(target[:, None, 3:]),
        "actions": np.zeros((1, 1, 7)),
    }
    for start, step in (("commanded", 0.006), ("measured", 0.010)):
        form = action_form({**POSES, "chunk_starts_at": start}, "test")
        np.testing.assert_allclose(form.to_steps(reply, robot)[0, 0, :3], [step, 0, 0], atol=1e-9)


def test_a_path_that_is_too_fast_is_caught_up_with():
    robot = robots(1)
    reach = np.array([0.05, 0.05, 0.05, 0.05])
    targets = robot.commanded_pose[:, None] + reach[None, :, None] * np.array([1.0, 0, 0, 0, 0, 0, 0])
    reply = {
        "xyz": targets[..., :3],
        "turn": rotations.to_rotation_vector(targets[..., 3:]),
        "actions": np.zeros((1, 4, 7)),
    }
    steps = action_form(POSES, "test").to_steps(reply, robot)
    most = MAX_TRANSLATION_STEP
    np.testing.assert_allclose(steps[0, :, 0], [most, most, 0.05 - 2 * most, 0.0], atol=1e-9)


def test_joint_targets_are_where_forward_kinematics_says():
    robot = robots(2)
    joints = robot.joint_positions[:, None] + 0.005 * np.arange(1, 4)[None, :, None]
    reply = {"actions": np.concatenate([joints, np.ones((2, 3, 1))], axis=-1)}
    form = action_form({"form": "franka_joint_positions", "chunk_starts_at": "measured"}, "test")
    steps = form.to_steps(reply, robot)
    expected = path_along(robot.gripper_pose, steps[..., :6])[:, -1]
    np.testing.assert_allclose(expected[:, :3], FR3.gripper_pose(joints[:, -1])[:, :3], atol=1e-4)
    assert not steps[..., 6].any()  # 1 is closed


def test_droid_velocities_are_integrated_at_their_own_rate():
    robot = robots(1)
    velocity = np.zeros((1, 3, 8))
    velocity[..., 6] = 0.5  # the last joint turns the gripper about its own axis
    form = action_form({"form": "droid_joint_velocities"}, "test")
    steps = form.to_steps({"actions": velocity}, robot)
    assert steps.shape == (1, 4, 7)
    turned = np.linalg.norm(steps[0, :, 3:6], axis=-1)
    np.testing.assert_allclose(turned, 0.5 * 3.0 / CONTROL_HZ, atol=TOLERANCE)
    np.testing.assert_allclose(steps[0, :, 6], 1.0)  # 0 is open


def test_rows_of_a_matrix_are_in_the_frame_of_the_state_that_was_sent():
    robot = robots(1)
    ahead, unturned = [0.0, 0.0, 0.01], [1.0, 0, 0, 0, 1.0, 0]  # along the fingers
    reply = {"eef_9d": np.array([[[*ahead, *unturned]]]), "gripper_position": np.ones((1, 1, 1))}
    form = action_form({"form": "gr00t_eef_offsets", "chunk_starts_at": "measured"}, "test")
    step = form.to_steps(reply, robot)[0, 0]
    expected = compose(robot.gripper_pose[0], np.array([*ahead, 1.0, 0, 0, 0]))
    np.testing.assert_allclose(step[:3], expected[:3] - robot.gripper_pose[0, :3], atol=1e-9)


def test_a_networks_rotation_need_not_be_exact():
    robot = robots(1)
    form = action_form({"form": "gr00t_poses"}, "test")
    reply = form.from_steps(demonstrations()[1][:1], robot)
    exact = form.to_steps(reply, robot)
    np.testing.assert_allclose(
        form.to_steps(reply | {"eef_rotation": 1.1 * reply["eef_rotation"]}, robot), exact, atol=1e-9
    )


def reply_of(form: ActionForm, **changed: np.ndarray) -> dict[str, np.ndarray]:
    return form.from_steps(demonstrations()[1][:2], robots()) | changed


@pytest.mark.parametrize(
    ("form", "changed", "message"),
    [
        (
            "gr00t_poses",
            {"eef_rotation": np.zeros((2, 16, 4))},
            r"command_rotation must be rotations for quaternion_xyzw.*length 0",
        ),
        (
            "gr00t_poses",
            {"eef_position": np.zeros((2, 16, 4))},
            r"eef_position must be of shape \(2, rows, 3\).*\(2, 16, 4\)",
        ),
        (
            "gr00t_poses",
            {"eef_position": np.zeros((2, 8, 3))},
            r"must be of shape \(2, rows, .\), as many rows as the other keys",
        ),
        ("gr00t_poses", {"eef_position": np.full((2, 16, 3), np.nan)}, r"eef_position must be finite numbers, got nan"),
        (
            "gr00t_poses",
            {"gripper_width": np.full((2, 16, 1), 40.0)},
            r"gripper_command must be between .* 0 and gripper_open 0.08",
        ),
        ("steps", {"actions": np.zeros((3, 16, 7))}, r"actions must be of shape \(2, rows, 7\).*got \(3, 16, 7\)"),
        ("steps", {"actions": np.zeros((2, 0, 7))}, r"actions must be of shape"),
    ],
)
def test_a_reply_that_does_not_fit_is_named(form, changed, message):
    declared = action_form({"form": form}, "test")
    with pytest.raises(ValueError, match=message):
        declared.to_steps(reply_of(declared, **changed), robots())


def test_a_reply_without_a_key_is_named():
    with pytest.raises(
        ValueError, match=r"a reply must have the keys eef_position, eef_rotation, gripper_width, got actions"
    ):
        action_form({"form": "gr00t_poses"}, "test").to_steps({"actions": np.zeros((1, 16, 7))}, robots(1))


def test_a_pose_that_the_arm_cannot_reach_is_said():
    chunk = np.zeros((1, 40, 7))
    chunk[..., 0] = 0.02
    with pytest.raises(ValueError, match=r"gripper poses must be within the arm's reach, got position"):
        action_form({"form": "franka_joint_positions"}, "test").from_steps(chunk, robots(1))


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"form": "gr00t"}, r"vla\.json action\.form must be one of steps, gr00t_steps, .*got 'gr00t'"),
        ({"hertz": 15}, r"vla\.json action\.hertz is no parameter; the parameters are actions, hz, .*gripper_binary"),
        (
            {"actions": "velocities"},
            r"vla\.json action\.actions must be one of deltas, poses, offsets, joint_positions",
        ),
        ({"hz": 0}, r"vla\.json action\.hz must be above 0"),
        ({"command_rotation_form": "euler"}, r"command_rotation_form must be one of quaternion_wxyz"),
        (
            {"command_rotation_form": "quaternion_xyzw"},
            r"command_rotation must be 4 numbers for quaternion_xyzw, got 3",
        ),
        (
            {"actions": "poses"},
            r"command_position must be declared for actions: deltas, poses and offsets.*got None for poses",
        ),
        (
            {"joint_command": "actions[0:7]"},
            r"joint_command must be declared for actions: joint_positions and joint_velocities and only",
        ),
        ({"gripper_open": 0.0}, r"gripper_open must differ from gripper_closed, got 0 for both"),
        ({"axes": "tool"}, r"axes must be one of base, gripper"),
        ({**POSES, "axes": "gripper"}, r"axes must be left out for actions: poses"),
        ({"base_pose": [0, 0, 0, 1, 1, 0, 0]}, r"base_pose must end in a wxyz unit quaternion"),
        (
            {"form": "franka_joint_positions", "base_pose": TURNED},
            r"base_pose and tool_in_gripper must be left out for actions: joint",
        ),
        ({**POSES, "command_rotation_form": "rotation_6d", "rotation_scale": 0.5}, r"rotation_scale must be 1 but for"),
        ({"widths": {"actions": 3}}, r"widths must map keys to whole numbers up to 1024 \(actions from 7\), got"),
        ({"widths": {"joints": 7}}, r"widths must map keys"),
        ({"command_position": ["actions", "x"]}, r"must name columns in each part of a list, such as key\[0:3\]"),
        ({"command_position": "actions[x,y,z]"}, r"must name a column by its number"),
        ({"gripper_command": "actions[6:8]"}, r"gripper_command must be 1 numbers, got 2"),
    ],
)
def test_a_wrong_declaration_is_named(declared, message):
    with pytest.raises(ValueError, match=message):
        action_form(declared, "vla.json action")


def test_padding_is_declared():
    form, robot = action_form({"widths": {"actions": 32}}, "test"), robots(1)
    reply = form.from_steps(demonstrations()[1][:1], robot)
    assert reply["actions"].shape == (1, ROWS, 32) and not reply["actions"][..., 7:].any()
    assert form.to_steps(reply, robot).shape == (1, ROWS, 7)
