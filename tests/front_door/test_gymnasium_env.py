"""The Gymnasium environments are ours, step by step, and follow Gymnasium's rules."""

import subprocess
import sys

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode

import ocrrl
from ocrrl.commands.params import write
from ocrrl.front_door.gymnasium_env import TabletopEnv, TabletopVectorEnv
from ocrrl.front_door.gymnasium_ids import gymnasium_id
from ocrrl.interface.seeds import RANGES
from ocrrl.preset_params import resolve
from ocrrl.tabletop.cube_lift import TASK as CUBE_LIFT
from ocrrl.tabletop.registry import MODULES, tabletop_task
from ocrrl.worlds import make_environment, make_teleoperator

FIRST_HELD_OUT = RANGES["test"].start


def expected(environment, row=slice(None)):
    observed = {name: np.asarray(value)[row] for name, value in environment.observe().arrays().items()}
    return observed | {"gripper_width": np.asarray(observed["gripper_width"])[..., None]}


def assert_same(observed, wanted):
    assert set(observed) == set(wanted)
    for name, value in wanted.items():
        if isinstance(value, dict):
            assert_same(observed[name], value)
        else:
            np.testing.assert_array_equal(observed[name], value, err_msg=name)


def actions(space, count):
    space.seed(0)
    return [space.sample() for _ in range(count)]


@pytest.mark.parametrize(("slug", "cell"), [*((slug, "sim") for slug in MODULES), ("cube_lift", "twin")])
def test_a_single_environment_is_ours_step_by_step(slug, cell):
    env, ours = gymnasium.make(gymnasium_id(slug), cell=cell), make_environment(cell, slug, 1)
    observation, info = env.reset(seed=FIRST_HELD_OUT)
    ours.reset(np.arange(1), [FIRST_HELD_OUT])
    assert_same(observation, expected(ours, 0))
    assert info == {"seed": FIRST_HELD_OUT, "success": False}
    for action in actions(env.action_space, 8):
        observation, reward, terminated, truncated, info = env.step(action)
        result = ours.step(action[None], np.arange(1))
        assert_same(observation, expected(ours, 0))
        assert (reward, terminated, truncated) == (result.reward[0], result.success[0], False)
        assert env.observation_space.contains(observation)
    assert env.spec is not None and env.spec.max_episode_steps == tabletop_task(slug).horizon


def test_success_terminates_an_episode():
    env = TabletopEnv("cube_lift")
    env.reset(seed=FIRST_HELD_OUT)
    inner = env._environment
    demonstrator = make_teleoperator("cube_lift", inner)
    demonstrator.reset(np.arange(1), [FIRST_HELD_OUT])
    terminated = truncated = False
    while not (terminated or truncated):
        _, reward, terminated, truncated, info = env.step(
            demonstrator.act(env._environment.observe(), np.arange(1), env._environment.capture)[0]
        )
    assert terminated and not truncated and info["success"] and reward > 0.9


def test_the_horizon_truncates_an_episode_without_a_wrapper():
    env = TabletopEnv("cube_lift")
    env.reset(seed=0)
    ends = [env.step(np.zeros(7, np.float32))[2:4] for _ in range(CUBE_LIFT.horizon)]
    assert ends == [(False, False)] * (CUBE_LIFT.horizon - 1) + [(False, True)]


