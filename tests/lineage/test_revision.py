import subprocess

import pytest

from ocrrl.lineage.reading import revision
from ocrrl.lineage.reading.revision import Revision, git, git_refusal
from ocrrl.lineage.run_record import read_runs, recorded_run


@pytest.fixture
def dubious(at, monkeypatch):
    """git as it is in a project that belongs to another user."""
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")
    return at


def test_git_that_answers_refuses_nothing(at):
    assert git_refusal(at) == "" and git(at, "rev-parse", "HEAD")


def test_git_s_own_remedy_is_shown_where_it_refuses(dubious):
    assert git(dubious, "rev-parse", "HEAD") is None
    said = git_refusal(dubious)
    assert "dubious ownership" in said and f"git config --global --add safe.directory {dubious}" in said
    assert "\n" not in said
    with pytest.raises(ValueError, match=r"revision HEAD asks for a git repository, .* safe\.directory"):
        Revision(dubious, "HEAD")


def test_a_downloaded_archive_and_a_repository_without_a_commit_are_told_apart(tmp_path):
    assert "is in no git repository (a downloaded archive?): clone it instead, or `git init" in git_refusal(tmp_path)
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    assert "has no commit yet: `git add" in git_refusal(tmp_path)


def test_a_machine_without_git_is_said(tmp_path, monkeypatch):
    def missing(*_, **__):
        raise FileNotFoundError("git")

    monkeypatch.setattr(revision.subprocess, "run", missing)
    assert git_refusal(tmp_path) == "git is not installed: `apt-get install git`"


def test_a_run_without_a_revision_says_so_and_goes_on(tmp_path, capsys):
    with recorded_run({"command": "x"}, "x@y", tmp_path):
        pass
    assert read_runs((tmp_path / "data/runs.jsonl").read_text())[0][0].revision is None
    said = capsys.readouterr().err
    assert "this run is recorded without a git revision: " in said and "in no git repository" in said
