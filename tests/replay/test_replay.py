import json
from dataclasses import replace

import numpy as np
import pytest

from ocrrl.datasets.frames.decoded_frames import decode_dataset
from ocrrl.datasets.sidecar import read_sidecar
from ocrrl.datasets.transitions import read_replay_transitions, write_replay_transitions
from ocrrl.interface import rotations
from ocrrl.replay.recording import followed_actions, initial_object_poses, shifted_poses
from ocrrl.replay.replay import ReplayConfig, replay_episodes
from ocrrl.replay.replay_quality import slip
from tests.episodes.toy_environment import ToyEnvironment
from tests.episodes.toy_episodes import contents, demonstrated, random_episode

SEEDS = [3, 4, 5, 6]


def replay(episodes, folder, config=None, num_envs=3):
    names = [(f"e{k}.h5", episode) for k, episode in enumerate(episodes)]
    paths = (folder / "sim", folder / "transitions.zarr", folder / "accepted.json", folder / "report.json")
    return replay_episodes(names, ToyEnvironment(num_envs), *paths, config or ReplayConfig())


@pytest.fixture(scope="module")
def replayed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("replay")
    episodes = demonstrated(SEEDS)
    episodes[1].action[:, 6] = 1.0  # never closes: its replay fails
    episodes[2].object_poses = episodes[2].object_confidence = None
    return replay(episodes, folder), folder, episodes


def test_what_fails_is_dropped_by_name_and_counted(replayed):
    summary, folder, _ = replayed
    assert summary.kept == ("e0.h5", "e3.h5")
    assert summary.dropped["e1.h5"] == "replay must end in success, got failure"
    assert summary.dropped["e2.h5"].startswith("must hold object poses to be replayed, got none")
    report = json.loads((folder / "report.json").read_text())
    assert report["counts"] == {"episodes": 4, "replayed": 3, "successes": 2, "kept": 2, "dropped": 2}
    assert json.loads((folder / "accepted.json").read_text()) == ["e0.h5", "e3.h5"]
    assert [entry["source"] for entry in report["dropped"]] == [
        "e1.h5",
        "e2.h5",
    ]
    assert report["quality"][0]["gripper_error_max"] < 1e-9 and report["quality"][0]["slip"] < 1e-9


def test_the_sim_dataset_pairs_the_same_actions(replayed):
    _, folder, episodes = replayed
    dataset = decode_dataset(folder / "sim")
    assert [(entry.source, entry.cell) for entry in read_sidecar(folder / "sim")] == [
        ("e0.h5", "sim"),
        ("e3.h5", "sim"),
    ]
    np.testing.assert_array_equal(dataset.action[dataset.rows_of(1)], episodes[3].action.astype(np.float32))


def test_transitions_hold_the_state_after_the_last_action(replayed):
    _, folder, episodes = replayed
    first = read_replay_transitions(folder / "transitions.zarr")[0]
    steps = len(first.action)
    assert first.source == "e0.h5" and first.observation.gripper_pose.shape == (steps + 1, 7)
    assert first.images["front"].shape[:1] == first.reward.shape == first.success.shape == (steps,)
    np.testing.assert_array_equal(first.action[: len(episodes[0])], episodes[0].action)
    assert first.success.sum() == 1 and first.success[-1] and first.reward[-1] > 0
    np.testing.assert_allclose(
        first.observation.gripper_pose[-1, :3],
        first.observation.gripper_pose[-2, :3] + first.action[-1, :3],
    )


def test_transitions_read_back_as_written_in_the_same_bytes(replayed, tmp_path):
    _, folder, _ = replayed
    episodes = read_replay_transitions(folder / "transitions.zarr")
    write_replay_transitions(tmp_path / "again.zarr", episodes)
    assert contents(tmp_path / "again.zarr") == contents(folder / "transitions.zarr")
    with pytest.raises(ValueError, match=r"again.zarr must hold at least one episode, got none"):
        write_replay_transitions(tmp_path / "again.zarr", [])