@pytest.mark.parametrize("cell", ["sim", "twin"])
def test_a_vector_environment_is_ours_step_by_step_through_its_resets(cell):
    """The reference resets an environment that ended to the state that `info` names."""
    steps, ids = 3, np.arange(3)
    envs = gymnasium.make_vec("ocrrl/CubeLift-v0", num_envs=3, cell=cell, max_episode_steps=steps)
    ours = make_environment(cell, "cube_lift", 3)
    observation, info = envs.reset(seed=FIRST_HELD_OUT)
    assert info["seed"].tolist() == [FIRST_HELD_OUT + i for i in range(3)]
    ours.reset(ids, info["seed"].tolist())
    assert_same(observation, expected(ours))
    for t, action in enumerate(actions(envs.action_space, 8), start=1):
        seeds = info["seed"]
        observation, reward, terminated, truncated, info = envs.step(action)
        result = ours.step(action, ids)
        np.testing.assert_array_equal(reward, result.reward)
        np.testing.assert_array_equal(terminated, result.success)
        assert truncated.tolist() == [t % steps == 0] * 3
        if t % steps == 0:
            for i in range(3):
                assert_same(info["final_obs"][i], expected(ours, i))
            assert info["_final_obs"].all() and info["_final_info"].all()
            assert info["final_info"]["seed"].tolist() == seeds.tolist() != info["seed"].tolist()
            assert all(seed in RANGES["train"] for seed in info["seed"])
            ours.reset(ids, info["seed"].tolist())
        else:
            assert "final_obs" not in info and info["seed"].tolist() == seeds.tolist()
        assert_same(observation, expected(ours))
        assert envs.observation_space.contains(observation)


def test_only_the_environment_that_ended_begins_anew():
    """One of two follows the demonstrator to success; the other one waits with its hand open."""
    envs = TabletopVectorEnv(2, "cube_lift")
    _, info = envs.reset(seed=[FIRST_HELD_OUT, FIRST_HELD_OUT + 1])
    inner, first = envs._environment, np.array([0])
    demonstrator = make_teleoperator("cube_lift", inner)
    demonstrator.reset(first, [FIRST_HELD_OUT])
    still = np.array([0.0] * 6 + [1.0])
    terminated = np.array([False, False])
    while not terminated.any():
        action = np.stack([demonstrator.act(inner.observe(), first, inner.capture)[0], still])
        observation, _, terminated, truncated, info = envs.step(action)
        assert not truncated.any()
    assert terminated.tolist() == info["_final_obs"].tolist() == info["_final_info"].tolist() == [True, False]
    assert info["final_obs"][1] is None and info["final_info"]["success"].tolist() == [True, False]
    assert info["final_info"]["seed"][0] == FIRST_HELD_OUT
    assert info["seed"][0] in RANGES["train"] and info["seed"][1] == FIRST_HELD_OUT + 1
    lifted, began = info["final_obs"][0]["object_poses"][0, 2], observation["object_poses"][0, 0, 2]
    assert lifted > began + 0.02
    assert envs.single_observation_space.contains(info["final_obs"][0])


def test_a_vector_environment_gives_the_episodes_of_single_ones():
    envs, singles = TabletopVectorEnv(2, "cube_lift"), [TabletopEnv("cube_lift") for _ in range(2)]
    batched, _ = envs.reset(seed=7)
    alone = [env.reset(seed=7 + i)[0] for i, env in enumerate(singles)]
    for action in actions(envs.action_space, 4):
        for i in range(2):
            for name, value in alone[i].items():
                np.testing.assert_allclose(batched[name][i], value, atol=1e-9, err_msg=name)
        batched = envs.step(action)[0]
        alone = [env.step(action[i])[0] for i, env in enumerate(singles)]
    after = envs.reset()[1]["seed"].tolist()
    assert after == [env.reset()[1]["seed"] for env in singles]


def test_images_are_those_of_our_cameras_and_only_on_demand():
    assert "pixels" not in TabletopEnv("cube_lift").reset(seed=3)[0]
    env, ours = TabletopEnv("cube_lift", cell="twin", pixels=True), make_environment("twin", "cube_lift", 1)
    observation, _ = env.reset(seed=3)
    ours.reset(np.arange(1), [3])
    assert set(observation["pixels"]) == {"front", "wrist"}
    assert_same(observation["pixels"], {name: frames[0] for name, frames in ours.capture(np.arange(1)).items()})
    assert env.observation_space.contains(observation)

    envs = gymnasium.make_vec("ocrrl/CubeLift-v0", num_envs=2, pixels=True, max_episode_steps=1)
    envs.reset(seed=3)
    observation, _, _, truncated, info = envs.step(np.zeros((2, 7), np.float32))
    assert truncated.all() and envs.observation_space.contains(observation)
    for i in range(2):
        assert not np.array_equal(info["final_obs"][i]["pixels"]["front"], observation["pixels"]["front"][i])


