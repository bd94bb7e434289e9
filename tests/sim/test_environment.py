import numpy as np
import pytest

from ocrrl.interface.actions import CONTROL_HZ
from ocrrl.interface.tabletop_tasks import HOME_JOINTS
from ocrrl.sim.dynamics import Dynamics, DynamicsRange
from ocrrl.sim.environment import SimEnvironment
from ocrrl.sim.scene import SUBSTEPS
from ocrrl.sim.teleoperator import ScriptedTeleoperator
from ocrrl.tabletop.cube_lift import LIFT_HEIGHT, plan_demonstration
from ocrrl.tabletop.cube_lift import Scene as CubeLift


def hold(n):
    return np.tile([0, 0, 0, 0, 0, 0, 1.0], (n, 1))


@pytest.fixture(scope="module")
def environment():
    return SimEnvironment(CubeLift(), 4)


def test_one_control_step_is_exactly_one_period(environment):
    assert environment.model.opt.timestep * SUBSTEPS == 1 / CONTROL_HZ


def test_kinematics_agree_with_the_physics_engine(environment):
    import mujoco

    generator, data = np.random.default_rng(0), mujoco.MjData(environment.model)
    for _ in range(5):
        q = np.asarray(HOME_JOINTS) + generator.normal(scale=0.4, size=7)
        data.qpos[:7] = q
        mujoco.mj_forward(environment.model, data)
        pose, jacobian = environment.kinematics.jacobian(q[None])
        np.testing.assert_allclose(pose[0, :3], data.site("tcp").xpos, atol=1e-9)
        jacp, jacr = np.zeros((3, environment.model.nv)), np.zeros((3, environment.model.nv))
        mujoco.mj_jacSite(environment.model, data, jacp, jacr, environment.model.site("tcp").id)
        np.testing.assert_allclose(jacobian[0], np.concatenate([jacp, jacr])[:, :7], atol=1e-9)


def test_an_action_moves_the_gripper_by_its_step(environment):
    ids = np.arange(4)
    environment.reset(ids, [0, 1, 2, 3])
    before = environment.observe().gripper_pose
    forward = hold(4)
    forward[:, 0] = 0.01
    for _ in range(10):
        environment.step(forward, ids)
    for _ in range(10):
        environment.step(hold(4), ids)
    moved = environment.observe().gripper_pose - before
    np.testing.assert_allclose(moved[:, 0], 0.1, atol=0.003)
    np.testing.assert_allclose(moved[:, 1:3], 0.0, atol=0.003)


def test_the_same_seeds_give_the_same_bytes_whoever_else_is_stepped():
    together, alone = SimEnvironment(CubeLift(), 3), SimEnvironment(CubeLift(), 1)
    together.reset(np.arange(3), [5, 6, 7])
    alone.reset(np.array([0]), [6])
    generator = np.random.default_rng(0)
    for _ in range(15):
        actions = np.concatenate([generator.uniform(-0.02, 0.02, (3, 6)), np.ones((3, 1))], axis=-1)
        together.step(actions, np.arange(3))
        alone.step(actions[1:2], np.array([0]))
    for name, value in alone.observe().arrays().items():
        np.testing.assert_array_equal(value[0], getattr(together.observe(), name)[1], err_msg=name)


def test_a_restored_state_goes_on_bit_for_bit():
    first = SimEnvironment(CubeLift(), 2, dynamics=DynamicsRange(friction_scale=(0.5, 1.5), latency_steps=(0, 2)))
    ids = np.arange(2)
    first.reset(ids, [11, 12])
    push = hold(2)
    push[:, 2] = -0.02
    for _ in range(8):
        first.step(push, ids)
    second = SimEnvironment(CubeLift(), 2, dynamics=DynamicsRange(friction_scale=(0.5, 1.5), latency_steps=(0, 2)))
    second.set_state(first.get_state())
    for _ in range(8):
        first.step(push, ids)
        second.step(push, ids)
    np.testing.assert_array_equal(first.get_state()["simulation"], second.get_state()["simulation"])


def test_initial_states_cover_the_workspace_and_every_yaw():
    scene, generator = CubeLift(), np.random.default_rng(0)
    starts = np.stack([scene.initial_object_poses(generator)[0] for _ in range(500)])
    assert np.ptp(starts[:, 0]) > 0.19 and np.ptp(starts[:, 1]) > 0.29
    yaw = 2 * np.arctan2(starts[:, 6], starts[:, 3])
    assert yaw.min() < -1.5 and yaw.max() > 1.5


