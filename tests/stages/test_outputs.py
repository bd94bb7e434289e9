"""A place that cannot be written is said before a stage begins its work."""

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ocrrl.cli import main
from ocrrl.error_line import disk_is_full
from ocrrl.stages.outputs import SPARE, prepared
from tests.pipeline_copy import ROOT


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


OUT = Path("data/models/round0/vla_sim")


def test_a_file_where_the_folder_should_be_is_named(folder):
    Path("data").write_text("")
    told = r"finetune writes to data/models/round0 when .* got: Not a directory; mount"
    with pytest.raises(RuntimeError, match=told), prepared("finetune", [OUT]):
        raise AssertionError("nothing may begin")


READ_ONLY = """
import sys
from pathlib import Path
from ocrrl.stages.outputs import prepared
try:
    with prepared("finetune", [Path(sys.argv[1])]):
        print("begun")
except RuntimeError as error:
    print(error)
"""


@pytest.mark.parametrize("how", ["-o remount,ro,bind data", "-o ro -t tmpfs tmpfs data"])
def test_a_read_only_disk_is_named(folder, how):
    unshare = shutil.which("unshare")
    Path("data").mkdir()
    mount = f"mount --bind data data && mount {how}" if "bind" in how else f"mount {how}"
    if unshare is None or subprocess.run([unshare, "-m", "sh", "-c", mount], capture_output=True).returncode:
        pytest.skip("a read-only file system must be mounted for this, which this user or container may not")
    (folder / "script.py").write_text(READ_ONLY)
    command = [unshare, "-m", "sh", "-c", f"{mount} && {sys.executable} script.py {OUT}"]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert "finetune writes to data/models/round0 when its work is done" in done.stdout, done.stderr
    assert "got: Read-only file system" in done.stdout and "begun" not in done.stdout


def disk_with(free, monkeypatch):
    disk = os.statvfs(".")
    blocks = free // disk.f_frsize
    fake = os.statvfs_result([*list(disk)[:3], blocks, blocks, *list(disk)[5:]])
    monkeypatch.setattr(os, "statvfs", lambda place: fake)


def test_the_new_one_must_fit_beside_the_old_one(monkeypatch):
    OUT.mkdir(parents=True)
    (OUT / "weights").write_bytes(b"0" * 5_000_000)
    disk_with(SPARE + 4_000_000, monkeypatch)
    told = r"finetune, beside what it replaces, needs 25 MB on the disk of data/models/round0, 2\d MB are free"
    with pytest.raises(OSError, match=told) as full, prepared("finetune", [OUT]):
        raise AssertionError("nothing may begin")
    assert full.value.errno == errno.ENOSPC and (OUT / "weights").is_file()
    disk_with(SPARE + 6_000_000, monkeypatch)
    with prepared("finetune", [OUT]):
        pass


def test_what_a_kill_left_is_put_right_first_and_what_an_error_left_is_removed():
    old = OUT.with_name(f".{OUT.name}.replaced")
    old.mkdir(parents=True)
    read = Path("data/datasets/round0")
    read.with_name(".round0.incoming").mkdir(parents=True)
    with pytest.raises(ValueError, match="broken"), prepared("finetune", [OUT], reads=[read]):
        assert OUT.is_dir() and not old.exists() and read.is_dir()
        OUT.with_name(f".{OUT.name}.partial").mkdir()
        raise ValueError("broken")
    assert [path.name for path in OUT.parent.iterdir()] == [OUT.name]


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "data/out"),
        OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)),
        OSError("[Errno 28] Unable to flush (file write failed: errno = 28, No space left on device)"),  # h5py
        type("SafetensorError", (Exception,), {})("Error while serializing: I/O error: No space left on device"),
        RuntimeError("a process beside this one: [Errno 28] No space left on device"),
    ],
)
def test_every_library_s_full_disk_is_one_line_with_the_next_step(monkeypatch, capsys, error):
    def full(options):
        raise error

    monkeypatch.setattr("ocrrl.cli._run", full)
    assert disk_is_full(error) and main(["doctor"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("ocrrl doctor: no space left on the disk (") and "make gc" in said and said.count("\n") == 1


def test_a_place_that_this_user_may_not_use_is_one_line(monkeypatch, capsys):
    def refused(options):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), "data/models/vla")

    monkeypatch.setattr("ocrrl.cli._run", refused)
    assert main(["doctor"]) == 1
    assert "data/models/vla must be open to user id" in capsys.readouterr().err


def test_a_full_disk_is_named_by_its_folder_and_nothing_of_the_trial_stays(monkeypatch):
    def full(path: Path, data: bytes) -> int:
        path.touch()  # a name still fits where no byte does
        raise OSError(errno.ENOSPC, "No space left on device")

    Path(".work").mkdir()
    monkeypatch.setattr(Path, "write_bytes", full)
    with (
        pytest.raises(OSError, match=r"No space left on device, finetune writes to it: '\.work'") as error,
        prepared("finetune", [OUT]),
    ):
        raise AssertionError("nothing may begin")
    assert error.value.errno == errno.ENOSPC
    assert not list(Path(".work").iterdir())
