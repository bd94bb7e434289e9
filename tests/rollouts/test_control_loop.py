import numpy as np
import pytest

from ocrrl.interface.actions import ACTION_HIGH, compose, limit
from ocrrl.interface.stall import FadeIn
from ocrrl.rollouts.control_loop import run_episodes

from .toy_environment import TOY_TASK, Seeker, ToyBase, ToyEnvironment, ToyResidual, seek, seeking_residual

SEEDS = list(range(2_000_000, 2_000_010))


zero_residual = ToyResidual(lambda state: np.zeros((len(state), 7), np.float32))


class Waiting(ToyResidual):
    fade_in = None


def facts(outcomes):
    return [(o.seed, o.success, o.steps, o.total_reward) for o in outcomes]


@pytest.mark.parametrize("num_envs", [1, 3, 10, 16])
def test_outcomes_do_not_depend_on_how_many_run_side_by_side(num_envs):
    alone = run_episodes(ToyEnvironment(10), ToyBase(), seeking_residual, SEEDS)
    assert facts(run_episodes(ToyEnvironment(num_envs), ToyBase(), seeking_residual, SEEDS)) == facts(alone)
    assert [outcome.seed for outcome in alone] == SEEDS


def test_a_zero_residual_is_the_base_alone():
    base = run_episodes(ToyEnvironment(4), ToyBase(), None, SEEDS)
    zero = run_episodes(ToyEnvironment(4), ToyBase(), zero_residual, SEEDS)
    assert [(o.seed, o.success, o.steps) for o in base] == [(o.seed, o.success, o.steps) for o in zero]


