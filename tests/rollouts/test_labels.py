"""Labels of the states that a VLA comes into by itself."""

import json
from dataclasses import replace

import numpy as np
import pytest

from ocrrl.episodes.episode_store import read_episode
from ocrrl.interface.actions import compose, limit
from ocrrl.interface.observations import residual_observation
from ocrrl.interface.stall import FadeIn
from ocrrl.rollouts.control_loop import run_episodes
from ocrrl.rollouts.labels import Labeller
from ocrrl.rollouts.lost_objects import LOST_STEPS
from ocrrl.rollouts.rollout import RolloutConfig, attempt_batch, collect_rollouts, labelled_batch
from tests.rollouts.test_handover import Turning
from tests.rollouts.toy_environment import ToyBase, ToyEnvironment, ToyResidual, seek, weak_residual

SEEDS = list(range(4_000_000, 4_000_012))


class Slow(ToyBase):
    """Goes to the object, too slowly for the far ones."""

    def act(self, observation, ids, capture):
        offset = observation.object_poses[:, 0, :3] - observation.gripper_pose[:, :3]
        return np.concatenate([np.clip(offset, -0.0035, 0.0035), np.zeros((len(ids), 4))], axis=-1).astype(np.float32)


def labelled(residual=weak_residual, base=None, missing=12, environment=None, config=None):
    environment = environment or ToyEnvironment(12, "twin")
    return labelled_batch(environment, base or Turning(), residual, SEEDS, missing, config=config)


def test_the_vla_acts_alone_and_a_label_is_base_and_residual_of_its_row():
    attempts = labelled()
    alone = attempt_batch(ToyEnvironment(12, "twin"), Turning(), None, SEEDS, 12)
    assert [outcome for outcome, _ in attempts] == [outcome for outcome, _ in alone]
    assert any(not outcome.success for outcome, _ in attempts), "failures have labels too"
    for _, episode in attempts:
        assert episode is not None and episode.label is not None
        assert episode.base_action is not None and episode.residual is not None and not episode.residual.any()
        base = episode.base_action.astype(np.float32)
        np.testing.assert_array_equal(episode.action, limit(base))
        seen = episode.observation()
        asked = weak_residual.residual(residual_observation(seen, base, seen.visible()))
        np.testing.assert_array_equal(episode.label, compose(base, asked))
        assert np.abs(episode.label - episode.action).max() > 1e-3


def test_a_residual_is_asked_at_every_step_also_one_that_is_kept_for_several():
    kept = ToyResidual(lambda state: 0.4 * seek(state), every=4)
    for (_, one), (_, other) in zip(labelled(kept), labelled(), strict=True):
        assert one is not None and other is not None
        np.testing.assert_array_equal(one.label, other.label)


def test_a_residual_that_waits_for_its_base_labels_nothing():
    class Waiting(ToyResidual):
        fade_in = FadeIn()

    with pytest.raises(ValueError, match=r"rollout\.labelled must be 0 with train_residual\.fade_in"):
        labelled(Waiting(seek))


def test_an_object_that_is_lost_for_long_leaves_the_base_s_action():
    push = ToyResidual(lambda state: np.tile(np.float32([0.005, 0, 0, 0, 0, 0, 0]), (len(state), 1)))
    environment = ToyEnvironment(1, "twin", confidence=0.0)
    labeller = Labeller(environment, ToyBase(speed=0.0), push)
    (outcome,) = run_episodes(environment, ToyBase(speed=0.0), None, SEEDS[:1], labeller)
    moved = labeller.labels[outcome.seed][:, 0]
    assert len(moved) == outcome.steps > LOST_STEPS
    np.testing.assert_allclose(moved, [0.005] * LOST_STEPS + [0.0] * (len(moved) - LOST_STEPS))


def test_only_those_that_failed_where_it_is_asked_for():
    attempts = labelled(base=Slow(), config=RolloutConfig(initial_states="failed"))
    failed = [outcome.seed for outcome, _ in labelled(base=Slow()) if not outcome.success]
    assert [outcome.seed for outcome, _ in attempts] == failed != SEEDS


@pytest.mark.parametrize("collect", ["attempts", "labelled"])
def test_collected_episodes_lie_apart_and_passed_over_states_are_listed(tmp_path, collect):
    function = labelled_batch if collect == "labelled" else attempt_batch
    config = RolloutConfig(successes=1, max_attempts=12, num_envs=4, initial_states="failed", failures=1)
    environment, weaker = ToyEnvironment(4, "twin"), ToyResidual(lambda state: 0.05 * seek(state))

    def attempt(batches):
        for seeds, missing in batches:
            yield function(environment, Slow(), weaker, seeds, missing, config=config)

    def run(name):
        return collect_rollouts("twin", attempt, tmp_path / name, SEEDS, config, tmp_path / f"{name}-work")

    summary = run("out")
    listed = json.loads((tmp_path / "out/attempts.json").read_text())["attempts"]
    alone = run_episodes(ToyEnvironment(12), Slow(), None, SEEDS)
    solved = {outcome.seed for outcome in alone if outcome.success}
    assert solved and {attempt["seed"] for attempt in listed if "passed_over" in attempt} == solved & {
        attempt["seed"] for attempt in listed
    }
    assert summary.recorded == 1 and summary.passed_over == sum("passed_over" in attempt for attempt in listed)
    assert summary.attempts["episodes"] == len(listed) - summary.passed_over
    paths = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.h5"))
    assert paths == ["episode_000000.h5"] + ["failures/episode_000000.h5"] * (collect == "attempts")
    successes = [read_episode(tmp_path / "out" / path).attributes.success for path in paths]
    assert successes == ([True, False] if collect == "attempts" else [False])
    (tmp_path / "out").rename(tmp_path / "again-work")
    assert run("again") == summary, "it goes on from what was finished"


def test_without_a_state_that_fails_the_next_step_is_named(tmp_path):
    class Solver(ToyBase):
        def act(self, observation, ids, capture):
            offset = observation.object_poses[:, 0, :3] - observation.gripper_pose[:, :3]
            return np.concatenate([offset, np.zeros((len(ids), 4))], axis=-1).astype(np.float32)

    config = RolloutConfig(successes=2, max_attempts=12, num_envs=12, initial_states="failed")
    batch = [attempt_batch(ToyEnvironment(12, "twin"), Solver(), weak_residual, SEEDS, 2, config=config)]
    with pytest.raises(
        ValueError, match="initial_states must be same or fresh where the VLA fails from none, got failed"
    ):
        collect_rollouts(
            "twin",
            lambda batches: (b for _, b in zip(batches, batch, strict=True)),
            tmp_path / "out",
            SEEDS,
            config,
            tmp_path / "w",
        )


def test_later_rounds_begin_from_other_states_unless_the_same_are_asked_for():
    config = RolloutConfig(max_attempts=300)
    assert [config.first_state(number) for number in (0, 2)] == [0, 0]
    for states in ("fresh", "failed"):
        assert [replace(config, initial_states=states).first_state(number) for number in (0, 2)] == [0, 600]
