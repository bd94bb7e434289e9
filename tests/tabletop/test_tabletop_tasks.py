"""What every tabletop task must do: initial states over their range, a demonstrator that earns the stages in order."""

import numpy as np
import pytest

from ocrrl.front_door.gymnasium_ids import gymnasium_id
from ocrrl.interface import rotations
from ocrrl.interface.observations import MAX_GRIPPER_WIDTH
from ocrrl.sim.environment import SimEnvironment
from ocrrl.tabletop import close_drawer, stand_cup_up
from ocrrl.tabletop.registry import slugs, tabletop_task
from ocrrl.worlds import make_scene, make_simulator, make_teleoperator

DEMONSTRATIONS = 20


def starts(slug: str, count: int = 400) -> np.ndarray:
    scene, generator = make_scene(slug), np.random.default_rng(0)
    return np.stack([scene.initial_object_poses(generator) for _ in range(count)])


def yaw_of(quaternion: np.ndarray) -> np.ndarray:
    side = rotations.rotate(quaternion, np.array([1.0, 0.0, 0.0]))
    return np.arctan2(side[..., 1], side[..., 0])


def test_each_has_an_instruction_of_its_own_and_a_name_in_gymnasium():
    assert len({tabletop_task(slug).instruction for slug in slugs()}) == len({gymnasium_id(slug) for slug in slugs()})
    assert gymnasium_id("stand_cup_up") == "ocrrl/StandCupUp-v0"


@pytest.mark.parametrize("slug", slugs())
def test_the_demonstrator_succeeds_and_its_reward_rises(slug):
    n = DEMONSTRATIONS
    world = make_simulator(slug, n)
    teleoperator = make_teleoperator(slug, world)
    ids, seeds = np.arange(n), list(range(n))
    world.reset(ids, seeds)
    teleoperator.reset(ids, seeds)
    solved, last_reward = np.zeros(n, bool), np.zeros(n)
    stages = tuple(world.scene.stage_rewards(world.true_state()))
    course: dict[str, list[np.ndarray]] = {name: [] for name in stages}
    for _ in range(world.tabletop_task.horizon):
        acting = ids[~solved]
        if len(acting):
            result = world.step(teleoperator.act(world.observe(), acting, world.capture), acting)
            assert (result.reward >= 0).all() and (result.reward <= 1).all()
            last_reward[acting], solved[acting] = result.reward, result.success
        for name, value in world.scene.stage_rewards(world.true_state()).items():
            course[name].append(value)
    assert solved.mean() >= (0.8 if slug == "stand_cup_up" else 0.9)
    assert (last_reward[solved] > 0.7).all(), "success may come before the hand has quite retreated"
    values = np.stack([np.stack(course[name]) for name in stages])[:, :, solved]
    reached = (values > 0.9 * values[:, -1:]).argmax(1)  # stage, episode: the first step near the stage's full value
    assert (np.diff(reached, axis=0) >= 0).all(), reached


@pytest.mark.parametrize("slug", ["cube_lift", "pick_and_place", "stack_cube", "stand_cup_up"])
def test_initial_states_cover_20_by_30_centimetres(slug):
    poses = starts(slug)
    assert (np.ptp(poses[..., 0], axis=0) > 0.18).all() and (np.ptp(poses[..., 1], axis=0) > 0.28).all()


@pytest.mark.parametrize(("slug", "half_turn"), [("cube_lift", np.pi / 2), ("pick_and_place", np.pi / 2)])
def test_cuboids_start_at_any_yaw(slug, half_turn):
    yaw = yaw_of(starts(slug)[:, 0, 3:])
    assert yaw.min() < 0.95 * -half_turn and yaw.max() > 0.95 * half_turn


def test_cubes_start_at_any_yaw_and_apart():
    poses = starts("stack_cube")
    assert np.ptp(yaw_of(poses[:, 0, 3:])) > 6.0
    assert np.linalg.norm(poses[:, 0, :2] - poses[:, 1, :2], axis=-1).min() >= 0.08


def test_the_cup_lies_still_on_its_side():
    n = 10
    world = make_simulator("stand_cup_up", n)
    still = np.tile([0, 0, 0, 0, 0, 0, 1.0], (n, 1))
    before = world.true_state().object_poses[:, 0].copy()
    for _ in range(20):
        world.step(still, np.arange(n))
    after = world.true_state().object_poses[:, 0]
    assert np.linalg.norm(after[:, :3] - before[:, :3], axis=-1).max() < 0.004
    assert (world.scene.tilt(world.true_state()) > np.deg2rad(75)).all()


def test_a_cup_leaned_against_the_hand_does_not_count():
    scene = make_scene("stand_cup_up")
    world = SimEnvironment(scene, 1)
    upright = np.array([[[0.5, 0.0, stand_cup_up.HALF_HEIGHT, 1.0, 0.0, 0.0, 0.0]]])
    joints = np.asarray(world.tabletop_task.home_joints)[None]
    world.reset_to(np.arange(1), joints, np.array([MAX_GRIPPER_WIDTH]), upright)
    assert scene.solved(world.true_state()).all()
    state = world.true_state()
    state.gripper_pose[:, :3] = upright[:, 0, :3] + [0.0, 0.03, 0.0]
    assert not scene.solved(state).any()


def test_every_drawer_is_the_active_one_now_and_then_and_stays_it():
    scene = make_scene("close_drawer")
    n = 40
    world = SimEnvironment(scene, n)
    poses = world.true_state().object_poses
    height = poses[:, 0, 2] / close_drawer.DRAWER_HEIGHT - 0.5
    np.testing.assert_allclose(height, np.rint(height), atol=1e-6)
    assert set(np.rint(height).astype(int)) == set(range(close_drawer.DRAWERS))
    opening = scene.opening(world.true_state())
    assert (opening > 0.055).all() and (opening < 0.1301).all()

    closed = poses.copy()
    towards = rotations.rotate(poses[:, 1, 3:], np.array([0.0, 1.0, 0.0]))
    closed[:, 0, :3] += towards * opening[:, None]
    other = SimEnvironment(make_scene("close_drawer"), n)
    other.reset_to(np.arange(n), world.observe().joint_positions, np.full(n, 0.08), closed)
    np.testing.assert_allclose(other.true_state().object_poses, closed, atol=1e-6)
    assert scene.solved(other.true_state()).all()
    third = SimEnvironment(make_scene("close_drawer"), n)
    third.set_state(other.get_state())
    np.testing.assert_array_equal(third.true_state().object_poses, other.true_state().object_poses)


def test_a_push_on_a_drawer_hardly_shifts_the_cabinet():
    world = make_simulator("close_drawer", 4)
    teleoperator = make_teleoperator("close_drawer", world)
    ids = np.arange(4)
    world.reset(ids, [1, 2, 3, 4])
    teleoperator.reset(ids, [1, 2, 3, 4])
    before = world.true_state().object_poses[:, 1].copy()
    for _ in range(60):
        world.step(teleoperator.act(world.observe(), ids, world.capture), ids)
    moved = world.true_state().object_poses[:, 1, :3] - before[:, :3]
    assert np.linalg.norm(moved, axis=-1).max() < 0.01