def test_a_residual_is_asked_for_every_so_many_steps_and_kept_in_between():
    asked = []

    def residual(state):
        asked.append(len(state))
        return seek(state)

    outcomes = run_episodes(ToyEnvironment(4), ToyBase(), ToyResidual(residual, every=3), SEEDS[:4], keep_traces=True)
    longest = max(outcome.steps for outcome in outcomes)
    assert len(asked) == -(-longest // 3) and asked[0] == 4
    for outcome in outcomes:
        for first in range(0, outcome.steps, 3):
            kept = outcome.trace.residuals[first : first + 3]
            np.testing.assert_array_equal(kept, np.broadcast_to(kept[0], kept.shape))


def test_a_residual_that_waits_acts_once_the_base_stands_still_or_patience_ends():
    """The toy's base descends for 20 steps and then stays where it is."""
    runs = {}
    for name, fade_in in {
        "none": None,
        "no wait": FadeIn(after=0, over=0),
        "stall": FadeIn(after=1000, still_steps=4, still_within=0.001, over=0),
        "patience": FadeIn(after=7, still_steps=4, still_within=0.001, over=0),
    }.items():
        residual = Waiting(seek, every=1)
        residual.fade_in = fade_in
        runs[name] = run_episodes(ToyEnvironment(10), ToyBase(), residual, SEEDS, keep_traces=True)
    assert facts(runs["none"]) == facts(runs["no wait"])
    for name, first in (("stall", 24), ("patience", 7)):
        for outcome in runs[name]:
            moved = outcome.trace.residuals.any(axis=1)
            assert not moved[:first].any() and moved[first : first + 1].all()
    assert all(o.trace.acting == 1.0 for o in runs["none"]) and all(0 <= o.trace.acting < 0.8 for o in runs["patience"])


def test_a_wait_begins_anew_with_each_batch():
    residual = Waiting(seek, every=2)
    residual.fade_in = FadeIn(after=6, over=0)
    at_once, by_three = (run_episodes(ToyEnvironment(n), ToyBase(), residual, SEEDS) for n in (10, 3))
    assert facts(at_once) == facts(by_three)


def test_low_confidence_is_the_residual_without_the_object():
    unseen = ToyEnvironment(10, confidence=0.49)
    states = []

    def residual(state):
        states.append(state)
        return seek(state)

    outcomes = run_episodes(unseen, ToyBase(), ToyResidual(residual), SEEDS)
    assert not np.concatenate(states)[:, :13].any()
    assert facts(outcomes) == facts(run_episodes(ToyEnvironment(10), ToyBase(), zero_residual, SEEDS))


def test_after_a_lasting_loss_the_base_acts_alone_until_the_object_is_seen_again():
    class Blinking(ToyEnvironment):
        """Lost from step 3 to step 11, then seen."""

        def observe(self):
            self._confidence = 0.0 if 3 <= len(self.stepped) < 12 else 1.0
            return super().observe()

    push = ToyResidual(lambda states: np.tile([0.001, 0, 0, 0, 0, 0, 0], (len(states), 1)).astype(np.float32))
    environment = Blinking(1)
    (outcome,) = run_episodes(environment, ToyBase(speed=0.0), push, SEEDS[:1], keep_traces=True, lost_steps=4)
    acted = outcome.trace.residuals[:, 0] > 0
    assert acted.tolist()[:15] == [True] * 7 + [False] * 5 + [True] * 3


def test_a_confidence_at_the_threshold_passes_the_gate():
    at_threshold = run_episodes(ToyEnvironment(10, confidence=0.5), ToyBase(), seeking_residual, SEEDS)
    assert all(outcome.success for outcome in at_threshold)


def test_an_episode_ends_in_success_or_at_the_horizon_and_is_not_stepped_after():
    environment = ToyEnvironment(10)
    outcomes = run_episodes(environment, ToyBase(speed=0.0), ToyResidual(lambda s: 0.4 * seek(s)), SEEDS)
    assert {outcome.success for outcome in outcomes} == {True, False}
    for env, outcome in enumerate(outcomes):
        assert sum(env in ids for ids in environment.stepped) == outcome.steps
        assert outcome.success or outcome.steps == TOY_TASK.horizon


def test_the_last_batch_uses_the_first_environments_only():
    environment, base = ToyEnvironment(4), ToyBase()
    run_episodes(environment, base, None, SEEDS)
    assert base.resets == [[0, 1, 2, 3], [0, 1, 2, 3], [0, 1]]
    assert environment.stepped[-1] == [0, 1]


def test_the_applied_action_is_the_composition_within_the_limits():
    applied = []

    class Spy(ToyEnvironment):
        def step(self, actions, ids):
            applied.append(actions.copy())
            return super().step(actions, ids)

    large = np.array([0.05, 0, 0, 0.3, 0, 0, -2.0], np.float32)
    outcomes = run_episodes(
        Spy(2), ToyBase(), ToyResidual(lambda s: np.tile(large, (len(s), 1))), SEEDS[:2], keep_traces=True
    )
    trace = outcomes[0].trace
    assert trace is not None
    np.testing.assert_array_equal(compose(trace.base_actions, trace.residuals), np.stack([a[0] for a in applied]))
    assert (np.abs(np.concatenate(applied)) <= ACTION_HIGH + 1e-6).all()


def test_without_a_residual_the_action_is_the_limited_base_action():
    applied = []

    class Spy(ToyEnvironment):
        def step(self, actions, ids):
            applied.append(actions.copy())
            return super().step(actions, ids)

    outcomes = run_episodes(Spy(1), ToyBase(speed=1.0), None, SEEDS[:1], keep_traces=True)
    assert outcomes[0].trace is not None
    np.testing.assert_array_equal(limit(outcomes[0].trace.base_actions), np.concatenate(applied))


def test_a_trace_holds_every_step_as_float32():
    for outcome in run_episodes(ToyEnvironment(4), ToyBase(), seeking_residual, SEEDS, keep_traces=True):
        trace = outcome.trace
        assert trace is not None
        assert trace.gripper_positions.shape == (outcome.steps, 3)
        assert trace.object_positions.shape == (outcome.steps, 1, 3)
        assert trace.object_visible.all()
        for name in ("gripper_positions", "object_positions", "base_actions", "residuals"):
            assert getattr(trace, name).dtype == np.float32
        np.testing.assert_allclose(trace.gripper_positions[0], [0.5, 0.0, 0.2], rtol=1e-6)


class Watcher:
    """Notes what it is told, and takes an image of every running environment."""

    def __init__(self):
        self.begun, self.steps, self.ended, self.images = [], [], [], []

    def begin(self, ids, seeds):
        self.begun.append(list(seeds))

    def before_step(self, ids, observation, capture, base_action, residual, action):
        assert len(observation.gripper_pose) == len(ids) == len(base_action) == len(residual) == len(action)
        self.images.append(capture(ids)["front"])

    def after_step(self, ids, result):
        self.steps.append((ids.tolist(), result.success.tolist()))

    def end(self, outcomes):
        self.ended += outcomes


def test_an_observer_sees_every_episode_and_changes_none():
    watcher = Watcher()
    outcomes = run_episodes(ToyEnvironment(4), ToyBase(), seeking_residual, SEEDS, watcher)
    assert watcher.begun == [SEEDS[:4], SEEDS[4:8], SEEDS[8:]]
    assert watcher.ended == outcomes
    assert sum(len(ids) for ids, _ in watcher.steps) == sum(outcome.steps for outcome in outcomes)
    assert facts(outcomes) == facts(run_episodes(ToyEnvironment(4), ToyBase(), seeking_residual, SEEDS))


def test_an_environment_is_imaged_once_a_step_whoever_asks():
    environment, watcher = ToyEnvironment(4), Watcher()
    outcomes = run_episodes(environment, ToyBase(images=True), seeking_residual, SEEDS[:4], watcher)
    assert sum(len(ids) for ids in environment.captured) == sum(outcome.steps for outcome in outcomes)
    assert sum(len(p) for p in watcher.images) == sum(outcome.steps for outcome in outcomes)


def test_nothing_is_imaged_that_nobody_asks_for():
    environment = ToyEnvironment(4)
    run_episodes(environment, Seeker(), None, SEEDS)
    assert environment.captured == []


def test_an_action_that_is_not_finite_names_the_seed():
    def broken(state):
        return np.where(np.arange(len(state))[:, None] == 1, np.nan, np.zeros((len(state), 7)))

    with pytest.raises(ValueError, match=rf"action must be finite, got NaN or infinity .* \[{SEEDS[1]}\]"):
        run_episodes(ToyEnvironment(4), ToyBase(), ToyResidual(broken), SEEDS)


@pytest.mark.parametrize(
    ("error", "told"), [(ValueError("the policy broke"), "the policy broke"), (KeyboardInterrupt(), "")]
)
def test_whatever_ends_the_loop_leaves_the_environment_at_rest(error, told):
    class Breaking(ToyBase):
        def act(self, observation, ids, capture):
            raise error

    environment = ToyEnvironment(4)
    with pytest.raises(type(error)):
        run_episodes(environment, Breaking(), None, SEEDS)
    assert environment.rested == [told] and environment.stepped == []
    assert run_episodes(environment, ToyBase(), None, SEEDS) and environment.rested == [told], "and nothing else does"


def test_no_seeds_are_no_episodes():
    assert run_episodes(ToyEnvironment(2), ToyBase(), None, []) == []
