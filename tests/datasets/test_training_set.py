from dataclasses import replace

import pytest

from ocrrl.datasets.decoded_frames import decode_dataset
from ocrrl.datasets.episode_checks import EpisodeRejected
from ocrrl.datasets.episode_store import write_episode
from ocrrl.datasets.sidecar import read_sidecar
from ocrrl.datasets.training_set import TrainingSetConfig, build_training_set, episode_files
from ocrrl.tabletop.cube_lift import TASK as CUBE_LIFT
from tests.datasets.toy_episodes import demonstrated


@pytest.fixture
def files(tmp_path):
    """Two demonstrations and three rollouts, the last one failed."""
    episodes = demonstrated([3, 4, 5, 6, 7])
    episodes[4].attributes = replace(episodes[4].attributes, success=False)
    names = ("demonstrations/e0.h5", "demonstrations/e1.h5", "rollouts/e0.h5", "rollouts/e1.h5", "rollouts/e2.h5")
    for name, episode in zip(names, episodes, strict=True):
        write_episode(tmp_path / name, episode)
    return [(name, tmp_path / name) for name in names]


def test_demonstrations_and_rollouts_are_told_apart(files, tmp_path):
    summary = build_training_set(files[:2], files[2:4], tmp_path / "set", CUBE_LIFT, TrainingSetConfig())
    assert (summary.demonstrations, summary.rollouts, summary.cells) == (2, 2, ("twin",))
    entries = read_sidecar(tmp_path / "set")
    assert [entry.kind for entry in entries] == ["demonstration"] * 2 + ["rollout"] * 2
    assert [entry.source for entry in entries] == [source for source, _ in files[:4]]
    assert all(entry.sha256 for entry in entries)
    assert len(decode_dataset(tmp_path / "set").tasks) == 4


def test_as_many_base_rollouts_as_asked_for(files, tmp_path):
    config = TrainingSetConfig(max_rollouts=1)
    summary = build_training_set(files[:2], files[2:4][::-1], tmp_path / "set", CUBE_LIFT, config, "base_rollout")
    assert summary.rollouts == 1
    assert (read_sidecar(tmp_path / "set")[2].source, read_sidecar(tmp_path / "set")[2].kind) == (
        "rollouts/e0.h5",
        "base_rollout",
    )


def test_a_failed_episode_is_refused(files, tmp_path):
    with pytest.raises(EpisodeRejected, match=r"rollouts/e2.h5: success must be true, got false"):
        build_training_set(files[:2], files[2:], tmp_path / "set", CUBE_LIFT, TrainingSetConfig())
    assert not (tmp_path / "set").exists()
    assert episode_files(tmp_path / "rollouts", "rollouts") == files[2:]


def test_cells_are_never_mixed_unless_named(files, tmp_path):
    write_episode(tmp_path / "fr3.h5", demonstrated([8], cell="fr3")[0])
    mixed = [files[2], ("fr3.h5", tmp_path / "fr3.h5")]
    with pytest.raises(ValueError, match=r"cells must name the cells that may be mixed \(fr3, twin\), got none"):
        build_training_set(files[:2], mixed, tmp_path / "set", CUBE_LIFT, TrainingSetConfig())
    with pytest.raises(ValueError, match=r"cells must cover every episode's, got twin for fr3"):
        build_training_set([], mixed, tmp_path / "set", CUBE_LIFT, TrainingSetConfig(cells=("twin",)))
    config = TrainingSetConfig(cells=("twin", "fr3"))
    assert build_training_set(files[:2], mixed, tmp_path / "set", CUBE_LIFT, config).cells == ("fr3", "twin")


def test_a_source_given_twice_is_refused(files, tmp_path):
    with pytest.raises(ValueError, match=r"source names must be different, got demonstrations/e0.h5 more than once"):
        build_training_set(files[:2], files[:1], tmp_path / "set", CUBE_LIFT, TrainingSetConfig())


def test_a_config_out_of_range_is_refused():
    with pytest.raises(ValueError, match="max_rollouts must be at least 0 or null, got -1"):
        TrainingSetConfig(max_rollouts=-1)
    with pytest.raises(ValueError, match="cells must be different names, got twin, twin"):
        TrainingSetConfig(cells=("twin", "twin"))
