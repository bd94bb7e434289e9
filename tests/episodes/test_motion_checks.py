"""An episode that no FR3 could have made, and a command that no action made, are refused; the twin's own pass."""

from dataclasses import replace

import numpy as np
import pytest

from ocrrl.episodes.episode_checks import EpisodeRejected
from ocrrl.episodes.motion_checks import check_motion
from ocrrl.interface import rotations
from ocrrl.interface.actions import step_between
from ocrrl.rollouts.record import collect_episodes
from ocrrl.worlds import make_teleoperator, make_twin
from tests.episodes.toy_episodes import random_episode

SOUND = random_episode(steps=30)


def at(name, step, change):
    values = getattr(SOUND, name).copy()
    values[step] = change(values[step])
    return {name: values}


def pose(change):
    return {"gripper_pose": change(SOUND.gripper_pose.copy())}


def quaternions(change):
    return pose(lambda p: np.concatenate([p[:, :3], change(p[:, 3:])], axis=-1))


TURNED = rotations.from_rotation_vector(np.array([0.0, 0.0, np.pi / 2]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            quaternions(lambda q: np.roll(q, -1, axis=-1)),
            r"gripper_pose must be where an FR3's .*a quaternion in the order xyzw\?",
        ),
        (
            quaternions(lambda q: rotations.multiply(q, TURNED)),
            r"0.0 cm and 90.0 degrees from there .*another tool frame",
        ),
        (
            pose(lambda p: p + np.array([0.3, 0, 0.5, 0, 0, 0, 0])),
            r"58.3 cm .*another (tool frame|frame than the robot's base)",
        ),
        (
            {"gripper_pose": SOUND.gripper_pose[::-1] + np.eye(7)[2] * np.linspace(0, 0.2, 30)[:, None]},
            r"another arm's joints\?",
        ),
        (at("joint_positions", 9, lambda q: q + np.eye(7)[3] * 0.2), r"gripper_pose must be .* at step 9"),
        (
            at("joint_positions", 9, lambda q: q + 2.0),
            r"joint_positions must be moving at most .*of joint 1 from step 8 to 9",
        ),
        (at("gripper_width", 9, lambda w: w + 0.2), "gripper_width must be moving at most 0.09 m in 0.05 s"),
        (
            at("commanded_pose", 9, lambda p: p + np.eye(7)[0] * 0.04),
            "commanded_pose must be where action takes it .* after step 8",
        ),
        (
            at("commanded_pose", 9, lambda p: p + np.eye(7)[0] * 0.4),
            "commanded_pose must be near gripper_pose, .* at step 9",
        ),
        (
            at("action", 9, lambda a: a * [-1, -1, -1, 1, 1, 1, 1]),
            "commanded_pose must be where action takes it .* after step 9",
        ),
        (
            at("object_poses", 9, lambda p: p + np.eye(7)[1] * 0.3),
            "object_poses of cuboid must be moving at most 0.15 m in 0.05 s",
        ),
    ],
)
def test_what_cannot_have_happened_is_refused(change, message):
    episode = replace(SOUND, object_confidence=np.ones((30, 1)))
    check_motion(episode)
    with pytest.raises(EpisodeRejected, match=message):
        check_motion(replace(episode, **change))


def test_the_commanded_pose_in_place_of_the_measured_one_is_recognised():
    commanded = SOUND.gripper_pose + np.eye(7)[0] * 0.006
    action = np.concatenate([step_between(commanded[:-1], commanded[1:]), np.ones((29, 1))], axis=-1)
    action = np.concatenate([action, action[-1:]])
    episode = replace(SOUND, commanded_pose=commanded, action=action)
    check_motion(episode)
    with pytest.raises(
        EpisodeRejected, match=r"gripper_pose .*got 0.6 cm and 0.0 degrees .*commanded_pose in its place\?"
    ):
        check_motion(replace(episode, gripper_pose=commanded))


def test_an_object_that_is_lost_may_be_anywhere():
    episode = replace(
        SOUND, object_confidence=np.ones((30, 1)), **at("object_poses", 9, lambda p: p + np.eye(7)[1] * 0.3)
    )
    episode.object_confidence[9] = 0.1
    check_motion(episode)


def test_a_refused_command_is_no_motion_and_the_next_command_where_the_arm_held():
    step = 9
    action, commanded = SOUND.action.copy(), SOUND.commanded_pose.copy()
    action[step, :6] = 0.0
    shift = SOUND.gripper_pose[step + 1, :3] - commanded[step + 1, :3]
    commanded[step + 1 :, :3] += shift
    commanded[step + 1 :, 3:] = SOUND.gripper_pose[step + 1, 3:]
    check_motion(replace(SOUND, action=action, commanded_pose=commanded))


def test_scripted_demonstrations_pass():
    twin = make_twin("cube_lift", 2)
    twin.capture = lambda ids: {"front": np.zeros((len(ids), 8, 8, 3), np.uint8)}
    for episode in collect_episodes(twin, make_teleoperator("cube_lift", twin), [3, 4], "scripted", {}, {}):
        check_motion(episode)