def test_a_scripted_demonstration_earns_each_reward_stage_in_order():
    n = 8
    environment = SimEnvironment(CubeLift(), n)
    ids, seeds = np.arange(n), list(range(n))
    teleoperator = ScriptedTeleoperator(environment, plan_demonstration)
    environment.reset(ids, seeds)
    teleoperator.reset(ids, seeds)
    first = {}
    success = np.zeros(n, bool)
    for step in range(environment.tabletop_task.horizon):
        result = environment.step(teleoperator.act(environment.observe(), ids, environment.capture), ids)
        stages = environment.scene.stage_rewards(environment.true_state())
        for name, best in (("reach", 0.2), ("grasp", 0.2), ("lift", 0.49)):
            for env in np.flatnonzero(stages[name] >= best):
                first.setdefault((name, env), step)
        success |= result.success
        assert (result.reward >= 0).all() and (result.reward <= 1).all()
    assert success.all()
    for env in range(n):
        assert first["reach", env] <= first["grasp", env] < first["lift", env]


def test_success_must_last():
    environment = SimEnvironment(CubeLift(), 1)
    ids = np.array([0])
    environment.reset(ids, [0])
    teleoperator = ScriptedTeleoperator(environment, plan_demonstration)
    teleoperator.reset(ids, [0])
    solved_for = 0
    for _ in range(environment.tabletop_task.horizon):
        result = environment.step(teleoperator.act(environment.observe(), ids, environment.capture), ids)
        solved_for = solved_for + 1 if environment.scene.solved(environment.true_state())[0] else 0
        assert result.success[0] == (solved_for >= environment.tabletop_task.success_hold)
    assert environment.scene.height(environment.true_state())[0] >= LIFT_HEIGHT


def test_latency_delays_a_command_by_its_steps():
    prompt = SimEnvironment(CubeLift(), 1)
    late = SimEnvironment(CubeLift(), 1, dynamics=DynamicsRange.fixed(Dynamics(latency_steps=2)))
    ids, push = np.array([0]), hold(1)
    push[:, 1] = 0.02
    paths = []
    for environment in (prompt, late):
        environment.reset(ids, [3])
        path = []
        for _ in range(6):
            environment.step(push, ids)
            path.append(environment.observe().gripper_pose[0, 1])
        paths.append(np.array(path) - environment.kinematics.gripper_pose(np.array([HOME_JOINTS]))[0, 1])
    assert paths[0][0] - paths[1][0] > 0.005
    np.testing.assert_allclose(paths[1][3], paths[0][1], atol=0.004)


def test_a_range_that_decreases_is_refused():
    with pytest.raises(ValueError, match="friction_scale must be an increasing pair"):
        DynamicsRange(friction_scale=(2.0, 1.0))


@pytest.mark.renders
def test_each_camera_takes_images_of_its_own_size_whichever_others_there_are(environment):
    ids, cameras = np.arange(2), {"front": (96, 128), "wrist": (64, 64)}
    mixed, one = (SimEnvironment(CubeLift(), 4, cameras=chosen) for chosen in (cameras, {"wrist": (64, 64)}))
    for world in (environment, mixed, one):
        world.reset(np.arange(4), [0, 1, 2, 3])
    images = mixed.capture(ids)
    assert {name: image.shape for name, image in images.items()} == {"front": (2, 96, 128, 3), "wrist": (2, 64, 64, 3)}
    default, alone = environment.capture(ids), one.capture(ids)
    assert list(alone) == ["wrist"]
    assert np.array_equal(images["wrist"], default["wrist"]) and np.array_equal(alone["wrist"], default["wrist"])
    middle = images["front"][:, :, 16:112]  # the field of view upwards is the same
    shrunk = (
        middle.reshape(2, 32, 3, 32, 3, 3).mean(axis=(2, 4)),
        default["front"].reshape(2, 32, 2, 32, 2, 3).mean(axis=(2, 4)),
    )
    assert np.abs(shrunk[0] - shrunk[1]).mean() < 4.0
    assert set(one.image(ids, 48)) == {"front", "wrist"}, "a video for people shows what there is"
    for world in (mixed, one):
        world.close()


class WatchedFromAbove(CubeLift):
    def add_objects(self, spec):
        super().add_objects(spec)
        spec.worldbody.add_camera(name="top", pos=[0.5, 0.0, 1.2], fovy=40.0)


@pytest.mark.renders
def test_a_scene_may_have_cameras_of_its_own_and_one_that_it_has_not_is_refused():
    world = SimEnvironment(WatchedFromAbove(), 1, cameras={"front": (64, 64), "top": (48, 80)})
    assert world.capture(np.arange(1))["top"].shape == (1, 48, 80, 3) and world.capture(np.arange(1))["top"].std() > 5
    assert list(SimEnvironment(WatchedFromAbove(), 1).capture(np.arange(1))) == ["front", "wrist"]
    world.close()
    with pytest.raises(
        ValueError, match=r"among those of the scene of cube_lift, front, wrist, got 'top': correct the sec"
    ):
        SimEnvironment(CubeLift(), 1, cameras={"top": (64, 64)})
