"""Algorithm 1 on the toy: it learns, a killed run goes on exactly, and nothing crosses a reset."""

import json
from dataclasses import replace

import numpy as np
import pytest

from ocrrl.interface.actions import compose
from ocrrl.interface.observations import action_features, residual_observation_dim
from ocrrl.interface.seeds import RANGES
from ocrrl.residual import train_residual as algorithm
from ocrrl.residual.learning_curve import BlockingValidation
from ocrrl.residual.residual_config import ResidualConfig
from ocrrl.residual.residual_policy import load_residual
from ocrrl.residual.train_residual import train_residual
from tests.residual.toy_environment import (
    TOY_TASK,
    ToyBase,
    ToyEnvironment,
    WithoutChunks,
    demonstrations,
    success_rate,
)

SMALL = ResidualConfig(
    total_timesteps=400, num_envs=4, gradient_steps=1, learning_starts=40, batch_size=16, actor_hidden=16,
    critic_hidden=16, critic_warmup=4, validation_every=100, action_repeat=2, coming_actions=8,
)  # fmt: skip


class Killed(Exception):
    pass


def train(folder, config=SMALL, seed=0, environment=None, base=None, **options):
    environment = environment or ToyEnvironment(config.num_envs)
    base = base or ToyBase(config.num_envs)
    out = folder / "out"
    policy = train_residual(config, environment, base, demonstrations(3), folder / "work", out, seed, **options)
    return policy, {f.name: f.read_bytes() for f in sorted(out.iterdir())}


class LateChunks(ToyBase):
    largest_delay = 2


def grade(policy) -> float:
    """A stand-in for validation that depends on the weights but costs nothing."""
    return float(np.clip(np.abs(policy.weights["weight2"]).mean() * 50, 0, 0.9))


def killed_at(transitions):
    def progress(done, point):
        if done >= transitions:
            raise Killed

    return progress


class Late(BlockingValidation):
    """A validation that is known only after it was asked about so many times."""

    def __init__(self, success_rate, after) -> None:
        super().__init__(success_rate)
        self.after, self.asked = after, 0

    def start(self, policy) -> None:
        super().start(policy)
        self.asked = 0

    def ready(self) -> bool:
        self.asked += 1
        return self.asked > self.after


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path):
    _, first = train(tmp_path / "a", validation=BlockingValidation(grade))
    _, second = train(tmp_path / "b", validation=BlockingValidation(grade))
    _, other = train(tmp_path / "c", validation=BlockingValidation(grade), seed=1)
    assert first == second and set(first) == {"actor.safetensors", "config.json", "curve.json"}
    assert first["actor.safetensors"] != other["actor.safetensors"]


@pytest.mark.parametrize("killed", [60, 252])
def test_a_killed_run_goes_on_to_the_same_bytes(tmp_path, killed):
    _, whole = train(tmp_path / "whole", validation=BlockingValidation(grade))
    with pytest.raises(Killed):
        train(tmp_path / "killed", validation=BlockingValidation(grade), progress=killed_at(killed))
    assert not (tmp_path / "killed" / "out").exists()
    _, resumed = train(tmp_path / "killed", validation=BlockingValidation(grade))
    assert resumed == whole


@pytest.mark.parametrize("after", [3, 1000])
def test_a_validation_beside_training_changes_no_byte(tmp_path, after):
    _, waited = train(tmp_path / "waited", validation=BlockingValidation(grade))
    assert train(tmp_path / "beside", validation=Late(grade, after))[1] == waited
    with pytest.raises(Killed):
        train(tmp_path / "killed", validation=Late(grade, after), progress=killed_at(208))  # while 200 is judged
    assert train(tmp_path / "killed", validation=Late(grade, after))[1] == waited


def test_a_finished_run_publishes_the_same_bytes_again(tmp_path):
    assert (
        train(tmp_path, validation=BlockingValidation(grade))[1]
        == train(tmp_path, validation=BlockingValidation(grade))[1]
    )


def test_without_saved_states_a_killed_run_goes_on_with_fresh_episodes(tmp_path):
    class Forgetful(ToyEnvironment):
        get_state = None
        set_state = None

    with pytest.raises(Killed):
        train(tmp_path, environment=Forgetful(4), progress=killed_at(252))
    environment = Forgetful(4)
    _, files = train(tmp_path, environment=environment)
    points = json.loads(files["curve.json"])["points"]
    assert [p["transitions"] for p in points] == [0, 100, 200, 300, 400]
    assert [i for i, _ in environment.resets[:4]] == [0, 1, 2, 3]