def test_an_episode_that_ended_early_is_held_until_success_counts(tmp_path):
    episode = demonstrated([3])[0]
    rows = len(episode) - 6  # before the lift had lasted
    short = replace(
        episode,
        images={camera: frames[:rows] for camera, frames in episode.images.items()},
        **{name: value[:rows] for name, value in vars(episode).items() if isinstance(value, np.ndarray)},
    )
    assert replay([short], tmp_path).kept == ("e0.h5",)
    assert len(decode_dataset(tmp_path / "sim").action) == rows
    held = read_replay_transitions(tmp_path / "transitions.zarr")[0].action[rows:]
    assert len(held) and not held[:, :6].any() and (held[:, 6] == short.action[-1, 6]).all()


def test_replay_is_the_same_however_many_environments(tmp_path):
    for name, num_envs in (("a", 1), ("b", 4)):
        replay(demonstrated(SEEDS[:3]), tmp_path / name, num_envs=num_envs)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_nothing_kept_is_an_error_and_the_report_says_why(tmp_path):
    episode = demonstrated([3])[0]
    episode.object_poses = episode.object_confidence = None
    with pytest.raises(ValueError, match=r"replay must keep at least one episode, got none of 1 \(e0.h5: must"):
        replay([episode], tmp_path)
    assert json.loads((tmp_path / "report.json").read_text())["counts"]["dropped"] == 1


def test_a_replay_that_strays_is_dropped(tmp_path):
    episodes = demonstrated([3, 4])
    episodes[1].gripper_pose = episodes[1].gripper_pose + np.array([0.05, 0, 0, 0, 0, 0, 0])
    assert replay(episodes, tmp_path).dropped == {"e1.h5": "median gripper error must be at most 0.03 m, got 0.0500"}


def test_the_initial_pose_is_the_median_of_the_first_confident_ones():
    episode = random_episode(steps=30)
    episode.object_confidence[:] = 1.0
    episode.object_confidence[0] = 0.0
    episode.object_poses[:, 0, :3] = [0.5, 0.0, 0.02]
    episode.object_poses[0, 0, :3] = episode.object_poses[3, 0, :3] = 9.0  # a lost pose, an outlier
    episode.object_poses[2, 0, 3:] *= -1  # the same rotation
    np.testing.assert_allclose(initial_object_poses(episode), [[0.5, 0.0, 0.02, 0, 1, 0, 0]])


def test_slip_is_measured_in_the_grippers_frame_while_lifted():
    gripper = np.tile([0.5, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0], (6, 1))
    gripper[:, 2] = [0, 0, 0.02, 0.04, 0.06, 0.06]
    objects = np.tile([0.5, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0], (6, 1, 1))
    objects[:, 0, 2] = [0, 0, 0.02, 0.04, 0.055, 0.055]
    closed = np.ones(6, bool)
    assert slip(gripper, objects, closed) == pytest.approx(0.005)
    assert slip(gripper, np.zeros_like(objects), closed) is None
    assert slip(gripper, objects, ~closed) is None, "what was let go does not slip"


def test_a_config_out_of_range_is_refused():
    with pytest.raises(ValueError, match="max_slip must be above 0 m, got 0"):
        ReplayConfig(max_slip=0)


def test_a_replay_bears_the_marks_of_who_acted(tmp_path):
    (episode,) = demonstrated([3])
    marked = replace(episode, handed_over=(np.arange(len(episode)) >= 4).astype(float))
    replay([episode, marked], tmp_path, num_envs=2)
    first, second = read_sidecar(tmp_path / "sim")
    assert (first.recoveries, second.recoveries) == ((), ((4, second.length),))


