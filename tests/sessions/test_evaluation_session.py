"""What counts in an evaluation session: a technical fault is run again, the policy's doing and the operator's word are failures."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from ocrrl.interface.protocols import Abort
from ocrrl.robot.arm.fault import Fault
from ocrrl.robot.safety.fault_log import FAULTS, FaultLog
from ocrrl.robot.twin.twin import TwinCell
from ocrrl.sessions.evaluation_session import counts, left_out, of_plan, pairs, to_run, told
from tests.sessions import test_policy_session as sessions
from tests.sessions.test_policy_session import EVALUATE, FOLDER, ROLLOUT, contents, described

project, command, token = sessions.project, sessions.command, sessions.token

PLANNED = [("base", 7), ("residual", 7), ("residual", 8), ("base", 8)]


def attempt(variant, seed, by=None, why="", success=False, episode="there"):
    return {
        "number": 0,
        "variant": variant,
        "seed": seed,
        "approval": "",
        "success": success,
        "steps": 12,
        "episode": episode,
        "aborted": why,
        "aborted_by": by,
    }


def test_success_failure_and_what_operator_or_arm_ended_count_and_a_fault_does_not():
    assert counts(attempt("base", 7, success=True)) and counts(attempt("base", 7))
    assert counts(attempt("base", 7, "operator", "the operator stopped the arm"))
    assert counts(attempt("base", 7, "arm", "not_ready: cartesian_reflex"))
    assert not counts(attempt("base", 7, "fault", "camera front: device lost"))
    assert not counts(attempt("base", 7, episode=None))


@pytest.mark.parametrize(("by", "again"), [("operator", False), ("arm", False), ("fault", True)])
def test_only_what_a_fault_ended_is_run_again(by, again):
    done = [attempt(variant, seed, success=True) for variant, seed in PLANNED[1:]]
    missing = to_run([attempt("base", 7, by, "why"), *done], PLANNED)
    assert missing == ([("base", 7)] if again else [])


def test_after_two_faults_the_pair_is_left_out_both_variants_and_said_so():
    attempts = [attempt("base", 7, "fault", "camera front: lost"), attempt("residual", 8, success=True)]
    assert to_run(attempts, PLANNED) == [("base", 7), ("residual", 7), ("base", 8)]
    account = pairs(attempts, PLANNED, 0)
    assert account["still_to_run"] == 2 and not account["left_out"]
    attempts += [attempt("base", 7, "fault", "the arm's clock stands still"), attempt("base", 8)]
    assert to_run(attempts, PLANNED) == [], "the other variant of 7 would tell nothing"
    account = pairs(attempts, PLANNED, 1)
    assert account == {
        "planned": 2,
        "complete": 1,
        "still_to_run": 0,
        "left_out": [{"seed": 7, "variant": "base", "faults": ["camera front: lost", "the arm's clock stands still"]}],
    }
    assert told(account, "monday") == [
        "1 of 2 pairs are left out, broken off 2 times each: 7 (base): the arm's clock stands still",
    ]


def test_faults_of_the_two_variants_are_not_added_up():
    attempts = [attempt(variant, 7, "fault", "lost") for variant in ("base", "residual")]
    assert left_out(attempts) == [] and to_run(attempts, PLANNED) == PLANNED


def test_an_initial_state_is_not_broken_off_by_hand_until_it_comes_out_well():
    by_hand = attempt("residual", 7, why="KeyboardInterrupt", episode=None)
    at_a_question = attempt("residual", 7, "operator", "the operator ended the session", episode=None)
    killed_before_it_began = attempt("residual", 7, episode=None)
    assert to_run([by_hand, at_a_question, at_a_question, *[killed_before_it_began] * 2], PLANNED) == PLANNED
    account = pairs([by_hand, by_hand], PLANNED, 0)
    assert account["left_out"] == [{"seed": 7, "variant": "residual", "faults": ["KeyboardInterrupt"] * 2}]
    assert account["still_to_run"] == 1


def test_a_fault_that_was_made_good_leaves_nothing_out():
    attempts = [attempt("base", 7, "fault", "lost"), attempt("base", 7), attempt("residual", 7)]
    assert left_out(attempts) == [] and to_run(attempts, PLANNED[:2]) == []
    assert told(pairs(attempts, PLANNED[:2], 1), "monday") == []


@pytest.fixture
def abort_in(monkeypatch):
    """Lets an episode of the twin that steps be aborted at its third step, the next of the list each time; None lets it be."""
    step, taken, aborts = TwinCell.step, [0], []

    def aborting(self, actions, ids):
        result = step(self, actions, ids)
        taken[0] = taken[0] + 1 if int(self._steps[0]) > 1 else 1
        if taken[0] == 3 and aborts and (abort := aborts.pop(0)) is not None:
            return replace(result, aborted=abort)
        return result

    monkeypatch.setattr(TwinCell, "step", aborting)
    return aborts


FAULT = Abort("fault", "camera front: device lost")


def test_in_an_evaluation_a_fault_is_run_again_and_a_stop_is_a_failure(project, command, token, abort_in):
    abort_in += [FAULT, Abort("operator", "the operator stopped the arm")]
    code, out, err = command(*EVALUATE, "--episodes", 2, token=token(2))
    assert code == 0, err
    assert "episode 1 of 2 (base): failure after 3 steps, ended by the fault: camera front: device lost" in out
    assert "rehearsal: 1 of 1 pairs are still to run: --session monday goes on with them" in out
    assert "no pair is complete" in out and not (FOLDER / "evaluation.json").exists()
    assert "2 episodes recorded, 0 succeeded, 1 ended by a fault" in out
    code, out, err = command(*EVALUATE, "--episodes", 2, token=token(1))
    assert code == 0, err
    assert "base 0.00, base + residual 0.00 of 1 episodes" in out and "still to run" not in out
    metrics = json.loads((FOLDER / "evaluation.json").read_text())["rehearsal"]
    assert metrics["pairs"] == {"planned": 1, "complete": 1, "still_to_run": 0, "left_out": []}
    assert metrics["paired"]["neither"] == 1
    assert [(a["variant"], a["aborted_by"], a["steps"]) for a in described()["attempts"]] == [
        *(("base", "fault", 3), ("residual", "operator", 3), ("base", None, 12))
    ]


def test_a_pair_that_faults_keep_ending_is_left_out_and_said_so(project, command, token, abort_in):
    abort_in += [FAULT, None, None, None]
    assert command(*EVALUATE, "--episodes", 4, token=token(4))[0] == 0
    abort_in += [FAULT]
    code, out, err = command(*EVALUATE, "--episodes", 4, token=token(1))
    assert code == 0, err
    seed = described()["attempts"][0]["seed"]
    assert f"1 of 2 pairs are left out, broken off 2 times each: {seed} (base): camera front: device lost" in out
    assert "of 1 episodes" in out
    metrics = json.loads((FOLDER / "evaluation.json").read_text())["rehearsal"]
    assert metrics["pairs"]["left_out"] == [{"seed": seed, "variant": "base", "faults": [FAULT.why] * 2}]
    assert metrics["base"]["episodes"] == metrics["residual"]["episodes"] == 1
    before = contents(FOLDER)
    code, out, err = command(*EVALUATE, "--episodes", 4)
    assert code == 0 and "pairs are left out" in out, "nothing is left to run, and it asks for no approval"
    assert contents(FOLDER) == before


def test_an_evaluation_gone_on_with_for_fewer_episodes_compares_what_it_plans(project, command, token, abort_in):
    abort_in += [None, None, FAULT, None, None, None]
    assert command(*EVALUATE, "--episodes", 6, token=token(6))[0] == 0
    abort_in += [FAULT]
    assert "1 of 3 pairs are left out" in command(*EVALUATE, "--episodes", 6, token=token(1))[1]
    code, out, err = command(*EVALUATE, "--episodes", 2)
    assert code == 0 and "left out" not in out and "of 1 episodes" in out, err
    metrics = json.loads((FOLDER / "evaluation.json").read_text())["rehearsal"]
    assert metrics["pairs"] == {"planned": 1, "complete": 1, "still_to_run": 0, "left_out": []}


def test_only_attempts_at_what_is_planned_are_counted():
    attempts = [attempt(variant, seed, success=True) for variant, seed in PLANNED]
    assert of_plan(attempts, PLANNED[:2]) == attempts[:2] and of_plan(attempts, PLANNED) == attempts


def test_a_session_ends_with_its_first_fault_and_the_log_s_path(project, command, token, monkeypatch):
    path, step = Path(".work/cells/rehearsal") / FAULTS, TwinCell.step

    def faulty(self, actions, ids):
        FaultLog(path, lambda: 0.0)(Fault(float(self._steps[0]), "stale_command", "issued 0.31 s ago"))
        return step(self, actions, ids)

    assert "fault" not in command(*ROLLOUT, "--episodes", 1, token=token(1))[1]
    monkeypatch.setattr(TwinCell, "step", faulty)
    _, out, _ = command(*ROLLOUT, "--episodes", 2, token=token(1))
    assert f"12 faults, the first: stale_command: issued 0.31 s ago; see {path}" in out


@pytest.fixture
def closing_fails(monkeypatch):
    close = TwinCell.close

    def lost(self):
        close(self)
        raise RuntimeError("the arm could not be stopped: connection lost")

    monkeypatch.setattr(TwinCell, "close", lost)


def test_a_cell_that_cannot_be_closed_costs_no_evaluation_and_is_told_last(project, command, token, closing_fails):
    code, out, err = command(*EVALUATE, "--episodes", 2, token=token(2))
    assert code == 1 and "rehearsal was not closed as it should be" in err and "connection lost" in err
    assert "base 0.00, base + residual 0.00 of 1 episodes" in out and (FOLDER / "evaluation.json").is_file()
    assert out.splitlines()[-1] == f"Next: dvc add {FOLDER}"
    assert command(*EVALUATE, "--episodes", 2)[0] == 0, "all is recorded, no cell is opened"


def test_what_ended_a_session_is_told_beside_what_its_closing_raised(
    project, command, token, closing_fails, monkeypatch
):
    def breaks(self, actions, ids):
        raise RuntimeError("the policy broke")

    monkeypatch.setattr(TwinCell, "step", breaks)
    code, _, err = command(*ROLLOUT, "--episodes", 1, token=token(1))
    assert code == 1 and "the policy broke" in err and "connection lost" in err


def test_in_a_rollout_a_fault_is_a_failure_as_ever(project, command, token, abort_in):
    abort_in += [FAULT]
    code, out, err = command(*ROLLOUT, "--episodes", 2, token=token(2))
    assert code == 0 and "2 episodes recorded, 0 succeeded, 1 ended by a fault" in out, err
    code, out, _ = command(*ROLLOUT, "--episodes", 2)
    assert code == 0 and described()["episodes"]["recorded"] == 2, "nothing is run again"
