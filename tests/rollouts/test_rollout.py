import json
from collections import deque

import numpy as np
import pytest

from ocrrl.episodes.episode_store import episode_paths, read_episode
from ocrrl.interface.actions import compose, limit
from ocrrl.rollouts.rollout import RolloutConfig, attempt_batch, collect_rollouts, rollout_metrics

from .toy_environment import ToyBase, ToyEnvironment, ToyResidual, weak_residual

SEEDS = list(range(4_000_000, 4_000_020))


def collect(
    tmp_path,
    name="out",
    environment=None,
    base=None,
    residual: ToyResidual | None = weak_residual,
    successes=6,
    num_envs=4,
    max_attempts=20,
    ahead=0,
    progress=lambda recorded, attempts: None,
    **attributes,
):
    """`ahead`: so many batches are run before the first one's results are taken in."""
    environment, base = environment or ToyEnvironment(num_envs, "twin"), base or ToyBase(speed=0.0)

    def attempt(batches):
        waiting = deque()
        for seeds, missing in batches:
            waiting.append(attempt_batch(environment, base, residual, seeds, missing, **attributes))
            if len(waiting) > ahead:
                yield waiting.popleft()
        yield from waiting

    config = RolloutConfig(successes=successes, max_attempts=max_attempts, num_envs=num_envs)
    out, work = tmp_path / name, tmp_path / f"{name}-work"
    return collect_rollouts(environment.cell, attempt, out, SEEDS, config, work, progress)


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_successes_become_episodes_with_base_action_and_residual(tmp_path):
    summary = collect(tmp_path, versions={"ocrrl": "0"}, calibration={"front": {"fovy": 30.0}})
    paths = episode_paths(tmp_path / "out")
    assert [path.name for path in paths] == [f"episode_{k:06d}.h5" for k in range(6)]
    attempts = json.loads((tmp_path / "out/attempts.json").read_text())["attempts"]
    assert [a["seed"] for a in attempts] == SEEDS[: len(attempts)]
    assert {a["success"] for a in attempts} == {True, False}
    assert summary.recorded == summary.wanted == 6
    assert summary.attempts["episodes"] == len(attempts)
    for path in paths:
        episode = read_episode(path)
        (attempt,) = (a for a in attempts if a["episode"] == path.name)
        assert (episode.attributes.seed, len(episode)) == (attempt["seed"], attempt["steps"])
        assert episode.attributes.success and episode.attributes.cell == "twin"
        assert episode.attributes.operator == "policy"
        assert episode.attributes.object_names == ("cuboid",)
        assert episode.base_action is not None and episode.residual is not None
        np.testing.assert_allclose(episode.action, compose(episode.base_action, episode.residual), atol=1e-6)
        assert episode.residual.any()


def test_without_a_residual_the_base_acts_alone(tmp_path):
    base = collect(tmp_path, "base", base=Solver(), residual=None, successes=1, num_envs=20)
    assert base.recorded == 1
    episode = read_episode(tmp_path / "base/episode_000000.h5")
    assert episode.residual is not None and episode.base_action is not None
    assert not episode.residual.any()
    np.testing.assert_allclose(episode.action, limit(episode.base_action), atol=1e-7)


class Solver(ToyBase):
    def act(self, observation, ids, capture):
        offset = observation.object_poses[:, 0, :3] - observation.gripper_pose[:, :3]
        return np.concatenate([offset, np.zeros((len(ids), 4))], axis=-1).astype(np.float32)


@pytest.mark.parametrize("ahead", [1, 3])
def test_batches_that_are_run_ahead_change_nothing(tmp_path, ahead):
    assert collect(tmp_path, "ahead", ahead=ahead) == collect(tmp_path, "in turn")
    assert contents(tmp_path / "ahead") == contents(tmp_path / "in turn")


def test_only_successes_are_imaged_where_the_cell_repeats_itself(tmp_path):
    environment = ToyEnvironment(4, "twin")
    collect(tmp_path, environment=environment)
    attempts = json.loads((tmp_path / "out/attempts.json").read_text())["attempts"]
    assert sum(map(len, environment.captured)) == sum(a["steps"] for a in attempts if a["episode"])


def test_a_cell_that_does_not_repeat_itself_is_found_out(tmp_path):
    with pytest.raises(RuntimeError, match="must repeat its episodes"):
        collect(tmp_path, environment=ToyEnvironment(4, "twin", drift=0.02))


class Killed(Exception):
    pass


def test_a_killed_run_goes_on_after_its_last_batch_with_the_same_bytes(tmp_path):
    def kill(recorded, attempts):
        if attempts >= 8:
            raise Killed

    with pytest.raises(Killed):
        collect(tmp_path, "killed", progress=kill)
    assert not (tmp_path / "killed").exists()
    environment = ToyEnvironment(4, "twin")
    summary = collect(tmp_path, "killed", environment)
    assert summary == collect(tmp_path, "whole")
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


def test_work_of_other_seeds_is_refused(tmp_path):
    (tmp_path / "out-work").mkdir()
    (tmp_path / "out-work/attempts.json").write_text('{"attempts": [{"seed": 7, "episode": null}]}')
    with pytest.raises(ValueError, match="must hold attempts of these seeds"):
        collect(tmp_path)


def test_running_out_of_attempts_is_said_not_hidden(tmp_path):
    summary = collect(tmp_path, residual=ToyResidual(lambda s: np.zeros((len(s), 7), np.float32)), successes=20)
    assert summary.recorded < summary.wanted == 20
    assert summary.attempts["episodes"] == len(SEEDS)
    assert len(episode_paths(tmp_path / "out")) == summary.recorded
    metrics = rollout_metrics("cube_lift", 0, 3, "corrected", summary)
    assert metrics["residual_seed"] == 3
    assert metrics["corrected"]["recorded"] == summary.recorded
    assert metrics["corrected"]["cell"] == "twin"
    assert set(rollout_metrics("cube_lift", 0, None, "base", summary)) == {"tabletop_task", "round", "base"}


def test_config_names_what_is_out_of_range():
    with pytest.raises(ValueError, match="successes must be at least 1, got 0"):
        RolloutConfig(successes=0)
    with pytest.raises(ValueError, match=r"max_attempts must be at least successes \(60\), got 3"):
        RolloutConfig(successes=60, max_attempts=3)


def test_fewer_seeds_than_attempts_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"seeds must number at least max_attempts \(21\), got 20"):
        collect(tmp_path, max_attempts=21)


class Halving(ToyBase):
    """Goes a fraction of the way at each step, in double precision."""

    def act(self, observation, ids, capture):
        offset = observation.object_poses[:, 0, :3] - observation.gripper_pose[:, :3]
        return np.concatenate([offset / 3.0, np.zeros((len(ids), 4))], axis=-1)


def test_a_policy_in_double_precision_repeats_its_episodes_too(tmp_path):
    assert collect(tmp_path, base=Halving(), residual=None, successes=9, num_envs=20).recorded == 9
