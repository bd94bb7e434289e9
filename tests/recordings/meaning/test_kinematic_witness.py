"""Joints and poses that contradict each other are explained by the line that the mapping lacks, and that line cures them."""

import re

import numpy as np
import pytest
import yaml

from ocrrl.episodes import pose_agreement
from ocrrl.episodes.episode_checks import EpisodeRejected
from ocrrl.interface import rotations
from ocrrl.interface.fr3_chain import FR3
from ocrrl.recordings.lerobot.lerobot_mapping import LeRobotMapping
from ocrrl.recordings.meaning.episode_meaning import reading_of
from ocrrl.tabletop.cube_lift import TASK as CUBE_LIFT
from tests.recordings.meaning.moving_arm import ROWS, moving_joints, moving_poses, raw_episode

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
BASE = np.array([-0.56, 0.1, 0.912, *rotations.from_rotation_vector(np.array([0.0, 0.0, 0.3]))])
QUARTER = np.array([0.0, 0.0, 0.0, np.sqrt(0.5), 0.0, 0.0, np.sqrt(0.5)])
FLANGE = np.array([0.0, 0.0, -0.1034, 1.0, 0.0, 0.0, 0.0])
ODD = np.array([0.02, -0.01, 0.05, *rotations.from_rotation_vector(np.array([0.1, 0.2, 0.5]))])


def with_rotation(values):
    return {"pose": np.concatenate([moving_poses()[:, :3], values], axis=-1)}


def turned(pose=lambda p: p, joints=lambda q: q):
    return {"pose": pose(moving_poses()), "joints": joints(moving_joints())}


def reading(mapping, **columns):
    return reading_of(raw_episode(**columns), CUBE_LIFT, LeRobotMapping.from_params(mapping))


def euler(poses):
    w, x, y, z = poses[:, 3:].T
    return np.stack(
        [
            np.arctan2(2 * (w * x + y * z), 1 - 2 * (x * x + y * y)),
            np.arcsin(np.clip(2 * (w * y - z * x), -1, 1)),
            np.arctan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z)),
        ],
        axis=-1,
    )


CONTRADICTIONS = {
    "the other order of the quaternion": (
        with_rotation(np.roll(moving_poses()[:, 3:], -1, axis=-1)),
        {},
        "rotation is quaternion xyzw, not quaternion wxyz; add to the mapping: rotation_form: quaternion_xyzw",
    ),
    "conjugate": (
        {"pose": np.concatenate([moving_poses()[:, :3], rotations.conjugate(moving_poses()[:, 3:])], axis=-1)},
        {},
        "rotation is the inverse .*rotation_inverse: true",
    ),
    "Euler angles for a rotation vector": (
        with_rotation(euler(moving_poses())),
        {"rotation": "pose[3:6]", "rotation_form": "rotation_vector"},
        "rotation is euler_xyz, not rotation vector; add to the mapping: rotation_form: euler_xyz",
    ),
    "degrees": (
        with_rotation(np.degrees(euler(moving_poses()))),
        {"rotation": "pose[3:6]", "rotation_form": "euler_ZYX_degrees"},
        "rotation_form: euler_xyz_degrees",
    ),
    "millimetres": (
        turned(pose=lambda p: p * [1000, 1000, 1000, 1, 1, 1, 1]),
        {},
        "position is in millimetres; add to the mapping: position_scale: 0.001",
    ),
    "millimetres in the other order": (
        turned(pose=lambda p: np.concatenate([1000 * p[:, :3], np.roll(p[:, 3:], -1, axis=-1)], axis=-1)),
        {},
        "rotation_form: quaternion_xyzw; position_scale: 0.001",
    ),
    "joints in degrees": (turned(joints=np.degrees), {}, "joint_positions are in degrees; .*joint_scale: 0.01745329"),
    "joints reversed": (
        turned(joints=lambda q: q[:, ::-1]),
        {"joint_positions": "joints[0:7]"},
        r"in another order; .*joint_positions: \[joints\[6\], joints\[5\], .*joints\[0\]\]",
    ),
    "two joints swapped": (turned(joints=lambda q: q[:, [1, 0, 2, 3, 4, 5, 6]]), {}, r"\[joints\[1\], joints\[0\], "),
    "the world for the base": (
        turned(pose=lambda p: pose_agreement.product(BASE, p)),
        {},
        r"base is not the poses' origin.*base_pose: \[-0.56, 0.1, 0.912, 0.98877, 0, 0, 0.14944\]",
    ),
    "a base elsewhere than declared": (
        turned(pose=lambda p: pose_agreement.product(BASE, p)),
        {"base_pose": [0.56, 0, 0.912, 1, 0, 0, 0]},
        r"base_pose: \[-0.56, 0.1, 0.912, .*\] in place of the declared one",
    ),
    "90 degrees of the hand": (
        turned(pose=lambda p: pose_agreement.product(p, QUARTER)),
        {},
        r"turned by 90 degrees about z; .*tool_in_gripper: \[0, 0, 0, 0.70711, 0, 0, 0.70711\]",
    ),
    "the flange for the fingertips": (
        turned(pose=lambda p: pose_agreement.product(p, FLANGE)),
        {},
        r"0.103 m away .*tool_in_gripper: \[0, 0, -0.1034, 1, 0, 0, 0\]",
    ),
    "a tool of its own": (
        turned(pose=lambda p: pose_agreement.product(p, ODD)),
        {},
        r"tool_in_gripper: \[0.02, -0.01, 0.05,",
    ),
    "a declared tool that is not there": (
        {},
        {"tool_in_gripper": [0, 0, 0, 0.70711, 0, 0, 0.70711]},
        r"-90 degrees about z; .*tool_in_gripper: \[0, 0, 0, 1, 0, 0, 0\] in place of the declared one",
    ),
    "base and tool": (
        turned(
            pose=lambda p: pose_agreement.product(pose_agreement.product(FLANGE * [0, 0, -9, 1, 1, 1, 1], p), QUARTER)
        ),
        {},
        r"base_pose: \[0, 0, 0.9306, .*; tool_in_gripper: \[0, 0, 0, 0.70711, 0, 0, 0.70711\]",
    ),
    "1.5 cm": (turned(pose=lambda p: p + np.eye(7)[0] * 0.015), {}, r"base_pose: \[0.015, 0, 0, 1, 0, 0, 0\]"),
}


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_a_contradiction_is_refused_with_the_line_that_cures_it(name):
    columns, change, message = CONTRADICTIONS[name]
    with pytest.raises(EpisodeRejected, match=f"gripper_pose must be where an FR3's joint.*{message}") as refusal:
        reading(MAPPING | change, **columns)
    lines = refusal.value.got.split("add to the mapping: ")[1].replace(" in place of the declared one", "")
    cured = MAPPING | change
    for line in lines.split("; "):
        key, value = line.split(": ", 1)
        cured[key] = re.findall(r"joints\[\d\]", value) or yaml.safe_load(value)
    episode = reading(cured, **columns).episode
    np.testing.assert_allclose(episode.gripper_pose[:, :3], moving_poses()[:, :3], atol=0.002)
    assert rotations.angle_between(episode.gripper_pose[:, 3:], moving_poses()[:, 3:]).max() < 0.01


