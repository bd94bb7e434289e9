"""What a flow run's parameters and name say is data: no option of git, no path of its own."""

import subprocess

import pytest

from tasks.remote_stage import CloneDiffers, check_out, head
from tasks.run_stage import file_name


@pytest.fixture
def clone(tmp_path):
    for command in (
        ("init", "--quiet"),
        ("-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "x", "--allow-empty"),
    ):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    return tmp_path


@pytest.mark.parametrize(
    "revision", ["", "HEAD", "main", "--orphan=x", "-b", "--upload-pack=touch ran", "a" * 39, "A" * 40, "a" * 40 + "\n"]
)
def test_a_revision_that_is_no_commit_s_hash_never_reaches_git(clone, revision):
    with pytest.raises(CloneDiffers, match="revision must be a git commit, 40 hexadecimal digits"):
        check_out(clone, revision)


def test_the_commit_that_is_there_is_checked_out(clone):
    check_out(clone, head(clone))
    with pytest.raises(CloneDiffers, match="must be there or in its git remote"):
        check_out(clone, "0" * 40)


@pytest.mark.parametrize(
    "text", ["../../escape", "/etc/passwd", "..", ".", "", "a/../../b", "a\nb", "x" * 500, "\x1b[2J"]
)
def test_a_flow_run_s_name_is_one_part_of_a_path(text):
    name = file_name(text)
    assert 1 <= len(name) <= 120 and "/" not in name and not name.startswith(".") and name.isprintable()
    assert file_name("train_residual@cube_lift-0") == "train_residual@cube_lift-0"
