import base64
import json
from collections import Counter

import cv2
import numpy as np
import pytest

from ocrrl.cli import main
from ocrrl.episodes.episode_store import read_episode
from ocrrl.viewers import mcap_file
from ocrrl.viewers.mcap_file import write_mcap
from tests.episodes.toy_episodes import random_episode

reader = pytest.importorskip("mcap.reader")


def messages(path):
    """Topic, schema, time and content of each message, and the metadata."""
    with path.open("rb") as file:
        found = reader.make_reader(file, validate_crcs=True)
        rows = [(c.topic, s.name, m.log_time, json.loads(m.data)) for s, c, m in found.iter_messages()]
        return rows, {record.name: record.metadata for record in found.iter_metadata()}


def by_topic(rows, topic):
    return [content for name, _, _, content in rows if name == topic]


def test_an_episode_comes_back_from_mcap_s_own_reader(tmp_path):
    episode = random_episode(steps=5)
    write_mcap(tmp_path / "e.mcap", episode, "e.h5: success after 5 steps", lossless=True)
    rows, metadata = messages(tmp_path / "e.mcap")
    assert [time for _, _, time, _ in rows] == sorted(time for _, _, time, _ in rows)
    schemas = {topic: schema for topic, schema, _, _ in rows}
    assert schemas == {
        "/cameras/front": "foxglove.CompressedImage",
        "/cameras/wrist": "foxglove.CompressedImage",
        "/tf": "foxglove.FrameTransforms",
        "/joint_states": "foxglove.JointStates",
        "/gripper": "ocrrl.Gripper",
        "/objects/cuboid": "foxglove.PoseInFrame",
        "/objects/cuboid/tracking": "ocrrl.Tracking",
        "/action": "ocrrl.Action",
        "/base_action": "ocrrl.Action",
        "/residual": "ocrrl.Action",
        "/safety": "ocrrl.SafetyVerdict",
        "/log": "foxglove.Log",
    }
    counts = Counter(topic for topic, *_ in rows)
    assert counts.pop("/log") == 2 and set(counts.values()) == {5}
    for step, content in enumerate(by_topic(rows, "/cameras/front")):
        png = np.frombuffer(base64.b64decode(content["data"]), np.uint8)
        image = cv2.cvtColor(cv2.imdecode(png, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
        np.testing.assert_array_equal(image, episode.images["front"][step])
        assert content["format"] == "png"
        assert content["timestamp"]["sec"] + content["timestamp"]["nsec"] * 1e-9 == pytest.approx(
            episode.timestamps[step]
        )
    joints = [[joint["position"] for joint in content["joints"]] for content in by_topic(rows, "/joint_states")]
    np.testing.assert_array_equal(joints, episode.joint_positions)
    action = [
        [content[name] for name in ("dx", "dy", "dz", "drx", "dry", "drz", "gripper")]
        for content in by_topic(rows, "/action")
    ]
    np.testing.assert_array_equal(action, episode.action)
    pose = by_topic(rows, "/objects/cuboid")[3]["pose"]
    w, x, y, z = episode.object_poses[3, 0, 3:]
    assert pose["orientation"] == {"w": w, "x": x, "y": y, "z": z}
    assert by_topic(rows, "/log")[-1]["message"] == "e.h5: success after 5 steps"
    assert metadata["episode"]["cell"] == "twin" and json.loads(metadata["episode"]["object_names"]) == ["cuboid"]


def test_every_message_has_the_fields_that_its_schema_requires(tmp_path):
    jsonschema = pytest.importorskip("jsonschema")
    write_mcap(tmp_path / "e.mcap", random_episode(steps=2), "done")
    with (tmp_path / "e.mcap").open("rb") as file:
        for schema, _, message in reader.make_reader(file).iter_messages():
            jsonschema.validate(json.loads(message.data), json.loads(schema.data))


def test_the_same_episode_gives_the_same_bytes_and_a_lost_pose_no_message(tmp_path):
    episode = random_episode(steps=3)
    episode.object_poses[1] = np.nan
    for name in ("a", "b"):
        write_mcap(tmp_path / f"{name}.mcap", episode, "done")
    assert (tmp_path / "a.mcap").read_bytes() == (tmp_path / "b.mcap").read_bytes()
    rows, _ = messages(tmp_path / "a.mcap")
    assert len(by_topic(rows, "/objects/cuboid")) == 2 and len(by_topic(rows, "/objects/cuboid/tracking")) == 3
    assert [len(content["transforms"]) for content in by_topic(rows, "/tf")] == [3, 2, 3]


def test_a_session_becomes_a_folder_of_files_and_one_that_is_broken_is_named(session, tmp_path, capsys):
    (session / "base/failures/episode_000000.h5").write_bytes(b"cut")
    assert main(["export", str(session), "--format", "mcap", "--out", str(tmp_path / "out")]) == 1
    said = capsys.readouterr()
    assert "4 of 5 episodes" in said.out and said.err.startswith("base/failures/episode_000000.h5: file must be")
    written = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.mcap"))
    assert written == [
        "base/failures/episode_000003.mcap",
        "residual/successes/episode_000001.mcap",
        "residual/successes/episode_000002.mcap",
        "residual/unfinished/episode_000004.mcap",
    ]
    rows, _ = messages(tmp_path / "out" / written[0])
    episode = read_episode(session / "base/failures/episode_000003.h5")
    assert len(by_topic(rows, "/action")) == len(episode)
    assert by_topic(rows, "/log")[-1]["message"].endswith("ended early: camera front: device lost")


def test_one_episode_becomes_one_file(session, tmp_path, capsys):
    source = str(session / "residual/successes/episode_000001.h5")
    assert main(["export", source, "--format", "mcap", "--out", str(tmp_path / "e.mcap")]) == 0
    assert messages(tmp_path / "e.mcap")[0]
    for words, said in (
        ([source, "--out", str(tmp_path / "e.mcap")], "must not exist yet"),
        ([source, "--out", str(tmp_path / "e.bag")], "--out must end in .mcap"),
        ([source, "--out", str(tmp_path / "x.mcap"), "--gr00t"], "--gr00t must be left out with --format mcap"),
        ([str(tmp_path / "nowhere"), "--out", str(tmp_path / "x")], "must be a session's folder, got nothing there"),
    ):
        assert main(["export", *words, "--format", "mcap"]) == 1
        error = capsys.readouterr().err
        assert said in error and error.count("\n") == 1


def test_what_breaks_off_leaves_no_file(tmp_path, monkeypatch):
    monkeypatch.setattr(mcap_file, "_image", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_mcap(tmp_path / "e.mcap", random_episode(steps=2), "done")
    assert list(tmp_path.iterdir()) == []
