import numpy as np
import pytest

from ocrrl.episodes.episode_recorder import EpisodeRecorder
from ocrrl.episodes.episode_store import episode_paths, read_episode
from ocrrl.episodes.validation import read_valid_episode
from ocrrl.rollouts.record import RecordConfig, record_episodes
from tests.episodes.toy_environment import ToyDemonstrator, ToyEnvironment
from tests.episodes.toy_episodes import contents


def record(out, config, clumsy=(), num_envs=3, seeds=range(100)):
    environment = ToyEnvironment(num_envs, "twin")
    return record_episodes(environment, ToyDemonstrator(environment, clumsy), out, list(seeds), config)


def test_successes_are_recorded_and_attempts_counted(tmp_path):
    summary = record(tmp_path, RecordConfig(episodes=5, max_attempts=10), clumsy=(1, 4))
    assert (summary.written, summary.attempts, summary.successes) == (5, 7, 5)
    episodes = [read_episode(path) for path in episode_paths(tmp_path)]
    assert [episode.attributes.seed for episode in episodes] == [0, 2, 3, 5, 6]
    assert [path.name for path in episode_paths(tmp_path)] == [f"episode_{k:06d}.h5" for k in range(5)]
    for path in episode_paths(tmp_path):
        read_valid_episode(path, tmp_path)


def test_an_episode_holds_what_was_seen_before_each_action(tmp_path):
    record(tmp_path, RecordConfig(episodes=1, max_attempts=1))
    episode = read_episode(tmp_path / "episode_000000.h5")
    np.testing.assert_allclose(
        episode.gripper_pose[1:, :3], episode.gripper_pose[:-1, :3] + episode.action[:-1, :3], atol=1e-12
    )
    assert episode.attributes.cell == "twin" and episode.attributes.success


def test_recording_again_gives_the_same_bytes_however_many_environments(tmp_path):
    for name, num_envs in (("a", 2), ("b", 5)):
        record(tmp_path / name, RecordConfig(episodes=4, max_attempts=8), clumsy=(2,), num_envs=num_envs)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_failures_are_kept_on_request_and_end_at_the_horizon(tmp_path):
    record(tmp_path, RecordConfig(episodes=1, max_attempts=1, keep_failures=True), clumsy=(0,))
    episode = read_episode(tmp_path / "episode_000000.h5")
    assert not episode.attributes.success and len(episode) == ToyEnvironment.tabletop_task.horizon


def test_too_many_failures_are_an_error(tmp_path):
    with pytest.raises(RuntimeError, match=r"record must reach 2 episodes within 3 attempts, got 1"):
        record(tmp_path, RecordConfig(episodes=2, max_attempts=3), clumsy=(0, 2))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"episodes": 0}, "episodes must be at least 1, got 0"),
        ({"episodes": 9, "max_attempts": 8}, r"max_attempts must be at least episodes \(9\), got 8"),
        ({"operator": ""}, "operator must be a name, got ''"),
    ],
)
def test_a_config_out_of_range_is_refused(values, message):
    with pytest.raises(ValueError, match=message):
        RecordConfig(**values)


def test_environments_are_recorded_apart():
    environment = ToyEnvironment(2)
    environment.reset(np.arange(2), [0, 1])
    recorder = EpisodeRecorder(2)
    for ids in ([0, 1], [1]):
        ids = np.array(ids)
        action = np.tile([0.01, 0, 0, 0, 0, 0, 1.0], (len(ids), 1)) * (1 + ids[:, None])
        recorder.append(ids, environment.capture(ids), environment.observe().take(ids), action, action, 0 * action)
        environment.step(action, ids)
    assert (recorder.length(0), recorder.length(1)) == (1, 2)
    attributes = ToyEnvironment.tabletop_task
    with pytest.raises(ValueError, match="environment 0 must hold at least one recorded step"):
        recorder.begin([0])
        recorder.finish(0, attributes)
    episode = recorder.finish(1, attributes)
    np.testing.assert_array_equal(episode.action[:, 0], [0.02, 0.02])
    np.testing.assert_array_equal(episode.base_action, episode.action)
