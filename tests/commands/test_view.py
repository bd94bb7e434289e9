import pytest

from ocrrl.commands.view import view_recording
from ocrrl.episodes.episode_store import write_episode
from tests.episodes.toy_episodes import demonstrated
from tests.recordings.test_check_folder import write_robomimic

pytest.importorskip("rerun")


def test_recordings_of_any_format_are_written_for_rerun(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for k, episode in enumerate(demonstrated([3, 4])):
        write_episode(tmp_path / f"own/e{k}.h5", episode)
    write_robomimic(tmp_path / "foreign/lift.hdf5")
    shown = [
        (tmp_path / "own/e0.h5", None),
        (tmp_path / "own", "e1.h5"),
        (tmp_path / "foreign/lift.hdf5", None),
        (tmp_path / "foreign", "demo_1"),
        (tmp_path / "foreign", "1"),
    ]
    for k, (path, episode) in enumerate(shown):
        view_recording(path, episode, tmp_path / f"{k}.rrd")
        assert (tmp_path / f"{k}.rrd").stat().st_size > 10_000


def test_a_recording_that_is_not_there_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_robomimic(tmp_path / "foreign/lift.hdf5")
    with pytest.raises(ValueError, match=r"foreign must hold episode 7, got no such recording"):
        view_recording(tmp_path / "foreign", "7", tmp_path / "a.rrd")
    with pytest.raises(FileNotFoundError, match="the recording must exist"):
        view_recording(tmp_path / "nowhere.h5")
