"""`make gc` on a small project: three commits, each with its recording, rollout, model, and one session."""

import contextlib
import shutil
import subprocess
from pathlib import Path

import pytest
import zc.lockfile
from dvc.repo import Repo

from tasks import collect_garbage
from tasks.collect_garbage import HDF5
from tasks.recorded_outputs import recorded_outputs

PIPELINE = """
stages:
  record:
    cmd: sh make.sh data/episodes/cube/recorded h5
    deps: [version]
    outs: [data/episodes/cube/recorded]
  ingest:
    cmd: sh make.sh data/datasets/cube_real parquet
    deps: [version, elsewhere/mine]
    outs: [data/datasets/cube_real]
  train_residual:
    cmd: sh make.sh data/models/residual_0 safetensors
    deps: [version]
    outs: [data/models/residual_0]
  rollout:
    cmd: sh make.sh data/rollouts/cube_corrected json
    deps: [version]
    outs: [data/rollouts/cube_corrected]
"""
SCRIPT = 'mkdir -p "$1"; echo "$1 of version $(cat version)" > "$1/file.$2"; echo same > "$1/same.$2"\n'
RECORDED, MODEL = "data/episodes/cube/recorded", "data/models/residual_0"


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    """A project with three commits; a run that was never committed lies between the first two."""
    project = tmp_path_factory.mktemp("gc") / "project"
    project.mkdir()
    git(project, "init", "-q")
    for name, value in (("user.email", "a@b.c"), ("user.name", "a"), ("gc.auto", "0")):
        git(project, "config", name, value)
    Repo.init(str(project)).close()
    (project / "dvc.yaml").write_text(PIPELINE)
    (project / "make.sh").write_text(SCRIPT)
    session = project / "data/sessions/fr3/monday"
    session.mkdir(parents=True)
    (session / "episode_000000.h5").write_bytes(HDF5 + b"a real arm moved")
    mine = project / "elsewhere/mine"
    mine.mkdir(parents=True)
    (mine / "episode.parquet").write_text("my first recording")
    with contextlib.chdir(project), Repo() as repo:
        repo.add([str(session), str(mine)])
        run(repo, "1")
        commit(project)
        run(repo, "never committed")
        (project / "data/sessions/fr3/monday.dvc").unlink()
        (mine / "episode.parquet").write_text("my second recording")
        repo.add(str(mine))
        for version in ("2", "3"):
            run(repo, version)
            commit(project)
    return project


@pytest.fixture
def project(history, tmp_path, monkeypatch):
    copy = tmp_path / "project"
    shutil.copytree(history, copy, symlinks=True)
    monkeypatch.chdir(copy)
    return copy


def git(project: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=project, check=True, capture_output=True)


def commit(project: Path) -> None:
    git(project, "add", "-A")
    git(project, "commit", "-qm", (project / "version").read_text())


def run(repo: Repo, version: str) -> None:
    Path(repo.root_dir, "version").write_text(version)
    repo.reproduce()


def objects(project: Path) -> dict[str, str]:
    """Content by path in the cache, but for lists of folders' files."""
    files = (project / ".dvc/cache/files").rglob("*")
    return {
        path.name: path.read_bytes().decode(errors="replace")
        for path in files
        if path.is_file() and path.suffix != ".dir"
    }


def versions(project: Path, path: str) -> set[str]:
    """The versions of a folder that the cache still has."""
    prefix = f"{path} of version "
    return {text.strip().removeprefix(prefix) for text in objects(project).values() if text.startswith(prefix)}


ALL = {"1", "never committed", "2", "3"}


def test_old_models_go_and_episodes_of_every_commit_and_run_stay(project, capsys):
    assert versions(project, MODEL) == versions(project, RECORDED) == ALL
    assert collect_garbage.main(["--keep-commits", "2", "--yes"]) == 0
    assert versions(project, MODEL) == {"2", "3"}
    assert versions(project, RECORDED) == versions(project, "data/rollouts/cube_corrected") == ALL
    for added in ("a real arm moved", "my first recording", "my second recording"):
        assert any(added in text for text in objects(project).values()), added
    shown = capsys.readouterr().out
    dropped, kept = shown.split("KEPT")
    assert MODEL in dropped and RECORDED not in dropped
    assert f"episodes: {RECORDED}" in kept and "episodes: data/sessions/fr3/monday" in kept
    assert "every episode was kept" in kept


def test_an_old_recording_is_checked_out_whole_after_a_collection(project):
    assert collect_garbage.main(["--keep-commits", "1", "--yes"]) == 0
    git(project, "checkout", "-q", "HEAD~2")
    with Repo(str(project)) as repo:
        repo.checkout([RECORDED, "data/sessions/fr3/monday.dvc"], force=True)
    assert (project / RECORDED / "file.h5").read_text() == f"{RECORDED} of version 1\n"
    assert (project / RECORDED / "same.h5").read_text() == "same\n"
    assert (project / "data/sessions/fr3/monday/episode_000000.h5").is_file()


