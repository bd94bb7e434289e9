"""Sessions in a cell where an operator approves motion, and the commands around them."""

import argparse
import json
import os
import pty
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

from ocrrl.cli import main
from ocrrl.commands.params import write
from ocrrl.episodes.episode_store import episode_files, read_episode, write_episode
from ocrrl.files import locked
from ocrrl.interface.seeds import RANGES
from ocrrl.layout import Layout
from ocrrl.preset_params import resolve
from ocrrl.recordings.ingest import ingest
from ocrrl.recordings.ingest_config import IngestConfig
from ocrrl.recordings.training_set import TrainingSetConfig, build_training_set
from ocrrl.robot.operator.approval import NotApproved, check, issue
from ocrrl.robot.operator.approval_ledger import episodes_begun
from ocrrl.robot.operator.cell_operator import EndedByOperator
from ocrrl.robot.twin.twin import TwinCell
from ocrrl.sessions.policy_session import run_session
from ocrrl.sessions.schedule import planned_episodes
from ocrrl.sessions.session_folder import SessionFolder
from ocrrl.tabletop.cube_lift import TASK as CUBE_LIFT
from ocrrl.tabletop.cube_lift import Scene as CubeLift
from tests.episodes.toy_episodes import demonstrated
from tests.untrained_models import write_untrained_models

LAYOUT = Layout("cube_lift")
NAME = "monday"
FOLDER = LAYOUT.session("rehearsal", NAME)
APPROVE = (
    "approve",
    "--cell",
    "rehearsal",
    "--session",
    NAME,
    "--task",
    "cube_lift",
    "--operator",
    "Ada",
    "--cell-clear",
)
ROLLOUT = ("rollout", "cube_lift", "--cell", "rehearsal", "--session", NAME)
EVALUATE = ("evaluate", "cube_lift", "--cell", "rehearsal", "--session", NAME)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with an untrained VLA and residual, where an episode of Cube Lift lasts 12 steps at most."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OCRRL_APPROVAL", raising=False)
    monkeypatch.setattr(CubeLift, "task", replace(CUBE_LIFT, horizon=12))
    write_untrained_models(LAYOUT)
    return tmp_path


@pytest.fixture
def command(monkeypatch, capsys):
    """Runs a command; its exit code, stdout and stderr."""

    def run(*arguments, token=None):
        if token is not None:
            monkeypatch.setenv("OCRRL_APPROVAL", token)
        code = main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


@pytest.fixture
def token(command):
    def approve(episodes, *more):
        code, out, _ = command(*APPROVE, "--episodes", episodes, *more)
        assert code == 0 and len(out.splitlines()) == 1
        return out.strip()

    return approve


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def described():
    return json.loads((FOLDER / "session.json").read_text())


def test_a_rehearsed_rollout_leaves_a_session_that_says_it_is_a_twin_s(project, command, token):
    approval = token(2)
    code, out, err = command(*ROLLOUT, "--episodes", 2, token=approval)
    assert code == 0, err
    assert "rehearsal, a twin; no robot moved: 2 episodes recorded" in out
    assert f"Next: dvc add {FOLDER}" in out
    session = described()
    assert (session["schema"], session["cell"], session["stands_for"]) == (1, "rehearsal", "a twin; no robot moved")
    assert (session["purpose"], session["tabletop_task"], session["round"]) == ("rollout", "cube_lift", "round0")
    assert session["episodes"] == {"approved": 2, "begun": 2, "recorded": 2, "successes": 0}
    assert set(session["models"]) == {str(LAYOUT.vla("real")), str(LAYOUT.residual(0))}
    (run,) = session["runs"]
    assert (run["operator"], run["episodes_approved"]) == ("Ada", 2)
    assert run["started_utc"].endswith("Z") and "ocrrl" in run["versions"]
    assert episodes_begun(project / ".work", run["approval"]) == 2
    for attempt in session["attempts"]:
        attributes = read_episode(FOLDER / attempt["episode"]).attributes
        assert attempt["episode"] == f"corrected/failures/episode_{attempt['number']:06d}.h5"
        assert (attributes.cell, attributes.operator, attributes.success) == ("rehearsal", "policy", False)
        assert (attributes.seed, attempt["steps"]) == (attempt["seed"], 12)
        assert attributes.calibration

    before = contents(FOLDER)
    code, out, _ = command(*ROLLOUT, "--episodes", 2)
    assert code == 0 and "2 episodes recorded" in out, "a finished session asks for nothing"
    assert contents(FOLDER) == before
    code, _, err = command(*ROLLOUT, "--episodes", 3, token=approval)
    assert code == 1 and "must cover 1 episodes, got 0 left of the 2 that Ada approved" in err
    assert contents(FOLDER) == before
    assert not any(approval.encode() in content for content in contents(project).values())
    assert "OCRRL_APPROVAL" not in os.environ, "no child process is given the token"


