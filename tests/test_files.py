import errno
import json
import os
import shutil
import tempfile
from pathlib import Path

import pytest

from ocrrl import files


def test_json_has_null_for_what_is_no_number_and_the_same_bytes_for_the_same_content(tmp_path):
    files.write_json(tmp_path / "a.json", {"b": float("nan"), "a": (1, float("inf"))})
    files.write_json(tmp_path / "b.json", {"a": [1, None], "b": None})
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": [1, None], "b": None}
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_a_write_that_fails_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.json"
    files.write_json(path, {"a": 1})
    with pytest.raises(TypeError):
        files.write_json(path, {"a": object()})
    assert json.loads(path.read_text()) == {"a": 1}


def test_publishing_replaces_a_folder_whole(tmp_path):
    work, out = tmp_path / "work", tmp_path / "deep" / "out"
    for content in ("old", "new"):
        files.fresh_folder(work)
        (work / content).write_text(content)
        files.publish(work, out)
    assert [path.name for path in out.iterdir()] == ["new"] and not work.exists()


def test_a_file_that_does_not_fit_leaves_the_old_one_and_no_part(tmp_path, monkeypatch):
    files.write_bytes(tmp_path / "a", b"old")

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"No space left on device: '.*/a'"):
        files.write_bytes(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"old" and len(list(tmp_path.iterdir())) == 1


FOLDER = {"a/model": "weights", "config.json": "{}"}


def write_folder(folder, version):
    for name, content in FOLDER.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content + version)
    (folder / "link").symlink_to("a/model")


def version_of(folder):
    """Which version `folder` is, whole; None where it is not there."""
    if not folder.exists():
        return None
    found = {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}
    (version,) = {text.removeprefix(FOLDER.get(name, FOLDER["a/model"])) for name, text in found.items()}
    assert found == {name: content + version for name, content in FOLDER.items()} | {"link": "weights" + version}
    assert (folder / "link").is_symlink()
    return version


def across_file_systems(monkeypatch):
    """Makes every rename from another parent folder fail as between two file systems."""
    rename = Path.rename

    def refused(self, target):
        if self.parent != Path(target).parent:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), str(self), None, str(target))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refused)


@pytest.fixture
def quick(monkeypatch):
    """Nobody cuts the power: what is written need not have reached the disk."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture
def elsewhere(tmp_path):
    """A folder on another file system."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK) or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("/dev/shm is not another file system than the one of temporary files here")
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        yield Path(folder)


def test_publishing_goes_across_file_systems(tmp_path, elsewhere):
    for out in (elsewhere / "deep" / "out", tmp_path / "link" / "out"):
        if not out.parent.exists() and out.is_relative_to(tmp_path):
            out.parent.symlink_to(elsewhere)
        for version in ("old", "new"):
            write_folder(tmp_path / "work", version)
            files.publish(tmp_path / "work", out)
            assert version_of(out) == version and not (tmp_path / "work").exists()
        assert [path.name for path in out.parent.iterdir() if path.name.startswith(".")] == []


def test_a_file_is_published_across_file_systems(tmp_path, elsewhere):
    for version in ("old", "new"):
        (tmp_path / "work").write_text(version)
        files.publish(tmp_path / "work", elsewhere / "out")
        assert (elsewhere / "out").read_text() == version
    assert [path.name for path in elsewhere.iterdir()] == ["out"]


def test_a_link_in_the_place_is_replaced_and_its_target_kept(tmp_path):
    write_folder(tmp_path / "mine", "old")
    (tmp_path / "out").symlink_to("mine")
    write_folder(tmp_path / "work", "new")
    files.publish(tmp_path / "work", tmp_path / "out")
    assert version_of(tmp_path / "out") == "new" and not (tmp_path / "out").is_symlink()
    assert version_of(tmp_path / "mine") == "old"


def killed_at(step, work, out):
    """Run `publish` in a process that is killed before its change number `step` of the disk; False if it came to the end."""
    process = os.fork()
    if process == 0:
        left = step

        def counted(change):
            def changed(*arguments, **named):
                nonlocal left
                if left == 0:
                    os._exit(9)
                left -= 1
                return change(*arguments, **named)

            return changed

        for owner, name in (
            *((Path, change) for change in ("rename", "unlink", "mkdir")),
            *((os, change) for change in ("unlink", "rmdir")),  # of shutil.rmtree
            (shutil, "copy2"),
        ):
            setattr(owner, name, counted(getattr(owner, name)))
        try:
            files.publish(work, out)
        except BaseException:
            os._exit(1)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    assert code in (0, 9)
    return code == 9


