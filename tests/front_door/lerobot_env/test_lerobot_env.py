"""LeRobot's own evaluation acts the episodes that ours acts, and what cannot work is named in one line."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from draccus.utils import DecodingError
from lerobot.configs import PreTrainedConfig
from lerobot.envs import make_env, make_env_pre_post_processors
from lerobot.policies import make_policy, make_pre_post_processors
from lerobot.scripts.lerobot_eval import eval_policy

import ocrrl.policies.compact_vla  # noqa: F401  registers the policy
from ocrrl.front_door.lerobot_env import LeRobotVectorEnv, OcrrlEnvConfig
from ocrrl.interface.seeds import initial_state_seeds
from ocrrl.layout import Layout
from ocrrl.policies.checkpoint import load_policy
from ocrrl.rollouts.control_loop import run_episodes
from ocrrl.tabletop.cube_lift import TASK as CUBE_LIFT
from ocrrl.worlds import make_environment, make_teleoperator
from tests.pipeline_copy import ROOT
from tests.policies.hub_cache import cached_repository, empty_hub_cache
from tests.policies.tiny_act import write_act
from tests.untrained_models import write_untrained_models

SEEDS = initial_state_seeds("validation", 2)


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("checkpoints")
    layout = Layout("cube_lift")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_untrained_models(layout)
    config = write_act(folder / "act") / "config.json"
    config.write_text(config.read_text().replace('"use_amp": false', '"use_amp": true'))  # as `--base act` trains it
    return {"compact_vla": folder / layout.vla("real"), "act": config.parent}


def by_lerobot(folder: Path, env_config: OcrrlEnvConfig, num_envs: int, episodes: int):
    """As `lerobot-eval` does it, without its command line."""
    config = PreTrainedConfig.from_pretrained(folder)
    config.pretrained_path = folder
    env = make_env(env_config, n_envs=num_envs)["ocrrl"][0]
    policy = make_policy(config, env_cfg=env_config)
    before, after = make_pre_post_processors(config, pretrained_path=str(folder))
    of_env = make_env_pre_post_processors(env_config, config)
    with torch.autocast("cpu", enabled=config.use_amp):
        info = eval_policy(env, policy, *of_env, before, after, episodes, start_seed=SEEDS[0])
    env.close()
    return info["per_episode"]


@pytest.mark.parametrize(("kind", "size"), [("compact_vla", 64), ("act", 32)])
def test_lerobot_and_we_act_the_same_episodes(checkpoints, kind, size):
    folder = checkpoints[kind]
    cameras = {"front": (size, size), "wrist": (size, size)}
    theirs = by_lerobot(folder, OcrrlEnvConfig(task="cube_lift", cameras=cameras), num_envs=2, episodes=2)
    environment = make_environment("sim", "cube_lift", 2, cameras)
    ours = run_episodes(environment, load_policy(folder, CUBE_LIFT.instruction, 2, "cpu"), None, SEEDS)
    assert [(episode["seed"], episode["success"]) for episode in theirs] == [(o.seed, o.success) for o in ours]
    np.testing.assert_allclose([e["sum_reward"] for e in theirs], [o.total_reward for o in ours], rtol=1e-9)


def test_an_episode_that_has_ended_keeps_its_result_until_the_reset():
    env = OcrrlEnvConfig(task="cube_lift").create_envs(2)["ocrrl"][0]
    assert isinstance(env, LeRobotVectorEnv)
    observation, _ = env.reset(seed=SEEDS, options={"lerobot_new_rollout": True})
    assert env.observation_space.contains(observation)
    inner = env.env._environment
    demonstrator = make_teleoperator("cube_lift", inner)
    demonstrator.reset(np.arange(2), SEEDS)
    rewards, ends = [], []
    for _ in range(CUBE_LIFT.horizon):
        actions = np.asarray(demonstrator.act(inner.observe(), np.arange(2), inner.capture), np.float32)
        actions[1, :6] = 0.0  # this arm stays where it is
        _, reward, terminated, truncated, info = env.step(actions)
        rewards.append(reward)
        ends.append((terminated, truncated, info["is_success"]))
    succeeded = [end[0][0] for end in ends]
    first = succeeded.index(True)
    assert 0 < first < CUBE_LIFT.horizon - 1 and all(succeeded[first:])
    assert rewards[first][0] > 0.9 and all(reward[0] == 0.0 for reward in rewards[first + 1 :])
    for end, wanted in zip(ends[-1], ([True, False], [False, True], [True, False]), strict=True):
        np.testing.assert_array_equal(end, wanted)
    assert not ends[-2][1][1]
    _, info = env.reset(seed=SEEDS)
    assert not info["is_success"].any() and not env.step(np.zeros((2, 7), np.float32))[2].any()


def test_what_lerobot_asks_an_environment_for():
    env = OcrrlEnvConfig(task="stack_cube", cell="twin").create_envs(2, use_async_envs=True)["ocrrl"][0]
    assert isinstance(env, LeRobotVectorEnv)
    assert env.call("task")[0] == "stack_cube" and "cube" in env.call("task_description")[1]
    assert env.call("_max_episode_steps")[0] > 0
    env.reset(seed=0)
    assert [frame.shape for frame in env.call("render")] == [(256, 256, 3)] * 2
    with pytest.raises(AttributeError, match="got 'tasks'"):
        env.call("tasks")
    with pytest.raises(ValueError, match="action must be finite, got NaN"):
        env.step(np.full((2, 7), np.nan, np.float32))


def test_the_hubs_file_makes_the_same_environments(tmp_path, monkeypatch):
    cache = empty_hub_cache(tmp_path, monkeypatch)
    shutil.copy(ROOT / "plugins/envhub/env.py", cached_repository(cache, "lab/ocrrl"))
    env = make_env("lab/ocrrl", n_envs=1, trust_remote_code=True, hub_cache_dir=str(cache))["ocrrl"][0]
    observation, _ = env.reset(seed=SEEDS[0])
    ours, _ = OcrrlEnvConfig().create_envs(1)["ocrrl"][0].reset(seed=SEEDS[0])
    np.testing.assert_array_equal(observation["agent_pos"], ours["agent_pos"])


@pytest.mark.parametrize(
    ("settings", "policy", "message"),
    [
        ({"task": "cube_lft"}, None, "tabletop task must be one of cube_lift, .*, got 'cube_lft'"),
        ({"cameras": {"front": (8, 8)}}, None, r"cameras\.front must be a height of 16 to 480 .*, got \[8, 8\]"),
        (
            {"cameras": {"front": (96, 96), "wrist": (64, 64)}},
            "compact_vla",
            r"--env.cameras must be those of .*, front 64 x 64, wrist 64 x 64, got front 96 x 96, wrist 64 x 64; "
            r'add --env.cameras="{front: \[64, 64\], wrist: \[64, 64\]}"',
        ),
        ({"cameras": {"wrist": (64, 64)}}, "compact_vla", "--env.cameras must be those of .*, got wrist 64 x 64; add"),
        (
            {},
            "data/nothing/here",
            "--policy.path must be a folder with config.json .*, got data/nothing/here, which is not there",
        ),
        ({}, "tests", "--policy.path must be a folder .*, got tests, which lacks config.json; correct the path"),
        ({}, "tests/nothing", "got tests/nothing, which is not there"),
    ],
)
def test_what_cannot_work_is_named_before_lerobot_loads_anything(checkpoints, monkeypatch, settings, policy, message):
    monkeypatch.chdir(ROOT)
    path = checkpoints.get(str(policy), policy)
    monkeypatch.setattr(sys, "argv", ["lerobot-eval", *([f"--policy.path={path}"] if path else [])])
    with pytest.raises(DecodingError, match=message):  # which LeRobot prints as one line
        OcrrlEnvConfig(**settings)


def test_a_checkpoint_without_weights_is_named(checkpoints, tmp_path, monkeypatch):
    shutil.copy(checkpoints["compact_vla"] / "config.json", tmp_path)
    monkeypatch.setattr(sys, "argv", ["lerobot-eval", f"--policy.path={tmp_path}"])
    with pytest.raises(DecodingError, match=r"which lacks \*model\*\.safetensors; correct the path"):
        OcrrlEnvConfig()


def test_a_policy_of_the_hub_is_left_to_lerobot(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["lerobot-eval", "--policy.path=lerobot/act_cube_lift"])
    assert OcrrlEnvConfig().task == "cube_lift"