def test_a_replay_that_fails_is_tried_again_from_poses_within_the_tracker_s_errors(tmp_path):
    good, off = demonstrated([3, 4])
    off.object_poses[..., 0] += 0.035  # the tracker's error: the fingers close beside the object
    config = ReplayConfig(tries=9, position_error=0.02, max_object_error=0.1)
    once = replay([good, off], tmp_path, replace(config, tries=1))
    assert once.kept == ("e0.h5",) and once.dropped["e1.h5"] == "replay must end in success, got failure"
    assert "tries" not in (tmp_path / "report.json").read_text()
    again = replay([good, off], tmp_path, config)
    report = (tmp_path / "report.json").read_text()
    assert again.kept == ("e0.h5", "e1.h5") and json.loads(report)["tries"]["e0.h5"] == 1
    assert 1 < json.loads(report)["tries"]["e1.h5"] <= 9
    assert replay([good, off], tmp_path, config, num_envs=1) == again, "whatever is replayed beside it"
    assert (tmp_path / "report.json").read_text() == report
    hopeless = replay([good, off], tmp_path, replace(config, position_error=0.001))
    assert hopeless.kept == ("e0.h5",)


def test_shifted_poses_stay_on_the_table_and_within_the_errors():
    poses = initial_object_poses(demonstrated([3])[0])
    config = ReplayConfig(tries=2)
    errors = (config.position_error, config.heading_error)
    drawn = [shifted_poses(poses, *errors, np.random.default_rng(seed))[0] for seed in range(50)]
    offsets = np.abs(np.stack(drawn)[:, :3] - poses[0, :3])
    assert offsets[:, 2].max() == 0 and 0.003 < offsets[:, :2].max() <= config.position_error
    turns = [rotations.turn_between(poses[0, 3:], pose[3:]) for pose in drawn]
    assert 0.05 < np.abs(turns).max() <= config.heading_error + 1e-9 and np.abs(turns)[:, :2].max() < 1e-9
    with pytest.raises(ValueError, match=r"position_error must be in \[0, 0.05\], got 4"):
        ReplayConfig(position_error=4)


def test_where_the_leash_held_the_command_back_a_replay_may_follow_the_command():
    episode = random_episode(12)
    episode.commanded_pose[6:, 0] -= 0.004  # 4 mm less than the action of row 5 asked for
    assert followed_actions(episode, "actions") is episode.action
    followed = followed_actions(episode, "commands")
    held_back = np.flatnonzero((followed != episode.action).any(axis=-1))
    assert held_back.tolist() == [5] and followed[5, 6] == episode.action[5, 6]
    np.testing.assert_allclose(episode.action[5, 0] - followed[5, 0], 0.004)
    with pytest.raises(ValueError, match="follow must be one of actions, commands, got 'poses'"):
        ReplayConfig(follow="poses")


def test_a_sound_recording_s_commands_are_its_actions():
    (episode,) = demonstrated([3])
    np.testing.assert_array_equal(followed_actions(episode, "commands"), episode.action)


def test_labelled_episodes_are_in_the_dataset_with_their_labels_succeed_or_fail_and_are_no_transitions(tmp_path):
    good, failing = demonstrated([3, 4])
    failing.action[:, 6] = 1.0  # never closes
    label = failing.action * 0.5
    labelled = [("l.h5", replace(failing, label=label, attributes=replace(failing.attributes, success=False)))]
    paths = (tmp_path / "sim", tmp_path / "transitions.zarr", tmp_path / "accepted.json", tmp_path / "report.json")
    far = ReplayConfig(max_object_error=1.0)  # the toy's recording did close
    summary = replay_episodes([("e0.h5", good)], ToyEnvironment(2), *paths, far, labelled=labelled)
    assert summary.kept == ("e0.h5",) and json.loads(paths[2].read_text()) == ["e0.h5"]
    assert [entry.label_steps for entry in read_sidecar(paths[0])] == [0, 4]
    dataset = decode_dataset(paths[0])
    rows = dataset.rows_of(1)
    np.testing.assert_array_equal(dataset.action[rows], label.astype(np.float32))
    assert [replayed.source for replayed in read_replay_transitions(paths[1])] == ["e0.h5"]
    report = json.loads(paths[3].read_text())
    assert report["labelled"] == {"episodes": 1, "kept": 1} and report["counts"]["episodes"] == 1
