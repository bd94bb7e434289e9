"""The calls of `import ocrrl`: quick to import, the same code as the stages, and errors that say what to give."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import ocrrl
from ocrrl.datasets.transitions import write_replay_transitions
from ocrrl.front_door import calls as front_door
from ocrrl.front_door.demonstrations import replayed_demonstrations
from ocrrl.interface.seeds import initial_state_seeds
from ocrrl.layout import Layout
from ocrrl.policies.chunked_policy import ChunkedPolicy
from ocrrl.residual import train_residual as algorithm
from ocrrl.residual.learning_curve import BlockingValidation
from ocrrl.residual.residual_config import ResidualConfig
from ocrrl.residual.residual_policy import load_residual
from ocrrl.residual.restraint.critic_gate import NEVER
from ocrrl.rollouts.control_loop import run_episodes
from ocrrl.rollouts.record import RecordConfig, record_episodes
from ocrrl.tabletop.cube_lift import TASK as CUBE_LIFT
from ocrrl.tabletop.stack_cube import TASK as STACK_CUBE
from ocrrl.worlds import make_teleoperator, make_twin
from tests.residual.toy_environment import ToyBase, ToyEnvironment, demonstrations
from tests.untrained_models import write_untrained_models

NUM_ENVS = 4
QUICK = {
    **{"total_timesteps": 240, "gradient_steps": 1, "learning_starts": 40, "batch_size": 16, "critic_warmup": 4},
    **{"actor_hidden": 16, "critic_hidden": 16, "validation_every": 80, "validation_episodes": 6},
}


class OtherCell(ToyEnvironment):
    cell = "twin"


class Forgetful:
    """A base policy without a state that could be saved."""

    def reset(self, ids, seeds): ...

    def act(self, observation, ids, capture):
        return np.zeros((len(ids), 7), np.float32)


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> dict[str, Path]:
    """Where the VLA `vla_real` and the residual `residual_0` lie."""
    folder = tmp_path_factory.mktemp("models")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_untrained_models(Layout("cube_lift"))
    layout = Layout("cube_lift")
    return {"vla_real": folder / layout.vla("real"), "residual_0": folder / layout.residual(0)}


@pytest.fixture(scope="module")
def recordings(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("recordings")
    cell = make_twin("cube_lift", 2)
    seeds = initial_state_seeds("record", 6)
    record_episodes(cell, make_teleoperator("cube_lift", cell), folder, seeds, RecordConfig(2, 6))
    return folder


def trained(out=None, seed=0, env=None, base=None, **settings):
    env, base = env or ToyEnvironment(NUM_ENVS), base or ToyBase(NUM_ENVS)
    return ocrrl.train_residual(env, base, demonstrations(3), out, seed, progress=False, **QUICK | settings)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_importing_it_loads_nothing_heavy_until_a_call_is_used():
    code = (
        "import sys, ocrrl\n"
        "heavy = {'torch', 'mujoco', 'gymnasium', 'numpy', 'lerobot', 'h5py', 'prefect', 'dvc', 'ocrrl.front_door.calls'}\n"
        "assert set(ocrrl.__all__) <= set(dir(ocrrl))\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        "ocrrl.make_env\n"
        "assert 'ocrrl.front_door.calls' in sys.modules and not {'prefect', 'dvc'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_call_is_there_and_a_wrong_name_is_answered_with_them():
    assert set(ocrrl.__all__) == {*front_door.__all__, "lineage"}
    assert all(callable(getattr(ocrrl, name)) for name in ocrrl.__all__)
    with pytest.raises(AttributeError, match=r"no attribute 'train'; it offers evaluate, lineage, load_policy"):
        _ = ocrrl.train


def test_an_environment_is_the_one_of_its_cell():
    for cell in ("sim", "twin"):
        env = ocrrl.make_env("stack_cube", cell, num_envs=2)
        assert (env.cell, env.num_envs, env.tabletop_task) == (cell, 2, STACK_CUBE)
    with pytest.raises(ValueError, match="cell must be one of sim, twin, got 'fr3'"):
        ocrrl.make_env("stack_cube", "fr3", 1)
    with pytest.raises(ValueError, match="num_envs must be at least 1, got 0"):
        ocrrl.make_env("stack_cube", "sim", 0)


def test_it_trains_what_the_stages_own_code_trains(tmp_path):
    """Validation is in an environment of its own there, and in between in the same one here."""
    base = trained(tmp_path / "here")
    preset = front_door._config(CUBE_LIFT, NUM_ENVS, QUICK)
    assert preset.residual_scale == (0.3, 0.6, 1.5) and preset.total_timesteps == 240

    def success_rate(residual):
        seeds = initial_state_seeds("validation", preset.validation_episodes)
        outcomes = run_episodes(ToyEnvironment(NUM_ENVS), ToyBase(NUM_ENVS), residual, seeds)
        return float(np.mean([outcome.success for outcome in outcomes]))

    algorithm.train_residual(
        preset, ToyEnvironment(NUM_ENVS), ToyBase(NUM_ENVS), demonstrations(3), tmp_path / "work", tmp_path / "there", 0,
        BlockingValidation(success_rate),
    )  # fmt: skip
    assert contents(tmp_path / "here") == contents(tmp_path / "there")
    points = json.loads((tmp_path / "here" / "curve.json").read_text())["points"]
    assert [point["transitions"] for point in points] == [0, 80, 160, 240]
    assert all(point["validation_success"] is not None for point in points)
    np.testing.assert_array_equal(base.weights["weight2"], ocrrl.load_residual(tmp_path / "here").weights["weight2"])


def test_a_gate_s_margin_is_calibrated_in_the_same_environment(tmp_path):
    env = ToyEnvironment(NUM_ENVS)
    policy = trained(tmp_path / "gated", env=env, gate={"critics": 2, "margins": [1e6, 0.0], "episodes": 8})
    found = json.loads((tmp_path / "gated" / "config.json").read_text())["gate"]["calibration"]
    assert [row["margin"] for row in found["tested"]] == [1e6] and found["margin"] == "never", "8 states are too few"
    assert policy.gate.margin == NEVER == ocrrl.load_residual(tmp_path / "gated").gate.margin
    assert [seed for _, seed in env.resets][-8:] == list(range(1_100_000, 1_100_008))


def test_without_validation_the_last_policy_is_the_result_and_nothing_need_be_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    policy = trained(base=Forgetful(), validate=False, coming_actions=0)
    assert policy.weights["weight2"].shape == (16, 7) and list(tmp_path.iterdir()) == []


def test_the_transitions_of_replay_are_read_from_their_folder(tmp_path):
    write_replay_transitions(tmp_path / "toy.zarr", demonstrations(3))
    env, base = ToyEnvironment(NUM_ENVS), ToyBase(NUM_ENVS)
    ocrrl.train_residual(env, base, tmp_path / "toy.zarr", tmp_path / "a", progress=False, **QUICK)
    trained(tmp_path / "b")
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_what_cannot_be_trained_with_is_refused_by_name(tmp_path):
    with pytest.raises(
        ValueError, match=r"train_residual.*transitions.* is no parameter; the parameters are .*total_ti"
    ):
        trained(transitions=100)
    with pytest.raises(ValueError, match=r"gamma must be in \(0, 1\), got 1.5"):
        trained(gamma=1.5)
    with pytest.raises(
        ValueError, match=r"mass_scale must be given to the simulator, .*make_simulator\('cube_lift', 4, "
    ):
        trained(mass_scale=(0.8, 1.2))
    with pytest.raises(ValueError, match=r"env must be of the cell sim, .* got twin: make_env\('cube_lift', 'sim'"):
        trained(env=OtherCell(NUM_ENVS))
    with pytest.raises(
        ValueError, match=r"base must offer get_state and set_state, .* got Forgetful; .*validate=False"
    ):
        trained(base=Forgetful())
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"out must be a new folder or one of a residual policy, got"):
        trained(tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"
    stacking = [replace(episode, observation=two_objects(episode.observation)) for episode in demonstrations(1)]
    with pytest.raises(ValueError, match=r"demonstrations must be of cube_lift, which tracks 1 objects, got 2 in toy-"):
        ocrrl.train_residual(ToyEnvironment(NUM_ENVS), ToyBase(NUM_ENVS), stacking, **QUICK)


def two_objects(observation):
    return replace(observation, object_poses=np.repeat(observation.object_poses, 2, axis=1))


def test_recorded_episodes_are_replayed_and_what_is_not_used_is_said(recordings, tmp_path, capsys):
    for path in recordings.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "cut.h5").write_bytes(b"\x89HDF")
    replayed = replayed_demonstrations(tmp_path, CUBE_LIFT, progress=False)
    assert 1 <= len(replayed) <= 2 and all(episode.success[-1] for episode in replayed)
    assert set(replayed[0].images) == {"front", "wrist"}
    assert "demonstration cut.h5 is not used: " in capsys.readouterr().out

    with pytest.raises(
        ValueError, match=r"at least one of stack_cube that replays to success, got none of the 2 episodes"
    ):
        replayed_demonstrations(recordings, STACK_CUBE, progress=False)
    assert "is not used: tabletop_task must be stack_cube" in capsys.readouterr().out
    with pytest.raises(
        FileNotFoundError, match=r"demonstrations must be a folder of recorded episodes .* is no folder"
    ):
        replayed_demonstrations(tmp_path / "none", CUBE_LIFT)


def test_evaluation_prints_and_returns_paired_numbers(capsys):
    env, base = ToyEnvironment(5), ToyBase(5)
    residual = trained(total_timesteps=40)
    numbers = ocrrl.evaluate(env, base, residual, episodes=7)
    printed = capsys.readouterr().out
    again = run_episodes(ToyEnvironment(5), ToyBase(5), residual, initial_state_seeds("test", 7))
    assert numbers["residual"]["successes"] == sum(outcome.success for outcome in again)
    assert numbers["base"]["episodes"] == sum(numbers["paired"].values()) == 7
    assert printed.startswith("cube_lift, sim, 7 held-out initial states\n\n| policy ")
    low, high = (round(100 * numbers["base"][name]) for name in ("wilson_low", "wilson_high"))
    assert f" {low} to {high}% |" in printed and "points |" in printed
    with pytest.raises(ValueError, match="episodes must be at least 1, got 0"):
        ocrrl.evaluate(env, base, residual, episodes=0)


def test_a_residual_is_opened_for_the_task_that_its_folder_names(models, tmp_path):
    opened, known = ocrrl.load_residual(models["residual_0"]), load_residual(models["residual_0"], CUBE_LIFT)
    np.testing.assert_array_equal(opened.weights["weight0"], known.weights["weight0"])
    with pytest.raises(FileNotFoundError, match=r"must hold config.json, which is missing"):
        ocrrl.load_residual(tmp_path)
    (tmp_path / "config.json").write_text('{"tabletop_task": "juggle"}')
    with pytest.raises(ValueError, match=r"config.json: tabletop_task must be one of cube_lift, .* got .?juggle"):
        ocrrl.load_residual(tmp_path)


def test_a_saved_vla_acts_as_its_chunks_say_in_more_and_more_environments(models):
    policy = ocrrl.load_policy(models["vla_real"])
    known = ChunkedPolicy(policy.vla, CUBE_LIFT.instruction, 3)
    env = ocrrl.make_env("cube_lift", "sim", 3)
    few, all_ids = np.arange(2), np.arange(3)
    for one in (policy, known):
        one.reset(few, [0, 1])
    for ids in (few, few, all_ids, np.array([2, 0])):
        observation = env.observe().take(ids)
        np.testing.assert_array_equal(
            policy.act(observation, ids, env.capture), known.act(observation, ids, env.capture)
        )
        env.step(np.full((3, 7), 0.005), all_ids)


def test_a_saved_vla_takes_the_instruction_of_its_environment_or_the_one_that_was_asked_for(models):
    policy = ocrrl.load_policy(models["vla_real"])
    env = ocrrl.make_env("stack_cube", "sim", 2)
    assert policy.acting_in(env).instruction == STACK_CUBE.instruction
    asked = ocrrl.load_policy(models["vla_real"], task="cube_lift")
    assert asked.acting_in(env).instruction == CUBE_LIFT.instruction
    policy.vla.encoder.embed("another instruction")
    with pytest.raises(
        ValueError, match=r"cube_lift must know its tabletop task to act by itself: load_policy\(path, task="
    ):
        policy.reset(np.arange(1), [0])
    with pytest.raises(ValueError, match="tabletop task must be one of cube_lift"):
        ocrrl.load_policy(models["vla_real"], task="lift")
    with pytest.raises(FileNotFoundError, match="none must be a LeRobot pretrained_model folder"):
        ocrrl.load_policy(models["vla_real"] / "none")


def test_the_defaults_are_those_of_the_preset():
    config = front_door._config(STACK_CUBE, 16, {})
    assert isinstance(config, ResidualConfig) and config.total_timesteps == 208_000 and config.num_envs == 16
