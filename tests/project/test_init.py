"""`ocrrl init`: a project of its own, or a refusal that leaves nothing behind."""

import subprocess
from pathlib import Path

import pytest
import yaml
from dvc.repo import Repo

from ocrrl.cli import main
from ocrrl.code_units import installed_pipeline, unit
from ocrrl.lineage.reading.pipeline import pipeline_stages
from ocrrl.lineage.reading.revision import Revision
from ocrrl.params import Params
from tests.pipeline_copy import ROOT


def stages_in(folder: Path) -> dict:
    return pipeline_stages(Revision(folder).read)


def test_a_project_has_the_stages_of_the_checkout_with_hashes_in_place_of_files(made):
    ours, theirs = stages_in(ROOT), stages_in(made)
    assert list(theirs) == list(ours)
    known = yaml.safe_load((made / "code.yaml").read_text())
    for address, stage in theirs.items():
        code = {unit(dep) for dep in ours[address].deps if dep.startswith("ocrrl/")}
        placeholders = {dep for dep in stage.deps if dep.startswith(".none/")}
        units = {name for file, name in stage.params if file == "code.yaml"}
        # A path that stands for "none" is code that the stage depends on anyhow, or the file of a tabletop task.
        assert units <= code and all(any(f"{name}/".startswith(f"{other}/") for other in units) for name in code), (
            address
        )
        assert set(stage.deps) - placeholders == {dep for dep in ours[address].deps if not dep.startswith("ocrrl/")}
        assert all((made / dep).is_file() for dep in placeholders) and units <= set(known)
        assert stage.command == ours[address].command and stage.outs == ours[address].outs
    assert (ROOT / "params.yaml").read_bytes() == (made / "params.yaml").read_bytes()


def test_dvc_reads_it_and_git_has_all_of_it(made, monkeypatch):
    monkeypatch.chdir(made)
    Params.read().check()
    with Repo(".") as repo:
        assert "report@cube_lift" in {stage.addressing for stage in repo.index.stages}
    status = subprocess.run(["git", "status", "--porcelain"], capture_output=True, text=True, check=True).stdout
    assert status == ""
    listed = subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=True).stdout.splitlines()
    needed = {
        "params.yaml",
        "graph.yaml",
        "dvc.yaml",
        "code.yaml",
        "flows/serve.py",
        "tasks/graph.py",
        "cells/fr3.yaml",
    }
    assert needed | {".dvc/config", ".dvcignore", ".gitignore", "prefect.yaml", "Makefile"} <= set(listed)


def test_the_pipeline_keeps_its_comments():
    text = (ROOT / "dvc.yaml").read_text()
    made = installed_pipeline(text)
    comments = [line.strip() for line in text.splitlines() if line.strip().startswith("#")]
    assert all(line in made for line in comments) and "ocrrl/sim" in made


def test_a_folder_with_something_in_it_is_refused_and_left_as_it_is(tmp_path, capsys):
    (tmp_path / "notes.txt").write_text("mine")
    assert main(["init", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert "must get a new or an empty folder" in said and "holds notes.txt" in said and "ocrrl migrate" in said
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    assert main(["init", str(tmp_path / "notes.txt")]) == 1
    assert "which is a file" in capsys.readouterr().err


def test_without_git_nothing_is_written(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["init", str(tmp_path / "lab")]) == 1
    assert "init must have git" in capsys.readouterr().err and not (tmp_path / "lab").exists()


@pytest.mark.parametrize("empty", [True, False])
def test_an_empty_folder_is_taken_and_without_a_name_for_git_the_commit_is_made(tmp_path, monkeypatch, empty):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    folder = tmp_path / "lab"
    if empty:
        folder.mkdir()
    assert main(["init", str(folder), "--preset", "smoke"]) == 0
    log = subprocess.run(["git", "log", "--format=%s"], cwd=folder, capture_output=True, text=True, check=True).stdout
    assert log == "ocrrl init\n" and "--preset smoke" in (folder / "params.yaml").read_text()