def test_what_agrees_is_taken_without_a_word():
    noise = np.random.default_rng(0).normal(0, 0.003, (ROWS, 7)) * [1, 1, 1, 0, 0, 0, 0]
    flipped = moving_poses() * np.where(np.arange(ROWS) % 2, 1, -1)[:, None] ** [[0, 0, 0, 1, 1, 1, 1]]
    for columns in ({}, {"pose": moving_poses() + noise}, {"pose": flipped}):
        assert reading(MAPPING, **columns).notes == ()


def test_poses_that_run_ahead_of_the_joints_are_taken_and_said():
    ahead = FR3.gripper_pose(moving_joints(ROWS + 4)[4:])
    assert reading(MAPPING, pose=ahead).notes == ("gripper_pose: 0.20 s ahead of joint_positions",)


def test_joints_alone_tell_the_pose():
    only = {name: value for name, value in MAPPING.items() if name not in ("position", "rotation")}
    found = reading(only)
    np.testing.assert_allclose(found.episode.gripper_pose, moving_poses(), atol=1e-9)
    assert found.notes == ("gripper_pose: by forward kinematics of an FR3's joints",)
    with pytest.raises(EpisodeRejected, match=r"joint 2 in \[.*degrees\? then joint_scale: 0.01745329"):
        reading(only, joints=np.degrees(moving_joints()))
    with pytest.raises(EpisodeRejected, match="joint_positions must be 7 numbers"):
        reading(only, joints=moving_joints()[:, :6])


OBJECT = {"object_poses": {"cuboid": "cube"}}
CUBE = np.tile([0.5, 0.0, 0.02, 1.0, 0.0, 0.0, 0.0], (ROWS, 1))


def test_joints_of_another_arm_are_said_and_refused_where_replay_would_begin_with_them():
    rough = moving_poses()
    rough[:, 2] += 0.15 * np.sin(np.arange(ROWS) / 8)
    (note,) = reading(MAPPING, pose=rough).notes
    assert note.startswith("joint_positions: not those of an FR3 in these poses (about ") and "replay" in note
    with pytest.raises(
        EpisodeRejected, match="joint_positions must be an FR3's that bring the gripper to gripper_pose"
    ):
        reading(MAPPING | OBJECT, pose=rough, cube=CUBE)


def test_rough_joints_still_tell_a_quarter_turn_a_far_base_and_a_wrong_order():
    rough = moving_poses()
    rough[:, 2] += 0.15 * np.sin(np.arange(ROWS) / 8)
    turned_tool = pose_agreement.product(rough, QUARTER)
    with pytest.raises(
        EpisodeRejected, match=r"90 degrees about z; .*tool_in_gripper: \[0, 0, 0, 0.70711, 0, 0, 0.70711\]"
    ):
        reading(MAPPING, pose=turned_tool)
    with pytest.raises(EpisodeRejected, match=r"base is not the poses' origin, but about .*base_pose: \[-0.5"):
        reading(MAPPING, pose=rough + np.array([-0.56, 0, 0.912, 0, 0, 0, 0]))
    with pytest.raises(EpisodeRejected, match="rotation_form: quaternion_xyzw"):
        reading(MAPPING, pose=np.concatenate([rough[:, :3], np.roll(rough[:, 3:], -1, axis=-1)], axis=-1))


def test_joints_that_were_not_recorded_are_no_witness():
    zeros = np.zeros((ROWS, 7))
    assert reading(MAPPING, joints=zeros).notes[0].startswith("joint_positions: never change though gripper_pose does")
    with pytest.raises(EpisodeRejected, match="joint_positions must be recorded where object_poses are"):
        reading(MAPPING | OBJECT, joints=zeros, cube=CUBE)


def test_a_pose_that_stays_where_it_is_while_the_joints_move_was_not_recorded():
    with pytest.raises(
        EpisodeRejected, match="gripper_pose must be moving as joint_positions do, got the same position"
    ):
        reading(MAPPING, pose=np.tile(moving_poses()[:1], (ROWS, 1)))
