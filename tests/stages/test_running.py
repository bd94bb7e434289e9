"""Two at once: whoever comes second to the same files is refused by name, until the first one has ended, however it ends."""

import argparse
import errno
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import types
from pathlib import Path

import pytest

from ocrrl import stages
from ocrrl.cli import main
from ocrrl.stages.running import FOLDER, files_reserved
from tasks.child_process import Outcome
from tasks.failures import is_busy
from tests.pipeline_copy import ROOT


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("first", "second", "refused"),
    [
        (
            {"writes": ["data/d/real"]},
            {"writes": ["data/m.json", "data/d/real"]},
            "second must be the only one to write data/d/real, got first (process {}), which writes there too: wait until",
        ),
        (
            {"writes": ["data/episodes/recorded"]},
            {"reads": ["data/episodes/recorded"]},
            "second must read what is finished, got data/episodes/recorded, which first (process {}) is writing: wait until",
        ),
        (
            {"reads": ["data/d/real"]},
            {"writes": ["data/d/real"]},
            "second must not write what another one reads, got data/d/real, which first (process {}) is reading: wait until",
        ),
        (
            {"writes": ["data/episodes/monday"]},
            {"reads": ["data/episodes/monday/successes"]},
            "second must read what is finished, got data/episodes/monday/successes, which first",
        ),
        ({"writes": ["data/episodes/a/recorded"]}, {"reads": ["data/episodes/a"]}, "got data/episodes/a/recorded"),
        ({"reads": ["data/a"]}, {"reads": ["data/a"]}, None),
        ({"writes": ["data/a"]}, {"writes": ["data/ab"], "reads": ["data/b"]}, None),
    ],
)
def test_two_run_side_by_side_unless_one_writes_what_the_other_uses(first, second, refused):
    with files_reserved("first", **first):
        if refused is None:
            with files_reserved("second", **second):
                pass
        else:
            with pytest.raises(RuntimeError) as caught, files_reserved("second", **second):
                pass
            assert refused.format(os.getpid()) in str(caught.value)
    with files_reserved("second", **second):
        pass
    assert list(FOLDER.glob("*.json")) == []


def test_the_same_name_is_refused_even_where_nothing_is_known_of_its_files():
    told = "ingest must be the only one to write its outputs"
    with files_reserved("ingest"), pytest.raises(RuntimeError, match=told), files_reserved("ingest"):
        pass


def test_a_link_is_the_folder_that_it_leads_to(folder):
    (folder / "volume").mkdir()
    (folder / "data").symlink_to("volume")
    target = folder / "volume" / "out"
    with files_reserved("first", writes=["data/out"]), pytest.raises(RuntimeError, match="only one to write"):
        files_reserved("second", writes=[target]).__enter__()


HOLDER = """
    import sys, time
    from ocrrl.stages.running import files_reserved

    with files_reserved("holder", writes=["data/out"]):
        print("held", flush=True)
        time.sleep(60)
"""


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGTERM])
def test_a_holder_that_is_killed_holds_nothing(folder, by):
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(HOLDER)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        with (
            pytest.raises(RuntimeError, match=rf"holder \(process {holder.pid}\)"),
            files_reserved("late", reads=["data/out"]),
        ):
            pass
        holder.send_signal(by)
    with files_reserved("late", reads=["data/out"]):
        pass
    assert list(FOLDER.glob("*.json")) == []


def test_an_error_lets_go():
    with pytest.raises(ValueError, match="broken"), files_reserved("first", writes=["data/out"]):
        raise ValueError("broken")
    with files_reserved("first", writes=["data/out"]):
        pass


def test_where_the_file_system_has_no_locks_the_user_is_told_and_the_stage_runs(monkeypatch, capsys):
    def refused(file, how):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refused)
    with files_reserved("first", writes=["data/out"]):
        pass
    assert "without locks (No locks available)" in capsys.readouterr().err and FOLDER.is_dir()


def test_a_flow_waits_for_it_as_for_dvc(tmp_path):
    with (
        files_reserved("first", writes=["out"]),
        pytest.raises(RuntimeError) as refused,
        files_reserved("second", writes=["out"]),
    ):
        pass
    log = tmp_path / "log"
    log.write_text(f"ocrrl second: {refused.value}\n")
    assert is_busy(Outcome(1, log))