@pytest.mark.parametrize("ref", ["branch", "tag", "refs/exps/ab/cdef/mine"])
def test_what_a_branch_a_tag_or_an_experiment_uses_stays(project, ref):
    command = ["update-ref", ref, "HEAD~2"] if ref.startswith("refs/") else [ref, "old", "HEAD~2"]
    git(project, *command)
    assert collect_garbage.main(["--keep-commits", "1", "--yes"]) == 0
    assert versions(project, MODEL) == {"1", "3"}


def test_a_kill_in_the_middle_loses_no_episode_and_the_next_run_goes_on(project, monkeypatch):
    remove, removed = Path.unlink, []

    def killed(path, *arguments, **options):
        removed.append(path)
        if len(removed) == 3:
            raise SystemExit("killed")
        remove(path, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", killed)
        with pytest.raises(SystemExit, match="killed"):
            collect_garbage.main(["--keep-commits", "1", "--yes"])
    assert versions(project, RECORDED) == ALL
    assert collect_garbage.main(["--keep-commits", "1", "--yes"]) == 0
    assert versions(project, RECORDED) == ALL and versions(project, MODEL) == {"3"}


def test_a_file_that_nothing_names_is_kept_if_it_is_an_episode(project):
    for name, content in (("e" * 30, HDF5 + b"an episode"), ("f" * 30, b"no episode")):
        file = project / ".dvc/cache/files/md5/00" / name
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(content)
    assert collect_garbage.main(["--yes"]) == 0
    assert "e" * 30 in objects(project) and "f" * 30 not in objects(project)


def test_a_dry_run_and_a_question_without_an_answer_drop_nothing(project, monkeypatch, capsys):
    before = objects(project)
    assert collect_garbage.main(["--keep-commits", "1", "--dry"]) == 0
    monkeypatch.setattr("builtins.input", lambda question: "n")
    assert collect_garbage.main(["--keep-commits", "1"]) == 1
    assert "Nothing was dropped" in capsys.readouterr().err
    assert objects(project) == before


def test_with_nothing_to_drop_it_says_so(project, capsys):
    assert collect_garbage.main(["--keep-commits", "1", "--yes"]) == 0
    assert collect_garbage.main(["--keep-commits", "1"]) == 0
    assert capsys.readouterr().out.endswith("Nothing to drop.\n")


def test_a_held_lock_is_refused_with_the_process_that_holds_it(project, monkeypatch, capsys):
    monkeypatch.setattr("dvc.lock.DEFAULT_TIMEOUT", 0.05)
    held = zc.lockfile.LockFile(str(project / ".dvc/tmp/lock"))
    try:
        assert collect_garbage.main(["--yes"]) == 1
    finally:
        held.close()
    message = capsys.readouterr().err
    assert "another DVC command holds" in message and "process " in message and "Traceback" not in message
    assert versions(project, MODEL) == ALL


def test_an_empty_list_of_files_is_named_with_what_helps(project, capsys):
    broken = sorted(project.glob(".dvc/cache/files/md5/*/*.dir"))[0]
    broken.chmod(0o644)
    broken.write_text("")
    assert collect_garbage.main(["--dry"]) == 1
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith(f"Stopped, no episode was touched: {broken} must list a folder's files, got 0 bytes")
    assert "delete it, then `dvc fetch`" in said and broken.exists()


def test_both_entries_of_a_stage_that_a_merge_left_twice_are_recorded(tmp_path):
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    commands = "git add dvc.lock && git -c user.name=a -c user.email=a@b.c commit --quiet -m merged"
    entry = "  record:\n    outs: [{path: data/episodes/cube, md5: %s}]\n"
    (tmp_path / "dvc.lock").write_text("stages:\n" + entry % ("a" * 32) + entry % ("b" * 32))
    subprocess.run(commands, cwd=tmp_path, shell=True, check=True)
    found = recorded_outputs(tmp_path, tmp_path / "cache")
    assert {(output.md5[0], output.episodes) for output in found} == {("a", True), ("b", True)}


def test_it_is_refused_where_it_cannot_know_what_is_in_use(project, capsys):
    running = project / ".dvc/tmp/exps/standalone/tmp1"
    running.mkdir(parents=True)
    (running / "dvc.yaml").write_text(PIPELINE)
    assert collect_garbage.main(["--yes"]) == 1
    assert "no experiment may run" in capsys.readouterr().err
    shutil.rmtree(running)
    (project / ".dvc/config").write_text(f"[cache]\n    dir = {project.parent / 'shared'}\n")
    assert collect_garbage.main(["--yes"]) == 1
    assert "other projects may use it too" in capsys.readouterr().err
    (project / ".dvc/config").write_text("")
    (project / "dvc.lock").write_text("stages: {rec")
    assert collect_garbage.main(["--yes"]) == 1
    assert "dvc.lock" in capsys.readouterr().err
    assert collect_garbage.main(["--keep-commits", "0"]) == 1
    assert "--keep-commits must be 1 or more, got 0" in capsys.readouterr().err
    assert versions(project, MODEL) == ALL
