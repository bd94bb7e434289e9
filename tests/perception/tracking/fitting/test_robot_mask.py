import numpy as np
import pytest

from ocrrl.interface.fr3_chain import FR3
from ocrrl.interface.tabletop_tasks import HOME_JOINTS
from ocrrl.perception.tracking.fitting.pixels import BACKGROUND, OBJECT, ROBOT, UNKNOWN, pixels_of, whole_window
from ocrrl.perception.tracking.fitting.robot_mask import mark_robot, robot_capsules
from ocrrl.tabletop.cube_lift import TASK as CUBE_LIFT
from tests.perception.tracking.scenes import Studio


@pytest.fixture(scope="module")
def studio():
    studio = Studio(CUBE_LIFT.slug)
    yield studio
    studio.close()


def robot_of(shot, trust_colour=False, code=UNKNOWN):
    pixels = pixels_of(shot.frame, whole_window(shot.frame, 3))
    codes = np.full(len(pixels.depth), code, np.int8)
    mark_robot(pixels, codes, robot_capsules(FR3, shot.robot), trust_colour)
    return pixels, codes == ROBOT


def test_the_hand_and_wrist_are_masked_and_table_and_cuboid_are_not(studio):
    poses = studio.initial(0)
    generator = np.random.default_rng(0)
    for _ in range(4):
        joints = np.asarray(HOME_JOINTS) + generator.uniform(-0.15, 0.15, 7)
        shot = studio.shoot(poses, joints)
        pixels, robot = robot_of(shot)
        points = pixels.points()
        tcp = FR3.gripper_pose(joints[None])[0, :3]
        near = np.linalg.norm(points - tcp, axis=-1) < 0.25
        hand = (pixels.depth > 0) & (points[:, 2] > max(0.06, tcp[2] - 0.02)) & near
        assert hand.sum() > 300 and robot[hand].mean() > 0.9
        table = (pixels.depth > 0) & (points[:, 2] < 0.045) & (points[:, 2] > -0.02)
        assert robot[table].mean() < 0.01


def test_what_has_the_object_s_colour_is_left_alone_if_its_colour_is_trusted(studio):
    shot = studio.shoot(studio.initial(0))
    assert not robot_of(shot, trust_colour=True, code=OBJECT)[1].any()
    assert robot_of(shot, trust_colour=False, code=OBJECT)[1].any()
    assert robot_of(shot, trust_colour=True, code=BACKGROUND)[1].any()


def test_capsules_follow_the_fingers():
    from ocrrl.interface.protocols import RobotPosture

    joints = np.asarray(HOME_JOINTS)
    tips = [robot_capsules(FR3, RobotPosture(joints, width))[-1, 3:6] for width in (0.0, 0.08)]
    assert np.linalg.norm(tips[1] - tips[0]) == pytest.approx(0.04)
