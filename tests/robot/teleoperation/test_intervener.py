import numpy as np
import pytest

from ocrrl.interface.actions import CONTROL_HZ, MAX_TRANSLATION_STEP
from ocrrl.interface.protocols import PolicyFault
from ocrrl.robot.teleoperation.gamepad import RIGHT_TRIGGER, Gamepad
from ocrrl.robot.teleoperation.intervener import DeviceIntervener
from ocrrl.robot.teleoperation.scripted_intervener import ScriptedIntervener, StallRule
from ocrrl.robot.teleoperation.spacemouse import SpaceMouse
from ocrrl.rollouts.control_loop import run_episodes
from ocrrl.rollouts.interruptible_policy import InterruptiblePolicy
from ocrrl.rollouts.rollout_recorder import RolloutRecorder
from ocrrl.worlds import make_scene, make_simulator, make_teleoperator
from tests.robot.cell.scripted_cell import ScriptedCell
from tests.robot.teleoperation.test_devices import PLAIN, FakeMouse, FakePad
from tests.rollouts.toy_environment import ToyBase

ONE = np.arange(1)
OPEN = np.ones(1)


def step(intervener, opening=1.0):
    acting, actions = intervener.act(None, ONE, None, np.array([opening]))
    return bool(acting[0]), actions[0]


def spacemouse():
    fake = FakeMouse()
    intervener = DeviceIntervener(SpaceMouse(fake, PLAIN, clock=lambda: 0.0))
    intervener.reset(ONE, [7])
    step(intervener)
    return intervener, fake


def test_holding_the_button_takes_over_and_letting_go_gives_back():
    intervener, fake = spacemouse()
    fake.report(x=1.0)
    assert not step(intervener)[0], "a deflected puck alone moves nothing"
    fake.report((0, 1), x=1.0)
    acting, action = step(intervener)
    assert acting and np.isclose(action[0], MAX_TRANSLATION_STEP)
    assert step(intervener)[0], "held without a new report"
    fake.report((0, 0), x=1.0)
    assert not step(intervener)[0]


def test_whoever_takes_over_finds_the_fingers_as_the_policy_left_them_and_one_press_turns_them_round():
    intervener, fake = spacemouse()
    fake.report((1, 0))  # pressed while the policy acts: it counts for nothing
    step(intervener, opening=0.1)
    fake.report((0, 1))
    assert step(intervener, opening=0.1)[1][6] == 0.1
    fake.report((1, 1))
    assert step(intervener, opening=0.1)[1][6] == 1.0
    fake.report((0, 1))
    assert step(intervener, opening=1.0)[1][6] == 1.0


def test_a_button_held_while_nobody_read_does_not_take_over():
    now, fake = [0.0], FakeMouse()
    intervener = DeviceIntervener(SpaceMouse(fake, PLAIN, clock=lambda: now[0]))
    fake.report((0, 1))  # and the report that it was let go was dropped
    intervener.reset(ONE, [7])
    assert not step(intervener)[0] and not step(intervener)[0]


def test_a_gamepad_s_right_trigger_takes_over_and_an_untouched_one_does_not():
    pad = FakePad()
    intervener = DeviceIntervener(Gamepad(pad, list, PLAIN))
    intervener.reset(ONE, [7])
    seen = []
    for pressed in (0.0, -1.0, 1.0, 0.3, -1.0):
        pad.axes[RIGHT_TRIGGER] = pressed
        seen.append(step(intervener)[0])
    assert seen == [False, False, True, True, False]
    pad.axes = pad.axes[:5]
    assert not step(intervener)[0], "a pad without triggers"


def test_a_lost_device_is_a_fault_at_every_step_and_before_the_next_episode():
    intervener, fake = spacemouse()
    intervener.ready()
    fake.unplugged = True
    for ask in (lambda: step(intervener), intervener.ready):
        with pytest.raises(PolicyFault, match=r"the SpaceMouse must stay plugged in, .*; plug it in and start again"):
            ask()


def test_the_safety_gate_limits_a_hand_as_it_limits_a_policy():
    """A speed limit of a quarter of what the hand asks for; the row says what was applied."""
    fake, cell = FakeMouse(), ScriptedCell(max_speed=0.1)
    intervener = DeviceIntervener(SpaceMouse(fake, PLAIN))
    base = InterruptiblePolicy(ToyBase(speed=0.0), intervener, 1)
    recorder = RolloutRecorder(cell.environment, "policy", policy=base)
    recorder.seeds = {7}

    class Pushing:
        """Reports of a hand that pushes while it holds."""

        def begin(self, *given):
            recorder.begin(*given)

        def before_step(self, *given):
            fake.report((0, 1), x=1.0)
            recorder.before_step(*given)

        def after_step(self, *given):
            recorder.after_step(*given)

        def end(self, outcomes):
            recorder.end(outcomes)

    run_episodes(cell.environment, base, None, [7], Pushing())
    episode = recorder.episodes[7]
    held = episode.intervention > 0
    assert held[2:20].all() and np.isclose(episode.base_action[held, 0], MAX_TRANSLATION_STEP).all()
    assert np.abs(episode.action[:, 0]).max() <= 0.1 / CONTROL_HZ + 1e-6
    assert not cell.gate.stopped


def test_the_script_takes_over_where_progress_stalls_gives_back_once_it_is_brought_on_and_solves_what_nobody_would():
    environment = make_simulator("cube_lift", 2)
    scene = make_scene("cube_lift")
    script = ScriptedIntervener(environment, scene, make_teleoperator("cube_lift", environment), StallRule(patience=5))
    base = InterruptiblePolicy(ToyBase(speed=0.0), script, 2)
    marks = {0: [], 1: []}

    class Watching:
        def begin(self, *given): ...

        def before_step(self, ids, *given):
            for env, acting in zip(ids.tolist(), base.interrupted(ids), strict=True):
                marks[env].append(bool(acting))

        def after_step(self, *given): ...

        def end(self, outcomes): ...

    outcomes = run_episodes(environment, base, None, [3, 4], Watching())
    assert all(outcome.success for outcome in outcomes)
    for acting in marks.values():
        taken_over = np.flatnonzero(np.diff(np.int8(acting)) == 1) + 1
        assert taken_over[0] == 5 and len(taken_over) > 1, "and again where the policy makes nothing of it"


@pytest.mark.parametrize(
    ("settings", "error"),
    [({"patience": 0}, "patience must be at least 1, got 0"), ({"brought_on": 2.0}, r"brought_on must be in \(0, 1\]")],
)
def test_a_rule_out_of_range_is_refused(settings, error):
    with pytest.raises(ValueError, match=error):
        StallRule(**settings)
