"""An episode begins only where the tracker sees the initial state that was asked for."""

from dataclasses import replace

import numpy as np
import pytest

from ocrrl.interface import rotations
from ocrrl.interface.observations import Observation
from ocrrl.robot.twin.noisy_tracker import NoisyPoses, TrackerErrors
from ocrrl.sessions.start_check import StartNotConfirmed, StartTolerance, require_start
from ocrrl.sim.initial_state import initial_object_poses
from ocrrl.tabletop.registry import slugs
from ocrrl.worlds import make_scene

SEED = 2_500_007
TOLERANCE = StartTolerance()


def seen(poses, confidence=1.0):
    pose = np.zeros((1, 7))
    trust = np.broadcast_to(np.asarray(confidence, float), (1, len(poses))).copy()
    return Observation(pose, pose, np.zeros((1, 7)), np.zeros(1), object_poses=poses[None], object_confidence=trust)


def moved(poses, index=0, offset=(0.0, 0.0, 0.0), turn=(0.0, 0.0, 0.0)):
    poses = poses.copy()
    poses[index, :3] += offset
    poses[index, 3:] = rotations.multiply(poses[index, 3:], rotations.from_rotation_vector(np.asarray(turn, float)))
    return poses


@pytest.mark.parametrize("slug", slugs())
def test_the_twin_s_tracker_confirms_every_start_that_it_has_not_lost(slug):
    scene = make_scene(slug)
    tracker = NoisyPoses(scene.task, 1, TrackerErrors(lost_episodes=0.0))
    for seed in range(2_500_000, 2_500_300):
        asked = initial_object_poses(scene, seed)
        tracker.reset(np.array([0]), [seed])
        tracker.start(np.array([0]), asked[None])
        poses, confidence, _ = tracker.estimate()
        require_start(scene.task, asked, seen(poses[0], confidence[0]), TOLERANCE, f"initial state {seed}")


@pytest.mark.parametrize("slug", slugs())
def test_an_object_elsewhere_is_named_with_its_distance_for_every_task(slug):
    scene = make_scene(slug)
    asked = initial_object_poses(scene, SEED)
    for index, tracked in enumerate(scene.task.objects):
        with pytest.raises(
            StartNotConfirmed, match=rf"^initial state 7 is not confirmed: .* {tracked.name} 20 mm and 0 deg away$"
        ):
            require_start(scene.task, asked, seen(moved(asked, index, (0.0, 0.02, 0.0))), TOLERANCE, "initial state 7")


def test_a_turned_object_is_refused_and_a_symmetric_turn_is_none():
    scene = make_scene("cube_lift")
    asked = initial_object_poses(scene, SEED)
    symmetric = moved(asked)
    symmetric[0, 3:] = rotations.multiply(asked[0, 3:], np.array(scene.task.objects[0].symmetry[1]))
    require_start(scene.task, asked, seen(symmetric), TOLERANCE, "")
    with pytest.raises(StartNotConfirmed, match="cuboid 0 mm and 20 deg away"):
        require_start(scene.task, asked, seen(moved(asked, turn=(0.0, 0.0, np.radians(20)))), TOLERANCE, "")


def test_an_object_that_the_tracker_is_not_sure_of_confirms_nothing():
    scene = make_scene("cube_lift")
    asked = initial_object_poses(scene, SEED)
    with pytest.raises(StartNotConfirmed, match=r"cuboid with a confidence of 0.30 \(at least 0.5 required\)"):
        require_start(scene.task, asked, seen(asked, 0.3), TOLERANCE, "")


@pytest.mark.parametrize("name", ["position", "angle"])
def test_a_tolerance_of_nothing_is_refused(name):
    with pytest.raises(ValueError, match=rf"start_tolerance.{name} must be above 0, got 0.0"):
        replace(TOLERANCE, **{name: 0.0})
