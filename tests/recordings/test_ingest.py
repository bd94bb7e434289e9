import json
from dataclasses import replace

import h5py
import numpy as np
import pytest

from ocrrl.datasets.frames.decoded_frames import decode_dataset
from ocrrl.datasets.sidecar import read_sidecar
from ocrrl.episodes.episode_store import image_sizes, write_episode
from ocrrl.episodes.ingested import ingested_episodes, ingested_files, sha256_of
from ocrrl.recordings.ingest import ingest
from ocrrl.recordings.ingest_config import IngestConfig
from ocrrl.tabletop.cube_lift import TASK as CUBE_LIFT
from tests.episodes.toy_episodes import assert_same_episode, contents, demonstrated, random_episode


def run(folder, out, config=None):
    paths = (out / "real", out / "normalised", out / "report.json")
    return ingest(folder, CUBE_LIFT, *paths, config or IngestConfig())


@pytest.fixture
def recordings(tmp_path):
    """Two sound episodes among bad files of every kind that a folder can hold."""
    folder = tmp_path / "recordings"
    first, second, failed, odd = demonstrated([3, 4, 5, 6])
    write_episode(folder / "a.h5", first)
    write_episode(folder / "session 2/b.hdf5", second)
    whole = (folder / "a.h5").read_bytes()
    (folder / "truncated.h5").write_bytes(whole[:2000])
    (folder / "empty.h5").touch()
    (folder / "text.h5").write_text("not HDF5")
    (folder / "folder.h5").mkdir()
    (folder / ".b.h5.partial").write_bytes(whole)
    (tmp_path / "elsewhere.h5").write_bytes(whole)
    (folder / "link.h5").symlink_to(tmp_path / "elsewhere.h5")
    (folder / "broken link.h5").symlink_to(folder / "nowhere.h5")
    write_episode(folder / "failed.h5", failed)
    with h5py.File(folder / "failed.h5", "a") as file:
        file.attrs["success"] = False
    write_episode(folder / "other cell.h5", odd)
    with h5py.File(folder / "other cell.h5", "a") as file:
        file.attrs["cell"] = "fr3"
    write_episode(folder / "other size.h5", random_episode())
    (folder / "newer.h5").write_bytes(whole)
    with h5py.File(folder / "newer.h5", "a") as file:
        file.attrs["format_version"] = 7
    return folder


REASONS = {
    "truncated.h5": "file must be a complete HDF5 file, got",
    "empty.h5": "file must be an HDF5 file, got an empty file",
    "text.h5": "file must be an HDF5 file, got something else",
    "link.h5": "path must be inside recordings, got a link to a place outside it",
    "broken link.h5": "path must be a file, got nothing that can be read",
    "failed.h5": "success must be true, got false",
    "other cell.h5": "cell must be one of twin, got fr3",
    "other size.h5": "images must be",
    "newer.h5": "format_version must be at most 1",
}


def test_the_good_are_kept_and_the_bad_refused_by_name(recordings, tmp_path):
    summary = run(recordings, tmp_path)
    assert summary.accepted == ("a.h5", "session 2/b.hdf5")
    assert set(summary.rejected) == set(REASONS)
    for source, reason in REASONS.items():
        assert summary.rejected[source].startswith(reason), source
    entries = read_sidecar(tmp_path / "real")
    assert [(e.source, e.sha256) for e in entries] == [(n, sha256_of(recordings / n)) for n in summary.accepted]
    assert len(decode_dataset(tmp_path / "real").tasks) == 2
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["counts"] == {"accepted": 2, "rejected": len(REASONS)}
    assert {entry["source"]: entry["reason"] for entry in report["rejected"]} == summary.rejected


def test_nothing_of_the_users_is_changed(recordings, tmp_path):
    before = contents(recordings)
    run(recordings, tmp_path)
    assert contents(recordings) == before and (recordings / "link.h5").is_symlink()


def test_the_exit_code_and_the_summary_say_so(recordings, tmp_path):
    summary = run(recordings, tmp_path)
    assert summary.exit_code == 1
    lines = summary.describe().splitlines()
    assert lines[0] == f"2 episodes accepted, {len(REASONS)} rejected"
    assert "  failed.h5: success must be true, got false" in lines
    assert run(recordings, tmp_path, IngestConfig(on_rejected="warn")).exit_code == 0
    for name in REASONS:
        (recordings / name).unlink()
    assert run(recordings, tmp_path).exit_code == 0


def test_the_same_recordings_give_the_same_bytes(recordings, tmp_path):
    for out in ("one", "two"):
        run(recordings, tmp_path / out)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_what_a_killed_run_left_does_no_harm(recordings, tmp_path):
    run(recordings, tmp_path / "one")
    for name in (".real.partial/data", ".normalised.partial"):
        (tmp_path / "two" / name).mkdir(parents=True)
        (tmp_path / "two" / name / "half").touch()
    run(recordings, tmp_path / "two")
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_cells_are_mixed_only_by_name(recordings, tmp_path):
    summary = run(recordings, tmp_path, IngestConfig(cells=("fr3", "twin")))
    assert summary.accepted == ("a.h5", "other cell.h5", "session 2/b.hdf5")