@pytest.fixture(scope="module")
def parameters(tmp_path_factory):
    path = tmp_path_factory.mktemp("parameters") / "params.yaml"
    assert main(["params", "--preset", "smoke", "--tasks", "cube_lift", "--path", str(path)]) == 0
    return path


@pytest.fixture
def project(folder, monkeypatch, parameters):
    """dvc.yaml and params.yaml, and stages that note whether they ran."""
    shutil.copy(ROOT / "dvc.yaml", folder)
    for path in (parameters, parameters.with_name("graph.yaml")):
        shutil.copy(path, folder)
    ran = []
    for name in ("ingest", "record", "finetune", "retrain_multitask"):
        stage = types.SimpleNamespace(run=lambda *parts, name=name, **variant: ran.append(name))
        monkeypatch.setitem(sys.modules, f"ocrrl.stages.{name}", stage)
    return ran


@pytest.mark.parametrize(
    ("held", "writes", "said"),
    [
        ("ingest@cube_lift of round0", "data/dataset_real/round0/cube_lift", "which writes there too"),
        ("record@cube_lift of round0", "data/episodes/cube_lift/recorded", "is writing"),
        ("replay@cube_lift of round7", "data/normalised/round0/cube_lift/x.h5", "which writes there too"),
    ],
)
def test_a_stage_is_refused_where_another_one_has_its_files(project, capsys, held, writes, said):
    with files_reserved(held, writes=[writes]):
        assert main(["ingest", "cube_lift"]) == 1
        assert main(["record", "cube_lift"]) == (0 if "recorded" not in writes else 1)
    error = capsys.readouterr().err
    assert f"{held} (process {os.getpid()})" in error and said in error and "ingest" not in project
    assert main(["ingest", "cube_lift"]) == 0 and "ingest" in project


def test_the_files_of_a_round_that_dvc_yaml_does_not_list_are_known_all_the_same(project):
    options = argparse.Namespace(command="finetune", tabletop_task="cube_lift", round="round5", domain="real")
    reads, writes = stages._places(options, "finetune@cube_lift-real")
    assert [str(path) for path in writes] == ["data/vla_real/round5/cube_lift"]
    assert {str(path) for path in reads} == {
        "data/dataset_real/round5/cube_lift",
        "data/accepted/round5/cube_lift.json",
    }


def test_a_folder_of_all_tabletop_tasks_holds_those_and_nothing_else(project, capsys):
    """A stage depends on the folder's hash, in which anything would count."""
    for name in ("dataset_real", "training_set_retrained", "training_set_base_rollouts"):
        Path(f"data/{name}/round0/cube_lift").mkdir(parents=True)
    Path("data/accepted/round0").mkdir(parents=True)
    Path("data/accepted/round0/cube_lift.json").write_text("[]")
    assert main(["retrain_multitask"]) == 0 and project == ["retrain_multitask"]
    Path("data/accepted/round0/notes.txt").touch()
    Path("data/training_set_retrained/round0/stack_cube").mkdir()
    said = []
    for stray in ("data/accepted/round0/notes.txt", "data/training_set_retrained/round0/stack_cube"):
        assert main(["retrain_multitask"]) == 1
        said.append(capsys.readouterr().err)
        subprocess.run(["rm", "-r", stray], check=True)
    assert "data/accepted/round0 must hold cube_lift.json and nothing else, got notes.txt" in said[0]
    assert "`rm -r data/training_set_retrained/round0/stack_cube`" in said[1] and len(said[1].splitlines()) == 2
    assert main(["retrain_multitask"]) == 0 and project == ["retrain_multitask"] * 2


def test_both_domains_are_trained_side_by_side(project):
    with files_reserved("finetune@cube_lift-sim of round0", writes=["data/vla_sim/round0/cube_lift"]):
        assert main(["finetune", "cube_lift", "--domain", "real"]) == 0
        assert main(["finetune", "cube_lift", "--domain", "sim"]) == 1
