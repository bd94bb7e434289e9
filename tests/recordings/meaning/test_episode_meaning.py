"""A recording's numbers become an episode: every source of actions, form of pose and rate that a mapping may declare."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from ocrrl.episodes.episode_checks import EpisodeRejected, EpisodeRequirements, check_episode
from ocrrl.interface import rotations
from ocrrl.interface.actions import CONTROL_HZ
from ocrrl.recordings.lerobot.lerobot_mapping import LeRobotMapping
from ocrrl.recordings.meaning.episode_meaning import reading_of
from ocrrl.recordings.robomimic.robomimic_mapping import RobomimicMapping
from ocrrl.tabletop.cube_lift import TASK as CUBE_LIFT
from tests.recordings.meaning.moving_arm import ROWS, closing_command, moving_joints, moving_poses, raw_episode

MAPPING = {
    "cell": "lab",
    "images": {"front": "front"},
    "position": "pose[0:3]",
    "rotation": "pose[3:7]",
    "rotation_form": "quaternion_wxyz",
    "joint_positions": "joints",
    "gripper_width": "width",
    "gripper_command": "command",
}
CUBE = np.tile([0.5, 0.1, 0.02, *rotations.from_rotation_vector(np.array([0.1, 0.2, 0.3]))], (ROWS, 1))


def reading(change=None, hz=20.0, rows=ROWS, **columns):
    found = reading_of(
        raw_episode(rows, hz, **columns), CUBE_LIFT, LeRobotMapping.from_params(MAPPING | (change or {}))
    )
    check_episode(found.episode, EpisodeRequirements(tabletop_task=CUBE_LIFT))
    return found


def read(change=None, **columns):
    return reading(change, **columns).episode


def test_steps_between_measured_poses_lead_from_each_to_the_next():
    episode = read()
    np.testing.assert_array_equal(episode.commanded_pose, episode.gripper_pose)
    np.testing.assert_allclose(episode.action[:-1, :3], np.diff(moving_poses()[:, :3], axis=0), atol=1e-9)
    np.testing.assert_array_equal(episode.action[:, 6], closing_command())


@pytest.mark.parametrize("hz", [10.0, 15.0, 29.97, 30.0, 50.0])
def test_another_rate_is_the_same_motion_at_ours(hz):
    rows = int(3 * hz)
    episode = read(hz=hz, rows=rows)
    times = np.arange(len(episode)) / CONTROL_HZ
    assert times[-1] <= (rows - 1) / hz < times[-1] + 1 / CONTROL_HZ + 1e-9
    truth = moving_poses(len(episode), CONTROL_HZ)
    np.testing.assert_allclose(episode.gripper_pose[:, :3], truth[:, :3], atol=1e-3)
    assert rotations.angle_between(episode.gripper_pose[:, 3:], truth[:, 3:]).max() < 5e-3


def test_commanded_joints_command_the_poses_that_they_bring():
    ahead = moving_joints(ROWS + 1)[1:]
    episode = read({"actions": "joint_positions", "joint_command": "target"}, target=ahead)
    np.testing.assert_allclose(episode.commanded_pose[1:], moving_poses()[1:], atol=1e-6)
    degrees = {"actions": "joint_positions", "joint_command": "target", "joint_scale": np.pi / 180}
    again = read(degrees, target=np.degrees(ahead), joints=np.degrees(moving_joints()))
    np.testing.assert_allclose(again.action, episode.action, atol=1e-6)
    with pytest.raises(EpisodeRejected, match=r"joint_command must be an FR3's .*degrees\? then joint_scale"):
        read({"actions": "joint_positions", "joint_command": "target"}, target=np.degrees(ahead))


def test_commanded_poses_are_followed():
    ahead = moving_poses(ROWS + 2)[2:]
    change = {"actions": "poses", "command_position": "goal[0:3]", "command_rotation": "goal[3:7]"}
    episode = read(change, goal=ahead)
    np.testing.assert_allclose(episode.commanded_pose[3:], moving_poses(ROWS + 1)[4:], atol=0.004)
    with pytest.raises(EpisodeRejected, match=r"action must be steps .* keep the command within 0\.05 m"):
        read(change, goal=ahead + np.eye(7)[0] * 0.2)


def test_commanded_poses_may_have_a_form_and_a_tool_of_their_own():
    """robosuite's absolute actions: rotation vectors of the grip site, where the measured quaternions are the hand's."""
    quarter = np.array([np.sqrt(0.5), 0.0, 0.0, np.sqrt(0.5)])
    ahead = moving_poses(ROWS + 1)[1:]
    turned = Rotation.from_quat(np.roll(rotations.multiply(ahead[:, 3:], quarter), -1, axis=-1)).as_rotvec()
    goal = np.concatenate([ahead[:, :3], turned], axis=-1)
    change = {
        "actions": "poses",
        "command_position": "goal[0:3]",
        "command_rotation": "goal[3:6]",
        "command_rotation_form": "rotation_vector",
    }
    line = r"turned by 90 degrees about z throughout; .*command_tool_in_gripper: \[0, 0, 0, 0.70711, 0, 0, 0.70711\]"
    with pytest.raises(EpisodeRejected, match=line):
        read(change, goal=goal)
    episode = read(change | {"command_tool_in_gripper": [0, 0, 0, 0.70711, 0, 0, 0.70711]}, goal=goal)
    assert rotations.angle_between(episode.commanded_pose[1:, 3:], moving_poses()[1:, 3:]).max() < 1e-4


def test_declared_steps_are_used_as_they_are():
    steps = np.concatenate(
        [np.diff(moving_poses()[:, :3], axis=0, append=moving_poses()[-1:, :3]), np.zeros((ROWS, 3))], 1
    )
    change = {"actions": "deltas", "steps": "steps"}
    found = reading(change, steps=steps)
    np.testing.assert_array_equal(found.episode.action[:, :6], steps)
    assert found.notes == ()
    (note,) = reading(change, steps=np.concatenate([np.full((ROWS, 3), 0.015), np.zeros((ROWS, 3))], 1)).notes
    assert note.startswith("actions: the steps lead further than the measured poses go")
    with pytest.raises(EpisodeRejected, match="fps must be 20 for actions: deltas"):
        reading(change, hz=10.0, steps=steps)
    with pytest.raises(
        EpisodeRejected,
        match=r"steps must be motion from one row to the next for actions: deltas, got absolute poses.*actions: poses",
    ):
        read(change, steps=np.concatenate([moving_poses()[:, :3], np.zeros((ROWS, 3))], axis=1))


@pytest.mark.parametrize(
    ("form", "write"),
    [
        ("euler_xyz", lambda r: r.as_euler("xyz")),
        ("euler_ZYX_degrees", lambda r: r.as_euler("ZYX", degrees=True)),
        ("rotation_6d", lambda r: r.as_matrix()[:, :, :2].swapaxes(1, 2).reshape(-1, 6)),
        ("matrix", lambda r: r.as_matrix().reshape(-1, 9)),
        ("quaternion_xyzw", lambda r: r.as_quat()),
    ],
)
def test_gripper_and_objects_may_have_forms_of_their_own(form, write):
    hand, cube = (Rotation.from_quat(np.roll(poses[:, 3:], -1, axis=-1)) for poses in (moving_poses(), CUBE))
    pose = np.concatenate([moving_poses()[:, :3], write(hand)], axis=-1)
    objects = np.concatenate([CUBE[:, :3], cube.as_rotvec()], axis=-1)
    change = {
        "rotation": f"pose[3:{pose.shape[1]}]",
        "rotation_form": form,
        "object_poses": {"cuboid": "cube"},
        "object_rotation_form": "rotation_vector",
    }
    episode = read(change, pose=pose, cube=objects)
    assert rotations.angle_between(episode.gripper_pose[:, 3:], moving_poses()[:, 3:]).max() < 1e-6
    assert rotations.angle_between(episode.object_poses[:, 0, 3:], CUBE[:, 3:]).max() < 1e-6


def test_objects_share_the_base_and_the_unit_of_positions():
    base = np.array([-0.5, 0.0, 0.9, 0.0, 0.0, 0.0, 1.0])
    change = {"base_pose": base.tolist(), "position_scale": 0.001, "object_poses": {"cuboid": "cube"}}

    def in_world(poses):
        turned = np.broadcast_to(base[3:], (len(poses), 4))
        position = 1000 * (base[:3] + rotations.rotate(turned, poses[:, :3]))
        return np.concatenate([position, rotations.multiply(turned, poses[:, 3:])], axis=-1)

    episode = read(change, pose=in_world(moving_poses()), cube=in_world(CUBE))
    np.testing.assert_allclose(episode.object_poses[:, 0, :3], CUBE[:, :3], atol=1e-9)
    np.testing.assert_allclose(episode.gripper_pose[:, :3], moving_poses()[:, :3], atol=1e-9)


@pytest.mark.parametrize(
    ("change", "columns", "message"),
    [
        ({}, {"pose": moving_poses()[:-1]}, "position must be 60 rows, one an action, got 59"),
        ({"joint_positions": "none"}, {}, "none must be one of command, joints, pose, width, got nothing of that name"),
        ({}, {"pose": moving_poses() * 1e300}, r"position must be of numbers within 1e\+09"),
        ({}, {"pose": np.where(np.arange(ROWS)[:, None] == 4, np.nan, moving_poses())}, "gripper_pose must be finite"),
        (
            {},
            {"joints": np.where(np.arange(ROWS)[:, None] == 4, np.inf, moving_joints())},
            "joint_positions must be finite",
        ),
        (
            {"object_poses": {"cuboid": "cube"}},
            {"cube": CUBE + np.eye(7)[0] * 0.4 * (np.arange(ROWS)[:, None] == 30)},
            "object_poses of cuboid must be moving at most",
        ),
        ({"object_poses": {"cup": "cube"}}, {"cube": CUBE}, "object_poses must be those of cuboid, got cup"),
    ],
)
def test_numbers_that_do_not_fit_are_refused_with_the_field(change, columns, message):
    with pytest.raises(EpisodeRejected, match=message):
        read(change, **columns)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"actions": "poses"}, "command_position must be declared for actions: poses and only then"),
        ({"joint_command": "q"}, "joint_command must be declared for actions: joint_positions and only then"),
        ({"rotation": None}, "rotation must be declared, or neither position nor rotation"),
        (
            {"position": None, "rotation": None, "joint_positions": None},
            "joint_positions must be declared where position",
        ),
        ({"base_pose": [-0.56, 0, 0.912]}, "base_pose must be 7 numbers, a position .* got 3"),
        ({"tool_in_gripper": [0, 0, 0, 1, 1, 0, 0]}, "tool_in_gripper must end in a wxyz unit quaternion"),
        ({"gripper_width_scale": 0}, "gripper_width_scale must be other than 0"),
        ({"gripper_width_scale": -0.08}, "gripper_width_at_zero must be above 0 m"),
        ({"position_scale": -1}, "position_scale must be above 0"),
        ({"gripper_open": 0}, "gripper_open must differ from gripper_closed, got 0 for both"),
        ({"gripper_open": "wide"}, "mapping.gripper_open must be a number"),
        ({"cell": 7}, "mapping.cell must be text, got 7"),
        ({"cell": " "}, "cell must be a name"),
        ({"object_poses": "cube"}, "mapping.object_poses must be a mapping of names"),
        ({"object_rotation_form": "euler"}, "object_rotation_form must be one of"),
        ({"instruction": ""}, "instruction must be a text"),
    ],
)
def test_a_mapping_that_means_nothing_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        LeRobotMapping.from_params(MAPPING | change)


def test_numbers_written_as_text_are_numbers():
    mapping = LeRobotMapping.from_params(MAPPING | {"gripper_open": "1e2", "base_pose": ["1e-1", 0, 0, 1, 0, 0, 0]})
    assert mapping.gripper_open == 100.0 and mapping.base_pose[0] == 0.1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"gripper_rotation": [1, 0, 0]}, "gripper_rotation must be a wxyz quaternion"),
        (
            {"gripper_rotation": [0, 1, 0, 0], "tool_in_gripper": [0, 0, 0, 0, 1, 0, 0]},
            "gripper_rotation must be left out where tool_in_gripper is declared",
        ),
        ({"rotation": "axis_angle"}, "rotation_form must be declared where rotation is"),
        ({"control_hz": "20 Hz"}, "mapping.control_hz must be a number, got '20 Hz'"),
        ({"action_scale": ["5e-2"] * 5}, "action_scale must be 6 numbers above 0"),
    ],
)
def test_a_robomimic_mapping_that_means_nothing_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        RobomimicMapping.from_params({"cell": "lab", "images": {"front": "front"}} | change)


def test_the_task_s_own_words_are_taken_and_others_said():
    raw = raw_episode()
    for words, notes in (("Take the block", 1), (CUBE_LIFT.instruction.upper() + ".", 0), (None, 0), ("\x1b[31m", 1)):
        said = reading_of(
            raw.__class__(**vars(raw) | {"instruction": words}), CUBE_LIFT, LeRobotMapping.from_params(MAPPING)
        )
        assert said.episode.attributes.instruction == CUBE_LIFT.instruction
        assert len(said.notes) == notes and all(note.isprintable() for note in said.notes)
    kept = LeRobotMapping.from_params(MAPPING | {"instruction": "take it"})
    assert reading_of(raw, CUBE_LIFT, kept).episode.attributes.instruction == "take it"