def test_a_rehearsed_evaluation_is_paired_and_each_variant_is_an_approved_episode(project, command, token):
    code, _, err = command(*EVALUATE, "--episodes", 2, token=token(1))
    assert code == 1 and "must cover 2 episodes, got 1 left" in err
    code, out, err = command(*EVALUATE, "--episodes", 2, token=token(2))
    assert code == 0, err
    assert "rehearsal: base 0.00, base + residual 0.00 of 1 episodes" in out
    metrics = json.loads((FOLDER / "evaluation.json").read_text())
    assert (metrics["tabletop_task"], metrics["round"], metrics["residual_seed"]) == ("cube_lift", 0, 0)
    assert metrics["rehearsal"]["paired"] == {"both": 0, "only_base": 0, "only_residual": 0, "neither": 1}
    assert metrics["rehearsal"]["base"]["episodes"] == metrics["rehearsal"]["residual"]["episodes"] == 1
    base, residual = (
        read_episode(FOLDER / f"{variant}/failures/episode_00000{k}.h5")
        for k, variant in ((0, "base"), (1, "residual"))
    )
    assert base.attributes.seed == residual.attributes.seed
    assert not base.residual.any() and residual.residual.any()
    np.testing.assert_allclose(base.gripper_pose[0], residual.gripper_pose[0], atol=1e-6)
    trace = json.loads((FOLDER / "episodes.json").read_text())["cells"]["rehearsal"]["traces"][0]
    np.testing.assert_allclose(trace["residuals"], residual.residual, atol=1e-5)


def test_a_session_and_its_vla_keep_to_one_size_of_images(project, command, token):
    (code, *_), declared = command(*ROLLOUT, "--episodes", 1, token=token(3)), {"front": [64, 64], "wrist": [64, 64]}
    assert code == 0 and described()["cameras"] == declared
    older = described()
    del older["cameras"]
    (FOLDER / "session.json").write_text(json.dumps(older))
    assert command(*ROLLOUT, "--episodes", 2, token=token(3))[0] == 0, "of version 0.2, which had no other"
    write(resolve("smoke", ["cube_lift"]) | {"cameras": {"front": [96, 128], "wrist": [96, 96]}}, None)
    code, _, said = command(*ROLLOUT, "--episodes", 3, token=token(3))
    assert (
        code == 1 and f"session {NAME}: cameras must stay {declared}, got" in said and "begin another --session" in said
    )
    other = [*ROLLOUT[:-1], "tuesday"]
    code, _, said = command(*other, "--episodes", 1)
    assert code == 1 and not LAYOUT.session("rehearsal", "tuesday").exists()
    assert "takes images of front 64 x 64, wrist 64 x 64, params.yaml declares front 96 x 128, wrist 96 x 96" in said


def test_what_an_error_breaks_off_is_kept_aside_and_the_state_is_run_again(project, command, token, monkeypatch):
    from ocrrl.policies.chunked_policy import ChunkedPolicy

    act, steps = ChunkedPolicy.act, []

    def failing(self, *arguments):
        steps.append(len(steps))
        if len(steps) == 5:
            raise RuntimeError("the policy broke")
        return act(self, *arguments)

    monkeypatch.setattr(ChunkedPolicy, "act", failing)
    code, _, err = command(*ROLLOUT, "--episodes", 1, token=token(2))
    assert code == 1 and "the policy broke" in err
    (left,) = (FOLDER / "corrected" / "unfinished").iterdir()
    assert len(read_episode(left)) == 4 and not read_episode(left).attributes.success
    (attempt,) = json.loads((FOLDER / "session.json").read_text())["attempts"]
    assert attempt["episode"] is None and attempt["aborted"] == "RuntimeError: the policy broke"
    code, out, _ = command(*ROLLOUT, "--episodes", 1, token=token(1))
    assert code == 0 and "1 episodes recorded" in out
    seeds = {attempt["seed"] for attempt in json.loads((FOLDER / "session.json").read_text())["attempts"]}
    assert len(seeds) == 1


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGHUP])
def test_a_terminal_that_hangs_up_ends_a_session_as_ctrl_c_does(project, command, token, monkeypatch, ending):
    step, close, steps, closed = TwinCell.step, TwinCell.close, [], []

    def hanging_up(self, actions, ids):
        steps.append(len(steps))
        if len(steps) == 5:
            os.kill(os.getpid(), ending)
        return step(self, actions, ids)

    def closing(self):
        os.kill(os.getpid(), ending)  # a second one does not keep the arm from being stopped
        close(self)
        closed.append(self)

    monkeypatch.setattr(TwinCell, "step", hanging_up)
    monkeypatch.setattr(TwinCell, "close", closing)
    before = signal.getsignal(ending)
    code, _, err = command(*ROLLOUT, "--episodes", 1, token=token(1))
    assert code == 130 and "interrupted; what was finished is kept" in err
    assert len(closed) == 1 and signal.getsignal(ending) == before
    (attempt,) = described()["attempts"]
    assert attempt["episode"] is None and attempt["aborted"] == "KeyboardInterrupt"
    (left,) = (FOLDER / "corrected" / "unfinished").iterdir()
    assert len(read_episode(left)) == 4


