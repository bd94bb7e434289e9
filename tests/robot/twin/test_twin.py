import numpy as np

from ocrrl.interface import rotations
from ocrrl.robot.twin.noisy_tracker import NoisyPoses
from ocrrl.robot.twin.twin import FRONT_CAMERA, TwinCell, draw_cell_dynamics
from ocrrl.sim.environment import SimEnvironment
from ocrrl.sim.scene import CAMERAS
from ocrrl.tabletop.cube_lift import TASK as CUBE_LIFT
from ocrrl.tabletop.cube_lift import Scene as CubeLift


def test_the_twin_says_what_it_is():
    assert TwinCell(CubeLift(), 1).cell == "twin"


def test_the_cell_s_dynamics_stay_in_their_ranges_and_are_drawn_once():
    for seed in range(20):
        dynamics = draw_cell_dynamics(seed)
        assert dynamics == draw_cell_dynamics(seed)
        assert 0.6 <= dynamics.friction_scale <= 0.8 and 0.75 <= dynamics.mass_scale <= 1.25
        assert dynamics.gripper_force_scale == 0.7 and dynamics.latency_steps == 1


def test_the_camera_is_moved_by_at_least_3_cm_and_3_degrees():
    def axis(camera):
        direction = np.subtract(camera.target, camera.position)
        return direction / np.linalg.norm(direction)

    front = CAMERAS["front"]
    assert np.linalg.norm(np.subtract(front.position, FRONT_CAMERA.position)) >= 0.03
    assert np.rad2deg(np.arccos(axis(front) @ axis(FRONT_CAMERA))) >= 3.0


def test_the_same_initial_state_looks_different_in_the_twin():
    ids = np.array([0])
    twin, sim = TwinCell(CubeLift(), 1), SimEnvironment(CubeLift(), 1)
    twin.reset(ids, [4])
    sim.reset(ids, [4])
    np.testing.assert_allclose(twin.true_state().object_poses, sim.true_state().object_poses)
    for name, image in twin.capture(ids).items():
        assert np.abs(image.astype(float) - sim.capture(ids)[name]).mean() > 10


def test_a_reset_brings_back_the_same_errors():
    twin, ids = TwinCell(CubeLift(), 2), np.arange(2)
    hold = np.tile([0, 0, 0, 0, 0, 0, 1.0], (2, 1))

    def episode():
        twin.reset(ids, [8, 9])
        images, poses = [], []
        for _ in range(5):
            twin.step(hold, ids)
            poses.append(twin.observe().object_poses)
            images.append(twin.capture(ids)["front"])
        return np.array(poses), np.array(images)

    for first, second in zip(episode(), episode(), strict=True):
        np.testing.assert_array_equal(first, second)


def test_tracker_errors_are_as_announced():
    n, steps = 300, 80
    tracker, ids = NoisyPoses(CUBE_LIFT, n), np.arange(n)
    truth = np.tile([0.5, 0, 0.02, 1, 0, 0, 0], (n, 1, 1))
    tracker.reset(ids, list(range(n)))
    tracker.start(ids, truth)
    errors, turns, confidences = [], [], []
    for _ in range(steps):
        tracker.update(ids, truth)
        poses, confidence, _ = tracker.estimate()
        errors.append(np.linalg.norm(poses[:, 0, :3] - truth[:, 0, :3], axis=-1))
        turns.append(rotations.angle_between(poses[:, 0, 3:], truth[:, 0, 3:]))
        confidences.append(confidence[:, 0])
    errors, turns, confidences = np.array(errors), np.array(turns), np.array(confidences)
    np.testing.assert_allclose(np.linalg.norm(poses[..., 3:], axis=-1), 1.0)
    assert 0.002 < np.median(errors) < 0.006 and np.rad2deg(np.median(turns)) < 5
    lost = (errors > 0.025).any(axis=0).mean()
    assert 0.2 < lost < 0.45, "a third of the episodes loses the object in a burst"
    assert np.corrcoef(errors.ravel(), confidences.ravel())[0, 1] < -0.5


def test_latency_shows_where_the_object_was():
    tracker, ids = NoisyPoses(CUBE_LIFT, 1), np.array([0])
    tracker.reset(ids, [1])
    truth = np.array([[[0.5, 0, 0.02, 1, 0, 0, 0]]])
    tracker.start(ids, truth)
    shift = truth.copy()
    shift[..., 0] += 0.5
    tracker.update(ids, shift)
    assert tracker.estimate()[0][0, 0, 0] < 0.6, "50 ms or more late"
    for _ in range(3):
        tracker.update(ids, shift)
    assert tracker.estimate()[0][0, 0, 0] > 0.9


def test_poses_from_its_own_images_are_near_the_truth_and_late():
    from benchmarks.image_poses import ImagePoses

    twin = TwinCell(CubeLift(), 1, make_poses=lambda world: ImagePoses(CUBE_LIFT, world))
    ids = np.array([0])
    twin.reset(ids, [5])
    for _ in range(3):
        twin.step(np.array([[0.0, 0.0, -0.01, 0.0, 0.0, 0.0, 1.0]]), ids)
    seen, true = twin.observe(), twin.true_state()
    assert seen.object_confidence[0, 0] > 0.5 and seen.visible()[0, 0]
    assert np.linalg.norm(seen.object_poses[0, 0, :3] - true.object_poses[0, 0, :3]) < 0.004
    again = TwinCell(CubeLift(), 1, make_poses=lambda world: ImagePoses(CUBE_LIFT, world))
    again.reset(ids, [5])
    for _ in range(3):
        again.step(np.array([[0.0, 0.0, -0.01, 0.0, 0.0, 0.0, 1.0]]), ids)
    np.testing.assert_array_equal(again.observe().object_poses, seen.object_poses)
