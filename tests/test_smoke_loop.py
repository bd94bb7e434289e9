"""The whole loop at the smoke preset, by `dvc repro` as a user runs it."""

import json
import re
import shutil

import pytest
import yaml

from ocrrl.commands.show import show
from tests.pipeline_copy import copy_project, run

pytestmark = pytest.mark.renders


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = copy_project(tmp_path_factory.mktemp("smoke") / "project")
    run(folder, "dvc", "repro", "report")
    return folder


def locked_outputs(folder):
    lock = yaml.safe_load((folder / "dvc.lock").read_text())
    return {stage: {out["path"]: out["md5"] for out in entry["outs"]} for stage, entry in lock["stages"].items()}


def test_one_command_runs_every_stage_to_a_report(project):
    page = (project / "data/reports/round0/cube_lift/index.html").read_text()
    assert "twin" in page and "http://" not in re.sub(r"http://www\.w3\.org\S*", "", page)
    evaluation = json.loads((project / "data/metrics/evaluate_0/round0/cube_lift.json").read_text())
    for cell in ("sim", "twin"):
        for variant in ("base", "residual"):
            assert evaluation[cell][variant]["episodes"] == 4
        assert sum(evaluation[cell]["paired"].values()) == 4
    retrained = json.loads((project / "data/metrics/evaluate_retrained/round0/cube_lift.json").read_text())
    assert set(retrained["tabletop_tasks"]["cube_lift"]["twin"]) == {
        *("before", "retrained", "demonstrations_only", "base_rollouts", "differences")
    }
    assert len(locked_outputs(project)) == 13


def test_with_nothing_changed_no_stage_runs_again(project):
    done = run(project, "dvc", "repro", "report")
    assert "Running stage" not in done.stdout
    assert "up to date" in done.stdout + done.stderr


def test_a_changed_residual_parameter_reruns_only_what_depends_on_it(project):
    params = yaml.safe_load((project / "params.yaml").read_text())
    params["train_residual"]["shared"]["l2"] *= 2
    original = (project / "params.yaml").read_text()
    (project / "params.yaml").write_text(yaml.safe_dump(params))
    try:
        status = json.loads(run(project, "dvc", "status", "--json", "--with-deps", "report@cube_lift").stdout)
    finally:
        (project / "params.yaml").write_text(original)
    assert set(status) == {"train_residual@cube_lift-0"}


def test_the_results_and_timings_are_shown(project):
    shown = run(project, "ocrrl", "show", "cube_lift").stdout
    assert "base + residual" in shown.lower() and "index.html" in shown
    timings = run(project, "ocrrl", "timings").stdout
    assert "train_residual@cube_lift-0" in timings and "all" in timings


def test_every_stage_that_ran_has_something_to_show(project, monkeypatch):
    monkeypatch.chdir(project)
    for address in locked_outputs(project):
        text = show(address, images=True)
        assert text.startswith(f"## {address.partition('@')[0]} · cube_lift") and "No image" not in text, address
        assert json.loads(show(address, form="json"))[0]["headline"] in text, address


def test_the_lineage_of_the_retrained_vla_names_every_demonstration_and_who_ran_each_stage(project):
    text = run(project, "ocrrl", "lineage", "data/vla_retrained/round0/cube_lift").stdout
    recorded = sorted((project / "data/episodes/cube_lift/recorded").glob("*.h5"))
    assert len(recorded) == 4
    for file in recorded:
        assert file.relative_to(project).as_posix() in text
    assert text.count("  by ") and "run record: none here" not in text
    run(project, "ocrrl", "lineage", "data/vla_retrained/round0/cube_lift", "--verify")


