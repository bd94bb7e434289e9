"""The tracker and the verifier on a few rendered frames; figures on many are `python -m benchmarks.tracking`'s."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.tracking_overlay import draw_overlay
from benchmarks.tracking_sequences import sequence
from benchmarks.tracking_tables import errors
from ocrrl.interface import rotations
from ocrrl.interface.fr3_chain import FR3
from ocrrl.interface.observations import CONFIDENCE_THRESHOLD
from ocrrl.interface.protocols import PoseEstimate
from ocrrl.perception.tracking.geometric_tracker import GeometricTracker
from ocrrl.perception.tracking.verifier import PoseVerifier
from ocrrl.tabletop.registry import shapes_of, slugs, tabletop_task
from tests.perception.tracking.scenes import Studio, covered


@pytest.fixture(scope="module")
def studios():
    made = {}

    def studio(slug):
        if slug not in made:
            made[slug] = Studio(slug)
        return made[slug]

    yield studio
    for one in made.values():
        one.close()


def assert_near(task, estimate, poses, millimetres=6.0, degrees=9.0):
    for index, tracked in enumerate(task.objects):
        off, turned = errors(tracked, estimate.poses[index], poses[index])
        assert off < millimetres / 1000 and turned < np.deg2rad(degrees), (tracked.name, off, turned)


@pytest.mark.parametrize("slug", slugs())
def test_the_first_frame_registers_every_object(studios, slug):
    task, studio = tabletop_task(slug), studios(slug)
    tracker = GeometricTracker(task, FR3)
    for seed in (10, 11):
        tracker.reset()
        shot = studio.shoot(studio.initial(seed))
        estimate = tracker.track(shot.frame, shot.robot)
        assert estimate.captured == shot.frame.captured
        assert (estimate.confidence >= CONFIDENCE_THRESHOLD).all()
        assert_near(task, estimate, shot.poses)


@pytest.mark.parametrize("seed", [1000401, 1000405, 1000412])
def test_a_cabinet_is_found_though_the_drawer_that_is_out_pulls_it_along_and_not_believed_before(studios, seed):
    task, studio = tabletop_task("close_drawer"), studios("close_drawer")
    tracker = GeometricTracker(task, FR3)
    for _ in range(7):
        shot = studio.shoot(studio.initial(seed))
        estimate = tracker.track(shot.frame, shot.robot)
        if (estimate.confidence >= CONFIDENCE_THRESHOLD).any():
            break
    assert (estimate.confidence >= CONFIDENCE_THRESHOLD).all()
    assert_near(task, estimate, shot.poses)


def opened(poses: np.ndarray, place: int, opening: float) -> np.ndarray:
    """Close Drawer's poses with the drawer `place` out by `opening` [m]."""
    slide, poses = shapes_of(tabletop_task("close_drawer"))["drawer"].slide, poses.copy()
    offset = np.asarray(slide.closed[place]) + opening * np.asarray(slide.axis)
    poses[0, :3] = poses[1, :3] + rotations.rotate(poses[1, 3:], offset)
    return poses


def before_face(poses: np.ndarray) -> np.ndarray:
    """Joints with the gripper frame 3 cm before the drawer's face, so that the arm may have moved it."""
    joints = np.array(tabletop_task("close_drawer").home_joints)
    out = rotations.rotate(poses[0, 3:], np.array([0.0, -1.0, 0.0]))
    for _ in range(60):
        goal = np.concatenate([poses[0, :3] + 0.03 * out + (0.0, 0.0, 0.12), [0.0, 1.0, 0.0, 0.0]])
        joints = FR3.step_towards(joints[None], goal[None])[0]
    return joints


@pytest.mark.parametrize("place", [0, 2, 4])
def test_a_drawer_is_followed_until_it_is_closed_and_still_seen_then(studios, place):
    task, studio = tabletop_task("close_drawer"), studios("close_drawer")
    tracker, cabinet = GeometricTracker(task, FR3), studio.initial(1000430)
    joints = before_face(opened(cabinet, 4, 0.09))
    for opening in [0.09] * 3 + [0.075, 0.06, 0.045, 0.03, 0.015, 0.0, 0.0, 0.0]:
        shot = studio.shoot(opened(cabinet, place, opening), joints if opening < 0.09 else None)
        estimate = tracker.track(shot.frame, shot.robot)
        assert (estimate.confidence >= CONFIDENCE_THRESHOLD).all(), (opening, estimate.confidence)
        assert_near(task, estimate, shot.poses)


