"""Hybrid rollouts: who acts when, and what of it stands in an episode."""

from dataclasses import replace

import numpy as np
import pytest

from ocrrl.config_builder import ParamsError, build, repr_of, values_of
from ocrrl.episodes.episode_store import read_episode, write_episode
from ocrrl.interface.actions import compose, limit
from ocrrl.rollouts.control_loop import run_episodes
from ocrrl.rollouts.handover import HandoverRule, HandoverWhereStalled
from ocrrl.rollouts.rollout import RolloutConfig, attempt_batch
from tests.rollouts.toy_environment import ToyBase, ToyEnvironment, ToyResidual, seeking_residual, weak_residual

SEEDS = list(range(4_000_000, 4_000_020))
NEVER, AT_ONCE = HandoverRule(still_steps=10**6), HandoverRule(still_steps=0)


class Turning(ToyBase):
    """Turns besides, so that a composition with nothing rounds."""

    def act(self, observation, ids, capture):
        action = super().act(observation, ids, capture)
        action[:, 3:6] = (0.013, -0.021, 0.0333)
        return action


def rolled_out(folder, rule, residual: ToyResidual | None = weak_residual, base=None, missing=20):
    config = RolloutConfig(handover=rule) if rule else None
    base = base or Turning(speed=0.0)
    attempts = attempt_batch(ToyEnvironment(20, "twin"), base, residual, SEEDS, missing, config=config)
    for outcome, episode in attempts:
        if episode is not None:
            write_episode(folder / f"{outcome.seed}.h5", episode)
    return [outcome for outcome, _ in attempts], {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def folders(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    return tmp_path / "a", tmp_path / "b"


def test_a_handover_at_the_first_step_is_base_and_residual_bit_for_bit(folders):
    corrected = rolled_out(folders[0], None)
    assert rolled_out(folders[1], AT_ONCE) == corrected and len(corrected[1]) > 2


def test_without_a_stall_the_base_acts_alone_bit_for_bit(folders):
    class Solver(Turning):
        def act(self, observation, ids, capture):
            action = super().act(observation, ids, capture)
            action[:, :3] = (observation.object_poses[:, 0, :3] - observation.gripper_pose[:, :3]) / 3
            return action

    alone = rolled_out(folders[0], None, residual=None, base=Solver())
    assert rolled_out(folders[1], NEVER, base=Solver()) == alone and len(alone[1]) > 2


def test_the_residual_acts_from_the_stall_on_and_the_rows_are_marked(tmp_path):
    attempts = attempt_batch(
        ToyEnvironment(20, "twin"),
        Turning(speed=0.0),
        weak_residual,
        SEEDS,
        20,
        config=RolloutConfig(handover=HandoverRule(still_steps=5)),
    )
    episodes = [episode for _, episode in attempts if episode is not None]
    assert len(episodes) > 2
    for number, episode in enumerate(episodes):
        write_episode(tmp_path / f"{number}.h5", episode)
        read = read_episode(tmp_path / f"{number}.h5")
        assert read.recoveries() == ((5, len(read)),) and read.interventions() == ()
        assert read.base_action is not None and read.residual is not None
        assert not read.residual[:5].any() and read.residual[5].any()
        np.testing.assert_array_equal(read.action[:5], limit(read.base_action[:5].astype(np.float32)))
        np.testing.assert_allclose(read.action[5:], compose(read.base_action, read.residual)[5:], atol=1e-7)


def watched(rule, places, visible=None):
    """The step at which an environment whose gripper is at `places` (T,) [m] along x is handed over; None: never."""
    environment = ToyEnvironment(2)
    environment.reset(np.arange(2), [1, 2])
    handover = HandoverWhereStalled(rule, 2, 1)
    handover.reset(np.arange(2), [1, 2])
    for step, place in enumerate(places):
        environment.gripper[1, 0] = place
        seen = environment.observe()
        if visible is not None:
            seen = replace(seen, object_visible=np.full((2, 1), visible[step]))
        if handover.handed_over(seen.take(np.array([1])), np.array([1]))[0]:
            return step
    return None


def test_a_stall_is_standing_still_or_taking_too_long():
    moving = np.arange(30) * 0.006
    assert watched(HandoverRule(still_steps=5), np.zeros(30)) == 5
    assert watched(HandoverRule(still_steps=5), moving) is None
    assert watched(HandoverRule(still_steps=5, after=12), moving) == 12
    assert watched(HandoverRule(after=0), moving) == 0
    trembling = 0.004 * (-1.0) ** np.arange(30)
    assert watched(HandoverRule(still_steps=5), trembling) == 5, "a tracker's jitter is no progress"
    stops = np.minimum(moving, moving[10])
    assert watched(HandoverRule(still_steps=5), stops) == 15
    seen = np.arange(30) % 3 == 0
    assert watched(HandoverRule(still_steps=5), np.zeros(30), seen) == 5, (
        "an object that is lost and found has not moved"
    )


def test_the_latest_step_is_drawn_by_the_seed_where_a_range_is_given():
    rule = HandoverRule(after=9, after_least=4)
    drawn = [rule.latest(seed) for seed in range(200)]
    assert set(drawn) == set(range(4, 10)) and drawn == [rule.latest(seed) for seed in range(200)]
    assert {HandoverRule(after=9).latest(seed) for seed in range(9)} == {9} and HandoverRule().latest(0) == np.inf
    assert watched(rule, np.arange(30) * 0.02) == rule.latest(2)
    for wrong in ({"after_least": 3}, {"after": 3, "after_least": 4}):
        with pytest.raises(ValueError, match=r"after_least must be in \[0, after\], got"):
            HandoverRule(**wrong)


def test_once_handed_over_it_stays_so_until_the_next_episode():
    handover = HandoverWhereStalled(HandoverRule(still_steps=2), 1, 1)
    environment, one = ToyEnvironment(1), np.arange(1)
    environment.reset(one, [1])
    handover.reset(one, [1])
    told = [handover.handed_over(environment.observe(), one)[0] for _ in range(4)]
    environment.gripper += 0.1
    told.append(handover.handed_over(environment.observe(), one)[0])
    assert told == [False, False, True, True, True]
    handover.reset(one, [1])
    assert not handover.handed_over(environment.observe(), one)[0]


def test_a_handover_leaves_the_base_alone_in_single_environments_of_a_batch():
    class Second:
        def reset(self, ids, seeds): ...

        def handed_over(self, observation, ids):
            return ids == 1

    outcomes = run_episodes(
        ToyEnvironment(2), ToyBase(speed=0.0), seeking_residual, SEEDS[:2], keep_traces=True, handover=Second()
    )
    first, second = (outcome.trace for outcome in outcomes)
    assert first is not None and second is not None
    assert not first.residuals.any() and second.residuals.any()
    assert not first.handed_over.any() and second.handed_over.all()


def test_the_rule_is_given_and_written_only_where_it_is_set_and_names_what_is_wrong():
    shared = {"successes": 5, "max_attempts": 9, "num_envs": 3, "device": "auto"}
    plain = build(RolloutConfig, shared, "rollout.shared")
    assert values_of(plain) == shared
    assert repr(plain) == "RolloutConfig(successes=5, max_attempts=9, num_envs=3, device='auto')" == repr_of(plain)
    assert build(RolloutConfig, shared | {"handover": {"after": 60}}, "rollout.shared").handover == HandoverRule(
        after=60
    )
    for wrong, message in (
        ({"handover": {"still_steps": -1}}, r"handover.still_steps must be at least 0, got -1"),
        ({"handover": {"still_within": 0}}, r"still_within must be in \(0, 1\] m, got 0"),
        ({"handover": {"afer": 3}}, "afer is no parameter"),
        ({"initial_states": "all"}, "initial_states must be one of same, fresh, failed, got 'all'"),
        ({"labelled": 10}, r"labelled must be in \[0, max_attempts \(9\)\], got 10"),
    ):
        with pytest.raises(ParamsError, match=message):
            build(RolloutConfig, shared | wrong, "rollout.shared")