def test_a_bad_recording_is_named_and_the_good_ones_go_on(project, tmp_path):
    recorded = project / "data/episodes/cube_lift/recorded"
    bad = project / "data/episodes/cube_lift/mixed"
    bad.mkdir()
    for path in recorded.glob("*.h5"):
        (bad / path.name).write_bytes(path.read_bytes())
    whole = (bad / "episode_000000.h5").read_bytes()
    (bad / "truncated.h5").write_bytes(whole[: len(whole) // 2])
    params = yaml.safe_load((project / "params.yaml").read_text())
    workspace = tmp_path / "user"
    workspace.mkdir()
    (workspace / "params.yaml").write_text(yaml.safe_dump(params))
    run(workspace, "ocrrl", "params", "--episodes", "cube_lift=data/episodes/cube_lift/mixed")
    (workspace / "data").symlink_to(project / "data")
    done = run(workspace, "ocrrl", "ingest", "cube_lift", check=False)
    assert done.returncode == 1
    assert "4 episodes accepted, 1 rejected" in done.stdout and "truncated.h5" in done.stdout
    assert (bad / "truncated.h5").exists()


def test_one_vla_for_all_tasks_and_a_second_round_run_too(project, tmp_path):
    """By command, since a smoke base collects no rollouts: demonstrations stand for them."""
    again = tmp_path / "rounds"
    shutil.copytree(project, again)
    rollouts = again / "data/rollouts_corrected/round0/cube_lift"
    shutil.copytree(again / "data/episodes/cube_lift/recorded", rollouts, dirs_exist_ok=True)
    run(again, "ocrrl", "params", "--preset", "smoke", "--tasks", "cube_lift", "--rounds", "2")
    for command in (
        "retrain_multitask --round round0",
        "evaluate_multitask --round round0",
        "replay_rollouts cube_lift --round round1",
        "finetune_multitask --round round1",
        "promote cube_lift --round round1",
        "train_residual cube_lift --round round1 --seed 0",
        "rollout cube_lift --round round1",
        "training_set cube_lift --round round1",
        "retrain_multitask --round round1",
        "publish --round round1",
    ):
        run(again, "ocrrl", *command.split())
    compared = json.loads((again / "data/metrics/evaluate_retrained/round0/multitask.json").read_text())
    assert {"before", "retrained"} <= set(compared["tabletop_tasks"]["cube_lift"]["twin"])
    promotion = json.loads((again / "data/metrics/promote/round1/cube_lift.json").read_text())
    assert promotion["promoted"] == (promotion["verdict"]["decision"] == "better")
    source = "vla_retrained/round0/multitask" if promotion["promoted"] else "vla_real/round0/cube_lift"
    weights = [again / "data" / name / "model.safetensors" for name in ("vla_real/round1/cube_lift", source)]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    assert (again / "data/models/vla_retrained/model.safetensors").is_file()


@pytest.mark.slow
def test_two_runs_from_scratch_write_the_same_bytes(project, tmp_path):
    again = copy_project(tmp_path / "again")
    run(again, "dvc", "repro", "report")
    assert locked_outputs(again) == locked_outputs(project)


@pytest.mark.slow
def test_a_killed_residual_stage_goes_on_to_the_same_bytes(project, tmp_path):
    import os
    import signal
    import subprocess
    import sys
    import time
    from pathlib import Path

    again = copy_project(tmp_path / "killed")
    shutil.copytree(project / "data", again / "data")
    shutil.rmtree(again / "data/residual_0/round0/cube_lift")
    command = [str(Path(sys.executable).parent / "ocrrl"), "train_residual", "cube_lift", "--seed", "0"]
    environment = os.environ | {"PYTHONPATH": str(again), "OMP_NUM_THREADS": "1"}
    child = subprocess.Popen(command, cwd=again, env=environment, start_new_session=True, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while not list(again.glob(".work/**/checkpoint.safetensors")):
        assert child.poll() is None and time.monotonic() < deadline, "no checkpoint appeared before the stage ended"
        time.sleep(0.05)
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    assert not (again / "data/residual_0/round0/cube_lift").exists(), "nothing partial is published"
    run(again, "ocrrl", "train_residual", "cube_lift", "--seed", "0")
    name = "data/residual_0/round0/cube_lift/actor.safetensors"
    assert (again / name).read_bytes() == (project / name).read_bytes()