def test_an_episode_that_is_being_saved_is_kept_whatever_comes_and_then_it_counts(project, command, token, monkeypatch):
    keep = SessionFolder.keep

    def keeping(self, *arguments):
        os.kill(os.getpid(), signal.SIGINT)
        keep(self, *arguments)

    monkeypatch.setattr(SessionFolder, "keep", keeping)
    before = signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # tests in the background are started to ignore it
    try:
        code, out, err = command(*ROLLOUT, "--episodes", 2, token=token(2))
    finally:
        signal.signal(signal.SIGINT, before)
    assert code == 130 and f"The same command with --session {NAME} continues it." in out, err
    (attempt,) = described()["attempts"]
    assert attempt["episode"] and not attempt["aborted"]
    assert len(read_episode(FOLDER / attempt["episode"])) == 12


def test_an_error_before_the_first_step_says_why_and_counts_as_an_attempt(project, command, token, monkeypatch):
    def broken(self, *arguments):
        raise RuntimeError("the policy broke")

    with monkeypatch.context() as breaks:
        breaks.setattr("ocrrl.policies.chunked_policy.ChunkedPolicy.act", broken)
        for left in (2, 2):
            code, _, err = command(*EVALUATE, "--episodes", 2, token=token(left))
            assert code == 1 and "the policy broke" in err
    assert [a["aborted"] for a in described()["attempts"]] == ["RuntimeError: the policy broke"] * 2
    code, out, err = command(*EVALUATE, "--episodes", 2)
    assert code == 0 and "1 of 1 pairs are left out, broken off 2 times each" in out, err


def test_a_session_that_its_operator_ends_at_a_question_is_no_error_and_goes_on(project, command, token, monkeypatch):
    reset, resets = TwinCell.reset, []

    def asking(self, ids, seeds):
        resets.append(seeds)
        if len(resets) == 3:
            raise EndedByOperator("the operator ended the session")
        reset(self, ids, seeds)

    monkeypatch.setattr(TwinCell, "reset", asking)
    code, out, err = command(*EVALUATE, "--episodes", 4, token=token(4))
    assert code == 1 and err == "", "not all is recorded"
    assert "2 episodes recorded" in out and "of 1 episodes" in out and "1 of 2 pairs are still to run" in out
    assert f"It ended early: the operator ended the session. The same command with --session {NAME} continues it" in out
    assert out.splitlines()[-1] == f"Next: dvc add {FOLDER}"
    ended = described()["attempts"][-1]
    assert (ended["episode"], ended["aborted_by"]) == (None, "operator")
    code, out, err = command(*EVALUATE, "--episodes", 4, token=token(2))
    assert code == 0 and "of 2 episodes" in out and "ended early" not in out, err


def test_without_an_approval_nothing_is_written(project, command):
    before = contents(project / "data")
    code, out, err = command(*ROLLOUT, "--episodes", 2)
    assert (code, out) == (1, "")
    assert "ocrrl rollout: cell rehearsal moves only with an operator's approval, got none" in err
    assert "ocrrl approve --cell rehearsal --session monday --task cube_lift --episodes 2" in err
    assert "Traceback" not in err
    assert contents(project / "data") == before


def test_an_approval_that_does_not_fit_is_refused_before_anything_is_written(project, command, token):
    before = contents(project / "data")
    for options, message in (
        (("--episodes", 3), "must cover 3 episodes, got 2 left"),
        (("--episodes", 2, "--session", "tuesday"), "must be for session tuesday, got one for monday"),
    ):
        code, _, err = command(*ROLLOUT, *options, token=token(2))
        assert code == 1 and message in err
    options = argparse.Namespace(
        command="rollout",
        tabletop_task="cube_lift",
        round="round0",
        cell="rehearsal",
        session=NAME,
        seed=None,
        episodes=2,
        cell_file=None,
    )
    (project / ".work/approvals/.clock.json").unlink()
    os.environ["OCRRL_APPROVAL"] = issue("rehearsal", NAME, "cube_lift", 2, "Ada", lambda: 0.0)
    with pytest.raises(NotApproved, match="it did at 1970-01-01 00:15:00 UTC"):
        run_session(options, lambda: 1000.0)
    assert contents(project / "data") == before