@pytest.mark.parametrize("place", [1, 4])
def test_a_drawer_that_something_hides_is_believed_nowhere_else_and_does_not_pull_its_cabinet(studios, place):
    task, studio = tabletop_task("close_drawer"), studios("close_drawer")
    tracker, poses = GeometricTracker(task, FR3), opened(studio.initial(1000431), place, 0.11)
    shot = studio.shoot(poses)
    for k in range(24):
        shot = studio.shoot(poses)
        # What hides the drawer leaves its edges to be seen for a while, first and last.
        hidden = {3: 60, 4: 90, 19: 90, 20: 60}.get(k, 130 if 5 <= k < 19 else 0)
        frame = covered(shot.frame, poses[0], hidden) if hidden else shot.frame
        estimate = tracker.track(frame, shot.robot)
        for index, tracked in enumerate(task.objects):
            if estimate.confidence[index] >= CONFIDENCE_THRESHOLD:
                off, turned = errors(tracked, estimate.poses[index], poses[index])
                assert off < 0.01 and turned < 0.17, (k, tracked.name, off)
    assert (estimate.confidence >= CONFIDENCE_THRESHOLD).all()


@pytest.mark.parametrize("seed", [1000509, 2090001])
def test_what_passes_before_a_drawer_puts_it_nowhere_else_and_moves_no_cabinet(seed):
    task, tracker = tabletop_task("close_drawer"), GeometricTracker(tabletop_task("close_drawer"), FR3)
    for k, seen in enumerate(itertools.islice(sequence("close_drawer", "occluded", seed), 48)):
        estimate = tracker.track(seen.frame, seen.robot)
        (drawer, _), (cabinet, _) = (errors(*one) for one in zip(task.objects, estimate.poses, seen.poses, strict=True))
        assert drawer < 0.01 or estimate.confidence[0] < CONFIDENCE_THRESHOLD, (k, drawer)
        assert cabinet < 0.006, (k, cabinet)


@pytest.mark.parametrize("moved", [(0.025, 0.0), (0.0, -0.02), (-0.015, 0.015)])
def test_a_cabinet_that_was_pushed_is_found_where_it_is_now_or_not_believed(studios, moved):
    task, studio = tabletop_task("close_drawer"), studios("close_drawer")
    tracker, poses = GeometricTracker(task, FR3), studio.initial(1000432)
    believed = []
    for k in range(12):
        if k == 4:
            poses = poses.copy()
            poses[:, :2] += moved
        shot = studio.shoot(poses)
        estimate = tracker.track(shot.frame, shot.robot)
        if estimate.confidence[1] >= CONFIDENCE_THRESHOLD:
            assert errors(task.objects[1], estimate.poses[1], poses[1])[0] < 0.01, k
            believed.append(k)
    assert set(believed) >= {3, 8, 9, 10, 11}, believed


def test_the_verifier_believes_no_cabinet_or_drawer_that_is_off_by_two_centimetres(studios):
    task, studio = tabletop_task("close_drawer"), studios("close_drawer")
    verifier, poses = PoseVerifier(shapes_of(task), FR3), studio.initial(1000433)
    shot = studio.shoot(poses)
    assert (verifier.verify(shot.frame, shot.robot, poses) >= CONFIDENCE_THRESHOLD).all()
    for across in ((0.02, 0.0), (-0.02, 0.0), (0.0, 0.02), (0.0, -0.02)):
        off = poses.copy()
        off[:, :2] += across
        assert (verifier.verify(shot.frame, shot.robot, off) < CONFIDENCE_THRESHOLD).all(), across
    out = rotations.rotate(poses[0, 3:], np.array([0.0, -1.0, 0.0]))
    for along in (-0.03, -0.015, 0.015, 0.03):
        off = poses.copy()
        off[0, :3] += along * out
        drawer = verifier.verify(shot.frame, shot.robot, off)[0]
        assert drawer < CONFIDENCE_THRESHOLD, along


def test_a_moved_object_is_followed_and_its_pose_never_jumps_to_a_symmetric_one(studios):
    task, studio = tabletop_task("cube_lift"), studios("cube_lift")
    tracker, poses, last = GeometricTracker(task, FR3), studio.initial(3), None
    for _ in range(25):
        poses = poses.copy()
        poses[0, 1] += 0.006
        turn = rotations.from_rotation_vector(np.array([0.0, 0.0, 0.08]))
        poses[0, 3:] = rotations.multiply(turn, poses[0, 3:])
        shot = studio.shoot(poses)
        estimate = tracker.track(shot.frame, shot.robot)
        assert_near(task, estimate, poses)
        if last is not None:
            assert rotations.angle_between(estimate.poses[0, 3:], last) < 0.3
            assert estimate.poses[0, 3:] @ last > 0
        last = estimate.poses[0, 3:]


