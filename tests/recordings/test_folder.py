import os
import socket

import pytest

from ocrrl.recordings.folder import look_through


@pytest.fixture
def folder(tmp_path):
    """A folder with one of everything."""
    root = tmp_path / "recordings"
    for name in ("a.h5", "b/EPISODE_3.H5", "b/c.hdf5", ".hidden.h5", "..x.h5", ".e.h5.partial", "readme.md", "n.npz"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    for name in ("run.bag", "run.mcap", "all.tar.gz", "set.zip", "odd.xyz", "lerobot/meta/info.json", ".gitignore"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    for name in ("empty", "store.zarr/0", ".cache/x", ".old", "lerobot/data/chunk-000", "half/meta", "half/data"):
        (root / name).mkdir(parents=True)
    os.mkfifo(root / "pipe.h5")
    os.mkfifo(root / "file-000.mp4")
    (tmp_path / "elsewhere").mkdir()
    (root / "link").symlink_to(tmp_path / "elsewhere")
    (root / "inner").symlink_to(root / "b")
    (root / "gone").symlink_to(root / "nowhere")
    return root


def names(folder, paths):
    return [path.relative_to(folder).as_posix() for path in paths]


def test_hdf5_files_are_found_in_order_whatever_the_case_of_their_suffix(folder):
    found = look_through(folder, lerobot=False)
    assert names(folder, found.recordings) == ["a.h5", "b/EPISODE_3.H5", "b/c.hdf5", "pipe.h5"]
    assert names(folder, found.others) == ["half", "lerobot"]


def test_datasets_are_found_where_those_are_asked_for(folder):
    found = look_through(folder, lerobot=True)
    assert names(folder, found.recordings) == ["half", "lerobot"]  # reading the first says what it lacks
    assert found.left_out["a.h5"] == "an HDF5 file, which source_format ocrrl or robomimic reads"


def test_everything_else_has_a_reason_but_papers(folder):
    found = look_through(folder, lerobot=False)
    assert found.left_out == {
        "..x.h5": "hidden: its name begins with a point",
        ".hidden.h5": "hidden: its name begins with a point",
        ".old": "hidden: its name begins with a point",
        ".e.h5.partial": "an unfinished recording: its name begins with a point",
        "n.npz": "arrays of NumPy, which ingest does not read",
        "run.bag": "a ROS bag, which ingest does not read",
        "run.mcap": "a log of MCAP, which ingest does not read",
        "all.tar.gz": "an archive, which ingest does not read",
        "set.zip": "an archive, which ingest does not read",
        "store.zarr": "a Zarr store, which ingest does not read",
        "odd.xyz": "no recording: ingest reads .h5, .hdf5 and LeRobotDatasets",
        "empty": "an empty folder",
        "gone": "nothing that can be read",
        "file-000.mp4": "a pipe, socket or device",
        "lerobot": "a LeRobotDataset, which source_format lerobot reads",
        "half": "a LeRobotDataset, which source_format lerobot reads",
    }


def test_what_may_hold_recordings_and_cannot_be_looked_at_is_refused(folder, monkeypatch):
    scandir = os.scandir

    def refusing(path):
        if str(path).endswith("/b"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    found = look_through(folder, lerobot=False)
    assert found.refused == {
        "b": "path must be a folder that can be read, got Permission denied",
        "link": "path must be a folder in recordings itself, got a link to a place outside it; links to folders are not followed",
        "inner": "path must be a folder in recordings itself, got a link; links to folders are not followed",
    }


def test_a_socket_and_a_folder_that_is_not_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a socket's path is short
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("s.mp4")
        assert look_through(tmp_path, lerobot=False).left_out == {"s.mp4": "a pipe, socket or device"}
    with pytest.raises(FileNotFoundError, match="the folder of recordings must exist"):
        look_through(tmp_path / "nowhere", lerobot=False)