def test_options_and_models_that_a_session_cannot_run_with_are_named(project, command):
    for arguments, message in (
        (("rollout", "cube_lift", "--episodes", 2), "--episodes must come with a session's --cell"),
        (("rollout", "cube_lift", "--cell", "twin", "--session", "x"), "--session must come with a session's --cell"),
        (("rollout", "cube_lift", "--seed", 1), "--seed must come with a session's --cell"),
        (("rollout", "cube_lift", "--cell", "moon"), "cell must be one of twin, rehearsal, wire_twin, fr3, got 'moon'"),
        (ROLLOUT, "must be given --episodes from 1 to 1000, got None"),
        ((*EVALUATE, "--episodes", 3), "evaluate must be given an even number of --episodes"),
        ((*ROLLOUT, "--episodes", 0), "must be given --episodes from 1 to 1000, got 0"),
        ((*ROLLOUT[:-1], "../x", "--episodes", 1), "session must be a name of 1 to 80 lower-case letters, digits"),
        ((*ROLLOUT, "--episodes", 1, "--seed", 7), "`dvc repro train_residual@cube_lift-7` makes it"),
    ):
        code, _, err = command(*arguments)
        assert code == 1 and message in err, arguments
    with locked(project / ".work/cells/rehearsal.lock"):
        code, _, err = command(*ROLLOUT, "--episodes", 1)
    assert code == 1 and "cell rehearsal must run one session at a time" in err


def test_approve_refuses_what_cannot_be_approved(project, command):
    for arguments, message in (
        ((*APPROVE, "--cell", "twin"), "needs an approval (rehearsal, fr3), got twin: no robot moves there"),
        ((*APPROVE, "--task", "juggle"), "tabletop task must be one of cube_lift"),
        ((*APPROVE, "--minutes", 1000), "minutes must be in (0, 480], got 1000"),
        ((*APPROVE, "--operator", ""), "--cell-clear must come with --operator"),
        (APPROVE[:-1], "at a terminal, where this asks, or by --cell-clear"),
    ):
        code, out, err = command(*arguments, "--episodes", 1)
        assert (code, out) == (1, "") and message in err, arguments


def test_at_a_terminal_the_operator_is_asked_and_stdout_holds_the_token_alone(project):
    keyboard, screen = pty.openpty()
    program = [sys.executable, "-m", "ocrrl.cli", *APPROVE[:7], "--episodes", "4"]
    os.write(keyboard, b"y\nAda\n2\nrehearsal\n")
    done = subprocess.run(program, stdin=screen, stderr=screen, stdout=subprocess.PIPE, text=True, timeout=60)
    shown = os.read(keyboard, 4000).decode()
    os.close(keyboard)
    os.close(screen)
    assert done.returncode == 0
    for question in ("Is the cell clear of people? [y/N]", "Who are you?", "How many episodes may begin? [4]"):
        assert question in shown
    approval = check(done.stdout.strip(), "rehearsal", NAME, "cube_lift", 2, time.time)
    assert (approval.operator, approval.episodes) == ("Ada", 2)
    assert done.stdout.strip() not in shown


def test_sessions_start_where_no_stage_does():
    rollout = planned_episodes("rollout", NAME, 1000)
    evaluate = planned_episodes("evaluate", NAME, 1000)
    rollout_seeds, evaluate_seeds = ({seed for _, seed in planned} for planned in (rollout, evaluate))
    assert (len(rollout_seeds), len(evaluate_seeds)) == (1000, 500)
    assert rollout_seeds <= set(RANGES["rollout"][500_000:])
    assert evaluate_seeds <= set(RANGES["test"][500_000:])
    assert planned_episodes("rollout", NAME, 10) == rollout[:10], "a longer session begins like a shorter one"
    assert planned_episodes("rollout", "tuesday", 10) != rollout[:10]
    assert [variant for variant, _ in evaluate[:4]] == ["base", "residual", "residual", "base"]


def test_a_rehearsal_enters_no_training_set_beside_other_cells_unless_it_is_named(tmp_path):
    for name, cell, seeds in (("demonstrations", "twin", [1, 2]), ("rehearsed", "rehearsal", [3])):
        for episode in demonstrated(seeds, cell):
            write_episode(tmp_path / name / f"episode_{episode.attributes.seed:06d}.h5", episode)
    demonstrations, rehearsed = (episode_files(tmp_path / name, name) for name in ("demonstrations", "rehearsed"))
    with pytest.raises(ValueError, match=r"cells must name the cells that may be mixed \(rehearsal, twin\), got none"):
        build_training_set(demonstrations, rehearsed, tmp_path / "set", CUBE_LIFT, TrainingSetConfig())
    summary = ingest(tmp_path, CUBE_LIFT, tmp_path / "d", tmp_path / "n", tmp_path / "r.json", IngestConfig())
    assert len(summary.accepted) == 2
    assert summary.rejected == {"rehearsed/episode_000003.h5": "cell must be one of twin, got rehearsal"}