def test_a_hidden_object_is_doubted_and_trusted_again_when_it_is_seen(studios):
    task, studio = tabletop_task("cube_lift"), studios("cube_lift")
    tracker, poses = GeometricTracker(task, FR3), studio.initial(4)
    shots = [studio.shoot(poses) for _ in range(8)]
    confidence = []
    for k, shot in enumerate(shots):
        frame = covered(shot.frame, poses[0], 90) if 2 <= k < 5 else shot.frame
        estimate = tracker.track(frame, shot.robot)
        confidence.append(estimate.confidence[0])
        assert_near(task, estimate, poses)
    assert min(confidence[:2]) > 0.5 and max(confidence[2:5]) < 0.5 and confidence[5] > 0.5


@pytest.mark.parametrize(("yaw", "taken_along"), [(0.5, True), (-0.6, True), (0.0, True), (0.0, False)])
def test_a_cube_half_hidden_in_the_hand_goes_with_it_squarely_if_it_does(studios, yaw, taken_along):
    task, studio = tabletop_task("stack_cube"), studios("stack_cube")
    tracker, joints = GeometricTracker(task, FR3), np.array(task.home_joints)
    turn = rotations.from_rotation_vector(np.array([0.0, 0.0, yaw]))
    down = rotations.multiply(turn, np.array([0.0, 1.0, 0.0, 0.0]))
    poses = np.array([[0.52, -0.1, 0.02, *turn], [0.55, 0.2, 0.02, 1.0, 0.0, 0.0, 0.0]])

    def seen(height: float, width: float) -> PoseEstimate:
        """With the pads `height` [m] over the middle of the cube at rest, less the 12 mm by which it sits between them."""
        nonlocal joints
        for _ in range(60):
            joints = FR3.step_towards(joints[None], np.array([[0.52, -0.1, 0.008 + height, *down]]))[0]
        shot = studio.shoot(poses, joints, width)
        return tracker.track(shot.frame, shot.robot)

    for height, width in [(0.25, 0.08)] * 3 + [(0.08, 0.08), (0.02, 0.08), (0.0, 0.08), (0.0, 0.06), (0.0, 0.04)]:
        seen(height, width)
    believed = 0
    for lifted in np.linspace(0.01, 0.14, 14):
        poses[0, 2] = 0.02 + lifted * taken_along
        estimate = seen(lifted, 0.0345 if taken_along else 0.0)
        if estimate.confidence[0] >= CONFIDENCE_THRESHOLD:
            believed += 1
            assert_near(task, estimate, poses, *((6.0, 5.0) if taken_along else (10.0, 6.0)))
    assert believed >= 10


def test_a_cup_is_told_from_one_turned_end_over_end(studios):
    task, studio = tabletop_task("stand_cup_up"), studios("stand_cup_up")
    for quaternion in ([1.0, 0, 0, 0], [0.0, 1.0, 0, 0]):
        poses = np.array([[0.5, 0.02, 0.05, *quaternion]])
        shot, tracker = studio.shoot(poses), GeometricTracker(task, FR3)
        assert_near(task, tracker.track(shot.frame, shot.robot), poses)


def test_same_frames_same_results(studios):
    task, studio = tabletop_task("stack_cube"), studios("stack_cube")
    shots = [studio.shoot(studio.initial(5)) for _ in range(3)]
    first, second = (
        [tracker.track(shot.frame, shot.robot) for shot in shots]
        for tracker in (GeometricTracker(task, FR3), GeometricTracker(task, FR3))
    )
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.poses, other.poses)
        np.testing.assert_array_equal(one.confidence, other.confidence)


def test_an_object_that_is_not_there_is_not_found(studios):
    task, studio = tabletop_task("cube_lift"), studios("cube_lift")
    poses = studio.initial(6)
    poses[0, :3] = (0.5, 0.0, -1.0)
    shot = studio.shoot(poses)
    assert GeometricTracker(task, FR3).track(shot.frame, shot.robot).confidence[0] == 0.0