def test_images_have_the_sizes_that_were_asked_for_or_that_the_params_yaml_here_declares(tmp_path, monkeypatch):
    def shapes(space):
        return {camera: box.shape for camera, box in space["pixels"].items()}

    asked = TabletopEnv("cube_lift", pixels=True, cameras={"wrist": (48, 32)})
    assert shapes(asked.observation_space) == {"wrist": (48, 32, 3)}
    assert asked.observation_space.contains(asked.reset(seed=3)[0])
    monkeypatch.chdir(tmp_path)
    write(resolve("smoke", ["cube_lift"]) | {"cameras": {"front": [32, 48], "wrist": [16, 16]}}, None)
    envs = gymnasium.make_vec("ocrrl/CubeLift-v0", num_envs=2, pixels=True)
    assert shapes(envs.single_observation_space) == {"front": (32, 48, 3), "wrist": (16, 16, 3)}
    assert ocrrl.make_env("cube_lift", "twin", 1).capture(np.arange(1))["front"].shape == (1, 32, 48, 3)
    with pytest.raises(ValueError, match=r"among those of the scene of cube_lift, front, wrist, got 'top'"):
        ocrrl.make_env("cube_lift", cameras={"top": (64, 64)})


@pytest.mark.parametrize("pixels", [False, True])
def test_gymnasiums_checker_passes(pixels):
    check_env(gymnasium.make("ocrrl/CubeLift-v0", pixels=pixels).unwrapped)


def test_a_vector_environment_says_how_it_resets_and_renders_each():
    envs = gymnasium.make_vec("ocrrl/StackCube-v0", num_envs=2, render_mode="rgb_array")
    assert isinstance(envs.unwrapped, TabletopVectorEnv)
    assert envs.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    envs.reset(seed=0)
    frames = envs.render()
    assert frames is not None and [frame.shape for frame in frames] == [(256, 256, 3)] * 2
    envs.close()
    envs.close()


def test_a_wrong_seed_list_render_mode_cell_or_task_is_refused_by_name():
    envs = TabletopVectorEnv(2, "cube_lift")
    with pytest.raises(ValueError, match=r"seed must be one number, or 2 of them \(num_envs\), got 3"):
        envs.reset(seed=[1, 2, 3])
    with pytest.raises(ValueError, match=r"render_mode must be None or rgb_array, got 'ansi'"):
        TabletopEnv("cube_lift", render_mode="ansi")
    with pytest.raises(ValueError, match="cell must be one of sim, twin, got 'fr3'"):
        TabletopEnv("cube_lift", cell="fr3")
    with pytest.raises(ValueError, match="tabletop task must be one of cube_lift"):
        TabletopEnv("lift")


@pytest.mark.parametrize(
    "code",
    [
        "import ocrrl, gymnasium; gymnasium.spec('ocrrl/CubeLift-v0')",
        "import gymnasium, ocrrl; gymnasium.spec('ocrrl/CubeLift-v0')",
        "import gymnasium; gymnasium.make('ocrrl.front_door.gymnasium_env:ocrrl/CubeLift-v0')",
        "import ocrrl, importlib.util, sys\nassert importlib.util.find_spec('gymnasium')\nimport gymnasium\n"
        "gymnasium.spec('ocrrl/CubeLift-v0')\n"
        "assert not any('ocrrl' in type(finder).__module__ for finder in sys.meta_path)\n"
        "assert 'ocrrl' not in type(gymnasium.__spec__.loader).__module__",
    ],
)
def test_the_ids_are_registered_whichever_is_imported_first(code):
    subprocess.run([sys.executable, "-c", code], check=True)