@pytest.mark.parametrize("across", [False, True])
def test_a_kill_at_any_moment_leaves_the_old_one_or_the_new_one_whole(tmp_path, monkeypatch, quick, across):
    if across:
        across_file_systems(monkeypatch)
    steps, seen, killed = 0, set(), True
    while killed:
        work, out = tmp_path / f"work{steps}" / "out", tmp_path / f"data{steps}" / "out"
        write_folder(work, "new")
        write_folder(out, "old")
        killed = killed_at(steps, work, out)
        under_its_name = version_of(out)
        seen.add(under_its_name)
        files.settle(out)
        assert version_of(out) in ({"old", "new"} if under_its_name is None else {under_its_name, "new"})
        assert version_of(out) == "new" or version_of(work) == "new", "what was finished is somewhere"
        assert [path.name for path in out.parent.iterdir()] == ["out"], "no leftover"
        steps += 1
    assert seen >= {"old", "new"} and steps > 10


def test_where_nothing_was_a_kill_leaves_nothing_or_the_whole(tmp_path, monkeypatch, quick):
    across_file_systems(monkeypatch)
    steps, killed = 0, True
    while killed:
        work, out = tmp_path / f"work{steps}" / "out", tmp_path / f"data{steps}" / "out"
        write_folder(work, "new")
        killed = killed_at(steps, work, out)
        assert version_of(out) in (None, "new")
        assert version_of(out) == "new" or (out.with_name(".out.incoming").exists() or version_of(work) == "new")
        steps += 1


def test_a_copy_that_finds_no_room_costs_neither_the_old_one_nor_the_new_one(tmp_path, monkeypatch):
    across_file_systems(monkeypatch)
    work, out = tmp_path / "work" / "out", tmp_path / "data" / "out"
    write_folder(work, "new")
    write_folder(out, "old")
    copies = iter([None, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))])
    copy = shutil.copy2

    def full(*arguments, **named):
        if error := next(copies):
            raise error
        return copy(*arguments, **named)

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "copy2", full)
        with pytest.raises(OSError, match="No space left on device"):
            files.publish(work, out)
    with monkeypatch.context() as patched:
        disk = os.statvfs(tmp_path)
        small = os.statvfs_result([disk.f_bsize, 1, disk.f_blocks, 20, 20, *list(disk)[5:]])
        patched.setattr(os, "statvfs", lambda path: small)
        with pytest.raises(OSError, match=r"the copy of .*work/out .* needs 0 MB on the disk of .*, 0 MB are free"):
            files.publish(work, out)
    assert version_of(out) == "old" and version_of(work) == "new" and len(list(out.parent.iterdir())) == 1
    files.publish(work, out)
    assert version_of(out) == "new"


def test_what_was_removed_in_part_is_never_put_back(tmp_path):
    write_folder(tmp_path / "out", "new")
    (tmp_path / ".out.removed" / "a").mkdir(parents=True)
    shutil.rmtree(tmp_path / "out")  # by hand, or by DVC before it runs the stage again
    files.settle(tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_room_is_asked_for_where_the_folder_will_be(tmp_path):
    files.require_room(tmp_path / "not" / "there", 1000, "a model")
    with pytest.raises(
        OSError, match=r"a model needs 1000000000000 MB on the disk of .*there, \d+ MB are free"
    ) as full:
        files.require_room(tmp_path / "not" / "there", 10**18, "a model")
    assert full.value.errno == errno.ENOSPC


def test_a_fingerprint_follows_contents_names_and_values(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a").write_text("1")
    first = files.fingerprint(folder, 3)
    assert files.fingerprint(folder, 3) == first
    assert files.fingerprint(folder, 4) != first
    (folder / "a").write_text("2")
    second = files.fingerprint(folder, 3)
    (folder / "a").rename(folder / "b")
    assert len({first, second, files.fingerprint(folder, 3)}) == 3
