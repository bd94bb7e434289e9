"""`ocrrl migrate` in a project whose package was upgraded; DVC itself says what would run again."""

import contextlib
import json
import shutil
import subprocess
from pathlib import Path

import pytest
from dvc.repo import Repo

from ocrrl.cli import main
from ocrrl.lineage.lineage import lineage
from ocrrl.lineage.reading.pipeline import pipeline_stages
from ocrrl.lineage.reading.revision import Revision
from ocrrl.tabletop.registry import USER_MODULES
from tests.project.installed import run_installed

OF_RESIDUAL = {"train_residual@cube_lift-0", "evaluate@cube_lift-0", "rollout@cube_lift"}
OF_CUBE_LIFT = {
    *("record@cube_lift", "ingest@cube_lift", "replay@cube_lift", "train_residual@cube_lift-0", "evaluate@cube_lift-0"),
    *("rollout@cube_lift", "rollout_base@cube_lift", "training_set@cube_lift", "evaluate_retrained@cube_lift"),
    *("report@cube_lift", "evaluate_multitask@round0", "report_multitask@round0"),
}


def commit_everything() -> None:
    """Outs of a few bytes for every stage, as if all had run with the code of code.yaml."""
    for stage in pipeline_stages(Revision(Path()).read).values():
        for out in stage.outs:
            place = Path(out) if Path(out).suffix else Path(out, "content")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(json.dumps({"of": out}))
    with Repo(".") as repo:
        repo.commit(force=True)


def stale() -> set[str]:
    with Repo(".") as repo:
        return set(repo.status())


@pytest.fixture(scope="module")
def finished(made, tmp_path_factory) -> Path:
    """A project for Cube Lift and Close Drawer with all stages up to date; not to be changed."""
    folder = Path(shutil.copytree(made, tmp_path_factory.mktemp("finished") / "my_lab"))
    with contextlib.chdir(folder):
        assert main(["params", "--preset", "smoke", "--tasks", "cube_lift", "close_drawer"]) == 0
        commit_everything()
        assert stale() == set()
    return folder


@pytest.fixture
def done(finished, tmp_path, monkeypatch) -> Path:
    """A copy, which is the working folder."""
    folder = Path(shutil.copytree(finished, tmp_path / "my_lab"))
    monkeypatch.chdir(folder)
    return folder


def append(path: Path, text: str) -> None:
    path.write_text(path.read_text() + text)


def test_an_upgrade_runs_again_only_what_its_units_changed(done, site):
    append(site / "ocrrl/residual/td3.py", "# newer\n")
    append(site / "ocrrl/commands/show.py", "# newer\n")
    refused = run_installed(site, done, "check_names", code=1).stderr
    assert "got others for ocrrl/residual: `ocrrl migrate` writes it" in refused
    before = Path("code.yaml").read_bytes()
    assert "code.yaml: ocrrl/residual; stages" in run_installed(site, done, "migrate", "--dry").stdout
    assert Path("code.yaml").read_bytes() == before
    run_installed(site, done, "migrate")
    others = {address.replace("cube_lift", "close_drawer") for address in OF_RESIDUAL}
    assert stale() == OF_RESIDUAL | others
    run_installed(site, done, "check_names")
    assert "nothing to migrate" in run_installed(site, done, "migrate").stdout

    append(site / "ocrrl/tabletop/cube_lift.py", "# newer\n")
    run_installed(site, done, "migrate")
    assert stale() == OF_RESIDUAL | others | OF_CUBE_LIFT


def test_files_that_came_with_the_package_are_replaced_unless_they_were_changed(done, site):
    files = site / "ocrrl/project/files"
    append(files / "flows/serve.py", "# newer\n")
    append(files / "tasks/graph.py", "# newer\n")
    append(files / "dvc.yaml", "# newer\n")
    (files / "flows/worker.py").unlink()
    (files / "flows/new.py").write_text("new\n")
    append(done / "tasks/graph.py", "# mine\n")
    said = run_installed(site, done, "migrate").stdout
    assert "tasks/graph.py: stays, since it was changed here" in said and "flows/worker.py: removed" in said
    assert Path("flows/serve.py").read_text().endswith("# newer\n") and Path("flows/new.py").exists()
    assert Path("dvc.yaml").read_text().endswith("# newer\n")
    assert Path("tasks/graph.py").read_text().endswith("# mine\n") and not Path("flows/worker.py").exists()
    assert stale() == set()
    assert "nothing to migrate" in run_installed(site, done, "migrate").stdout


def test_a_project_of_a_newer_version_is_refused_with_the_next_step(done, capsys):
    text = Path("code.yaml").read_text()
    Path("code.yaml").write_text(text.replace('version: "', 'version: "9'))
    for command in ("migrate", "check_names"):
        assert main([command]) == 1
        said = capsys.readouterr().err
        assert "or older, got 9" in said and "`pip install 'ocrrl>=9" in said
    Path("code.yaml").write_text("[]")
    assert main(["migrate"]) == 1
    assert "restore it with `git checkout code.yaml`" in capsys.readouterr().err


def test_lineage_shows_the_units_as_code_and_no_placeholder(done):
    found = lineage("data/residual_0/round0/cube_lift")
    stage = found.tree.stages["train_residual@cube_lift-0"]
    code = {path.path for path in stage.code}
    assert {"ocrrl/residual", "ocrrl/sim", "ocrrl/tabletop/cube_lift", "ocrrl/stages/train_residual"} <= code
    assert not any(path.startswith(".none") or path == "none" for path in code)
    assert not any("code.yaml" in name for name in stage.params)


def test_a_task_of_the_user_s_own_is_a_file_of_the_project(done, monkeypatch):
    monkeypatch.setenv(USER_MODULES, "")  # which registering a task changes
    Path("my_lab").mkdir()
    named = ["--tasks", "cube_lift", "lift_again=my_lab.lift_again"]
    source = Path("my_lab/lift_again.py")
    source.write_text(
        "from dataclasses import replace\n\nfrom ocrrl.tabletop import cube_lift\nfrom ocrrl.tabletop.cube_lift import *\n\n"
        "TASK = replace(cube_lift.TASK, slug='lift_again')\n"
    )
    subprocess.run(["git", "add", "my_lab"], check=True)
    assert main(["params", "--preset", "smoke", *named]) == 0
    stages = pipeline_stages(Revision(Path()).read)
    own, packaged = stages["train_residual@lift_again-0"], stages["train_residual@cube_lift-0"]
    assert "my_lab/lift_again.py" in own.deps and ("code.yaml", "none") in own.params
    assert ".none/code" in packaged.deps and ("code.yaml", "ocrrl/tabletop/cube_lift") in packaged.params
    assert main(["check_names"]) == 0