def test_a_work_folder_of_another_run_is_refused(tmp_path):
    train(tmp_path)
    with pytest.raises(ValueError, match="must belong to this config"):
        train(tmp_path, seed=1)


def test_the_environment_must_be_as_wide_as_the_config(tmp_path):
    with pytest.raises(ValueError, match="num_envs must be the environment's 2, got 4"):
        train(tmp_path, environment=ToyEnvironment(2))


def test_rows_hold_the_combined_action_and_never_what_follows_a_reset(tmp_path, monkeypatch):
    """Every stored action is base ⊕ residual, and s' of an episode's end is not where the next one starts."""
    kept, firsts = [], []
    add, start = algorithm.NStepReturns.add, algorithm._Run._start_episodes

    def spying_add(self, ids, state, action, base_action, *rest, **named):
        kept.append((state.copy(), action.copy(), base_action.copy(), rest[1].copy(), *(r.copy() for r in rest[3:5])))
        return add(self, ids, state, action, base_action, *rest, **named)

    def spying_start(self, ids):
        start(self, ids)
        firsts.append((np.array(ids), self.state.copy()))

    monkeypatch.setattr(algorithm.NStepReturns, "add", spying_add)
    monkeypatch.setattr(algorithm._Run, "_start_episodes", spying_start)
    monkeypatch.setattr(algorithm, "offline_transitions", lambda *a: np.zeros((0, 34 * 2 + 23), np.float32))
    config = ResidualConfig(
        **vars(SMALL)
        | {
            "exploration_std": (0.0, 0.0, 0.0),
            "dropout": 0.0,
            "learning_starts": 10**6,
            "action_repeat": 1,
            "coming_actions": 0,
        }
    )
    train(tmp_path, config)
    ends = 0
    for (state, action, base_action, following, success, truncated), (ids, first) in zip(kept, firsts[1:], strict=True):
        np.testing.assert_allclose(action, compose(base_action, action - base_action), atol=1e-3)
        np.testing.assert_allclose(state[:, -7:], action_features(base_action), atol=1e-5)
        assert set(ids) == set(np.flatnonzero(success | truncated))
        for i in ids:
            ends += 1
            height = slice(15, 16)  # the gripper's z, back at its start after a reset
            assert following[i, height] != first[i, height]
    assert ends >= 8


def test_initial_states_come_from_the_training_range(tmp_path):
    environment = ToyEnvironment(4)
    train(tmp_path, environment=environment)
    assert all(seed in RANGES["train"] for _, seed in environment.resets)
    assert len({seed for _, seed in environment.resets}) > 4


def test_the_best_on_validation_is_published_of_equals_the_latest(tmp_path):
    successes = iter([0.2, 0.8, 0.5, 0.8, 0.1])
    seen = []

    def validate(policy):
        seen.append(policy.weights["weight2"].copy())
        return next(successes)

    policy, files = train(tmp_path, validation=BlockingValidation(validate))
    np.testing.assert_array_equal(policy.weights["weight2"], seen[3])
    assert json.loads(files["config.json"])["selected"] == {"transitions": 300, "validation_success": 0.8}
    np.testing.assert_array_equal(load_residual(tmp_path / "out", TOY_TASK).weights["weight2"], seen[3])


@pytest.mark.parametrize("after", [0, 3, 1000])
def test_it_stops_at_two_good_validations_in_a_row_whenever_they_are_known(tmp_path, after):
    successes = iter([0.96, 0.95, 0.5, 0.95, 0.97, 0.99, 1.0])
    config = ResidualConfig(**vars(SMALL) | {"stop_at_success": 0.95, "total_timesteps": 1000})
    _, files = train(tmp_path, config, validation=Late(lambda policy: next(successes), after))
    assert [p["transitions"] for p in json.loads(files["curve.json"])["points"]] == [0, 100, 200, 300, 400]
    _, whole = train(tmp_path / "400", ResidualConfig(**vars(config) | {"total_timesteps": 400}))
    assert files["actor.safetensors"] == whole["actor.safetensors"], "what was learnt meanwhile is not published"


def test_the_curve_holds_no_times(tmp_path):
    _, files = train(tmp_path)
    point = json.loads(files["curve.json"])["points"][-1]
    assert set(point) == {
        *("transitions", "validation_success", "episodes", "mean_episode_return", "training_success", "updates"),
        *("q", "critic_loss", "residual_magnitude"),
    }
    timings = json.loads((tmp_path / "work" / "timings.json").read_text())
    assert {"updates", "environment", "base", "validation"} <= set(timings[-1])