def test_the_verifier_believes_true_poses_and_no_others(studios):
    for slug in ("cube_lift", "stand_cup_up"):
        studio, verifier = studios(slug), PoseVerifier(shapes_of(tabletop_task(slug)), FR3)
        shot = studio.shoot(studio.initial(7))
        assert verifier.verify(shot.frame, shot.robot, shot.poses)[0] > 0.5
        away = shot.poses.copy()
        away[0, 1] += 0.02
        turned = shot.poses.copy()
        turn = rotations.from_rotation_vector(np.array([0.0, 0.0, np.deg2rad(25.0)]))
        turned[0, 3:] = rotations.multiply(turn, turned[0, 3:])
        elsewhere = shot.poses.copy()
        elsewhere[0, :3] += (0.0, 0.0, 0.2)
        for wrong in (away, turned, elsewhere):
            assert verifier.verify(shot.frame, shot.robot, wrong)[0] < 0.5


def stacked(studio, seed):
    """Cubes one on the other as a hand stacks them: they touch, and either covers a part of the other."""
    generator, poses = np.random.default_rng(seed), studio.initial(7)
    poses[1, :2] = generator.uniform((0.42, -0.1), (0.52, 0.1))
    poses[0, :3] = poses[1, :3] + (*generator.uniform(-0.008, 0.008, 2), 0.04)
    poses[:, 3:] = rotations.from_rotation_vector(np.array([0.0, 0.0, generator.uniform(-0.7, 0.7)]))
    return studio.shoot(poses)


def test_in_the_verifier_the_pixels_of_another_object_do_not_count_against_one(studios):
    studio, shapes = studios("stack_cube"), shapes_of(tabletop_task("stack_cube"))
    left = {"together": 0.0, "alone": 0.0}
    for seed in range(6):
        shot = stacked(studio, seed)
        together, alone = (
            PoseVerifier(shapes, FR3),
            [PoseVerifier({name: shape}, FR3) for name, shape in shapes.items()],
        )
        fits = together.refined(shot.frame, shot.robot, shot.poses)
        left["together"] += sum(found.agreement.unexplained for found in fits)
        for index, verifier in enumerate(alone):
            (found,) = verifier.refined(shot.frame, shot.robot, shot.poses[index : index + 1])
            left["alone"] += found.agreement.unexplained
    assert left["together"] < 0.5 * left["alone"], left


def test_an_object_that_is_not_of_the_frame_or_not_believed_explains_nothing(studios):
    shapes, shot = shapes_of(tabletop_task("stack_cube")), stacked(studios("stack_cube"), 3)
    alone = PoseVerifier({"white_cube": shapes["white_cube"]}, FR3).verify(shot.frame, shot.robot, shot.poses[:1])
    unknown = PoseVerifier(shapes, FR3).verify(shot.frame, shot.robot, shot.poses, np.array([True, False]))
    assert unknown.tolist() == [alone[0], 0.0]
    wrong = shot.poses.copy()
    wrong[1, 2] += 0.1
    doubted = PoseVerifier(shapes, FR3).verify(shot.frame, shot.robot, wrong)
    assert doubted[1] < 0.5
    np.testing.assert_allclose(doubted[0], alone[0], atol=0.1)


def test_the_overlay_marks_what_it_draws_over(studios):
    task, studio = tabletop_task("close_drawer"), studios("close_drawer")
    shot = studio.shoot(studio.initial(8))
    estimate = GeometricTracker(task, FR3).track(shot.frame, shot.robot)
    image = draw_overlay(shot.frame, shapes_of(task), estimate)
    assert image.shape == shot.frame.colour.shape and image.dtype == np.uint8
    assert 1000 < (image != shot.frame.colour).any(-1).sum() < 40_000


@pytest.mark.wrong_shapes
def test_frames_and_postures_that_do_not_fit_are_refused(studios):
    shot = studios("cube_lift").shoot(studios("cube_lift").initial(9))
    tracker = GeometricTracker(tabletop_task("cube_lift"), FR3)
    with pytest.raises(ValueError, match="colour must be"):
        tracker.track(replace(shot.frame, colour=shot.frame.colour[::2]), shot.robot)
    with pytest.raises(ValueError, match="float32 in metres"):
        tracker.track(replace(shot.frame, depth=shot.frame.depth.astype(np.uint16)), shot.robot)
    with pytest.raises(ValueError, match="7 joint positions"):
        tracker.track(shot.frame, replace(shot.robot, joint_positions=np.full(7, np.nan)))
    verifier = PoseVerifier(shapes_of(tabletop_task("cube_lift")), FR3)
    with pytest.raises(ValueError, match="one an object"):
        verifier.verify(shot.frame, shot.robot, shot.poses[:, :3])