def test_the_report_has_notes_and_what_was_left_out_only_where_there_are_any(tmp_path):
    for k in (3, 4):
        write_episode(tmp_path / f"in/{k}.h5", demonstrated([k])[0])
    run(tmp_path / "in", tmp_path)
    report = json.loads((tmp_path / "report.json").read_text())
    assert set(report) == {"source_format", "counts", "accepted", "rejected"}
    with h5py.File(tmp_path / "in/3.h5", "a") as file:
        file.attrs["instruction"] = "take the block"
    (tmp_path / "in/run.bag").touch()
    summary = run(tmp_path / "in", tmp_path)
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["notes"] == list(summary.notes) and report["notes"][0].startswith("1 episode: instruction 'take the")
    assert report["left_out"] == [{"source": "run.bag", "reason": "a ROS bag, which ingest does not read"}]
    lines = summary.describe().splitlines()
    assert lines[1].startswith("1 episode: instruction 'take the") and lines[-2:] == [
        "1 left out",
        "  run.bag: a ROS bag, which ingest does not read",
    ]


def test_what_a_terminal_would_act_on_is_escaped(tmp_path):
    write_episode(tmp_path / "in/a.h5", demonstrated([3])[0])
    (tmp_path / "in/\x1b[31mred.h5").touch()
    (tmp_path / "in" / b"caf\xe9.h5".decode(errors="surrogateescape")).touch()
    lines = run(tmp_path / "in", tmp_path).describe().encode().decode().splitlines()
    assert any(line.startswith(r"  \x1b[31mred.h5: file must be") for line in lines)
    assert any(line.startswith(r"  caf\udce9.h5: file must be") for line in lines)


def test_replay_reads_what_was_accepted_and_notices_a_changed_file(recordings, tmp_path):
    run(recordings, tmp_path)
    args = (recordings, tmp_path / "normalised", tmp_path / "report.json")
    episodes = dict(ingested_episodes(*args))
    assert_same_episode(episodes["session 2/b.hdf5"], replace(demonstrated([3, 4])[1], images={}))
    with h5py.File(recordings / "a.h5", "a") as file:
        file.attrs["operator"] = "someone"
    with pytest.raises(ValueError, match=r"a.h5: the file must be the one that was ingested, got other contents"):
        list(ingested_episodes(*args))


def test_later_stages_read_the_images_that_ingest_made_also_of_our_own_format(tmp_path):
    episode = demonstrated([3], image_size=48)[0]
    episode.images = {"front": episode.images["front"], "side": episode.images["wrist"]}
    write_episode(tmp_path / "in/day/a.h5", episode)
    write_episode(tmp_path / "in/b.h5", demonstrated([4], image_size=16)[0])
    still, paths = (
        IngestConfig(still_cameras=("front",)),
        [tmp_path / name for name in ("real", "normalised", "report.json")],
    )
    ingest(tmp_path / "in", CUBE_LIFT, *paths, still, cameras={"front": (16, 16)})
    files = dict(ingested_files(tmp_path / "in", *paths[1:]))
    assert {source: image_sizes(path) for source, path in files.items()} == {
        name: {"front": (16, 16)} for name in files
    }
    assert list(files) == ["b.h5", "day/a.h5"] and files["b.h5"].is_relative_to(tmp_path / "normalised")
    (tmp_path / "in/day/a.h5").unlink()
    run(tmp_path / "in", tmp_path)
    assert not list((tmp_path / "normalised").rglob("*.h5")), "what is as recorded is not written again"


def test_an_episode_without_poses_is_accepted_for_the_vla(tmp_path):
    episode = demonstrated([3])[0]
    episode.object_poses = episode.object_confidence = None
    write_episode(tmp_path / "in/e.h5", episode)
    assert run(tmp_path / "in", tmp_path).accepted == ("e.h5",)
    assert not read_sidecar(tmp_path / "real")[0].has_object_poses


def test_a_folder_without_a_sound_episode_is_an_error(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/e.h5").touch()
    with pytest.raises(
        ValueError, match=r"ingest must accept at least one episode of .*in, got none \(e.h5: file must"
    ):
        run(tmp_path / "in", tmp_path)
    assert json.loads((tmp_path / "report.json").read_text())["counts"] == {"accepted": 0, "rejected": 1}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "report.json"]
    with pytest.raises(FileNotFoundError, match="the folder of recordings must exist"):
        run(tmp_path / "nowhere", tmp_path)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"source_format": "rosbag"}, "source_format must be one of ocrrl, robomimic, lerobot, got 'rosbag'"),
        ({"on_rejected": "delete"}, "on_rejected must be one of fail, warn, got 'delete'"),
        ({"mapping": {"cell": "x"}}, "mapping must be empty for source_format ocrrl, got cell"),
        ({"source_format": "robomimic"}, "mapping.cell must be given"),
        (
            {"source_format": "lerobot", "mapping": {"colour": 1}},
            "mapping.colour is no parameter; the parameters are cell, images",
        ),
    ],
)
def test_a_config_out_of_range_is_refused(values, message):
    with pytest.raises(ValueError, match=message):
        IngestConfig(**values)


def test_a_zero_length_episode_is_refused(tmp_path):
    episode = random_episode()
    write_episode(tmp_path / "in/e.h5", episode)
    with h5py.File(tmp_path / "in/e.h5", "a") as file:
        for name in [name for name in file if name != "images"]:
            values = file[name][:0]
            del file[name]
            file[name] = np.asarray(values)
    with pytest.raises(ValueError, match=r"e.h5: action must be at least one step, got zero steps"):
        run(tmp_path / "in", tmp_path)