def test_it_learns_the_toy(tmp_path):
    config = ResidualConfig(
        total_timesteps=24_000, validation_every=1_000, stop_at_success=0.95, batch_size=128, actor_hidden=64,
        critic_hidden=64, critic_warmup=400, exploration_std=(0.2, 0.1, 0.6), actor_ema=0.01,
    )  # fmt: skip
    policy, _ = train(tmp_path, config, validation=BlockingValidation(success_rate))
    base = success_rate(None, 200, 2_000_000)
    assert base < 0.4 < 0.9 < success_rate(policy, 200, 2_000_000)


def test_an_episode_is_cut_at_the_shorter_of_its_limit_and_the_horizon(tmp_path):
    environment = ToyEnvironment(4)
    config = ResidualConfig(**vars(SMALL) | {"max_episode_steps": 8, "learning_starts": 10**6})
    train(tmp_path, config, environment=environment)
    assert len(environment.resets) >= 4 * (400 // 4 // 8), "every 8 steps, or in success before"


def test_a_training_that_diverges_is_not_published(tmp_path):
    diverging = replace(SMALL, critic_warmup=0)
    object.__setattr__(diverging, "actor_lr", float("inf"))  # params.yaml may not say it; a loss may do the same
    with pytest.raises(
        RuntimeError, match=r"the actor's weights must stay finite, got NaN or infinity in weight0 after \d+"
    ):
        train(tmp_path, diverging)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("damage", [b"", b"garbage" * 9, None])
def test_a_damaged_checkpoint_of_an_unfinished_run_is_named_with_what_to_remove(tmp_path, damage):
    with pytest.raises(Killed):
        train(tmp_path, progress=killed_at(SMALL.validation_every + SMALL.num_envs))
    checkpoint = next(tmp_path.rglob("checkpoint.safetensors"))
    checkpoint.write_bytes(checkpoint.read_bytes()[:-10] if damage is None else damage)
    with pytest.raises(
        ValueError, match=r"checkpoint\.safetensors must hold an unfinished training, got .*remove its folder"
    ):
        train(tmp_path)


def test_a_residual_says_how_late_the_chunks_were_that_it_was_trained_with_and_else_nothing(tmp_path):
    policy, files = train(tmp_path / "late", base=LateChunks(SMALL.num_envs))
    assert policy.chunk_delay == load_residual(tmp_path / "late/out", TOY_TASK).chunk_delay == 2
    assert json.loads(files["config.json"])["chunk_delay"] == 2
    _, files = train(tmp_path / "at_once")
    assert "chunk_delay" not in json.loads(files["config.json"])


def test_a_residual_is_trained_with_the_phase_of_the_base_s_chunks_where_that_is_asked_for(tmp_path):
    config = replace(SMALL, chunk_phase=True)
    policy, files = train(tmp_path / "phase", config)
    assert policy.chunk_phase and json.loads(files["config.json"])["config"]["chunk_phase"] is True
    assert (
        load_residual(tmp_path / "phase/out", TOY_TASK).observation_dim
        == residual_observation_dim(TOY_TASK, coming_actions=8) + 2
    )
    states = np.zeros((2, policy.observation_dim), np.float32)
    states[1, residual_observation_dim(TOY_TASK)] = 1.0
    assert not np.array_equal(*policy.residual(states)), "the phase is an input"
    _, files = train(tmp_path / "plain")
    assert "chunk_phase" not in files["config.json"].decode()
    with pytest.raises(
        ValueError, match=r"train_residual\.chunk_phase must be false for a base without chunks, got WithoutChunks"
    ):
        train(tmp_path / "without_chunks", config, base=WithoutChunks(SMALL.num_envs))


def test_a_residual_is_trained_with_the_base_s_coming_actions_where_that_is_asked_for(tmp_path):
    config = replace(SMALL, coming_actions=3)
    policy, files = train(tmp_path / "coming", config)
    described = json.loads(files["config.json"])
    assert policy.coming_actions == described["coming_actions"] == described["config"]["coming_actions"] == 3
    loaded = load_residual(tmp_path / "coming/out", TOY_TASK)
    assert loaded.coming_actions == 3 and loaded.observation_dim == residual_observation_dim(TOY_TASK) + 21
    both, _ = train(tmp_path / "both", replace(config, chunk_phase=True))
    assert both.observation_dim == residual_observation_dim(TOY_TASK) + 23
    with pytest.raises(
        ValueError, match=r"train_residual\.coming_actions must be 0 for a base without chunks, got WithoutChunks"
    ):
        train(tmp_path / "without_chunks", config, base=WithoutChunks(SMALL.num_envs))
