"""Rollouts of later rounds: what is trained on of a hybrid one, of one with labels, of a failed one."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from ocrrl.config_builder import build, values_of
from ocrrl.datasets.frames.decoded_frames import decode_dataset, join_datasets
from ocrrl.datasets.sidecar import WHOLE_CHUNK, chunk_steps, frame_weights, read_sidecar
from ocrrl.episodes.episode_checks import EpisodeRejected
from ocrrl.episodes.episode_store import part_files, read_episode, write_episode
from ocrrl.interface.actions import compose
from ocrrl.layout import Layout
from ocrrl.policies.chunk_batches import ChunkSampler
from ocrrl.policies.finetune import FinetuneConfig, finetune
from ocrrl.policies.training_data import TrainingData
from ocrrl.recordings.training_set import FLAG, TrainingSetConfig, build_training_set
from ocrrl.report.stage_pages import training_set as training_set_page
from ocrrl.tabletop.cube_lift import TASK as CUBE_LIFT
from tests.episodes.toy_episodes import demonstrated

CONFIG = FinetuneConfig(
    policy={"type": "compact_vla", "hidden": 32, "chunk_size": 4}, steps=1, batch_size=4, language="hash"
)


@pytest.fixture
def folder(tmp_path):
    """A demonstration; a hybrid rollout, handed over at row 3; one with labels, and a failed one, each in its folder."""
    demonstration, hybrid, labelled, failed = demonstrated([3, 4, 5, 6])
    residual = np.tile([0.002, 0, 0, 0, 0, 0, 0], (len(labelled), 1))
    labelled = replace(labelled, label=compose(labelled.action, residual), attributes=_failed(labelled))
    for name, episode in (
        ("d.h5", demonstration),
        ("rollouts/h.h5", replace(hybrid, handed_over=(np.arange(len(hybrid)) >= 3).astype(float))),
        ("rollouts/labelled/l.h5", labelled),
        ("rollouts/failures/f.h5", replace(failed, attributes=_failed(failed))),
    ):
        write_episode(tmp_path / name, episode)
    return tmp_path


def _failed(episode):
    return replace(episode.attributes, success=False)


def made(folder, config=None, labelled=True, failures=False, name="set"):
    rollouts = folder / "rollouts"
    build_training_set(
        [("d.h5", folder / "d.h5")],
        part_files(rollouts, "r"),
        folder / name,
        CUBE_LIFT,
        config or TrainingSetConfig(),
        labelled=part_files(rollouts, "r", "labelled") if labelled else (),
        failures=part_files(rollouts, "r", "failures") if failures else (),
    )
    return folder / name


def test_the_parts_of_a_folder_of_rollouts_are_told_apart(folder):
    rollouts = folder / "rollouts"
    assert part_files(rollouts, "r") == [("r/h.h5", rollouts / "h.h5")]
    assert part_files(rollouts, "r", "labelled") == [("r/labelled/l.h5", rollouts / "labelled/l.h5")]
    assert part_files(rollouts, "r", "none") == []


def test_the_base_s_own_steps_before_a_handover_do_not_count_and_labels_count_for_a_few_steps(folder):
    root = made(folder, TrainingSetConfig(recovery_weight=3.0, label_weight=0.5, label_steps=2))
    demonstration, hybrid, labelled = read_sidecar(root)
    assert hybrid.recoveries == ((3, hybrid.length),) and hybrid.interventions == ()
    assert (labelled.success, labelled.label_steps, labelled.label_weight) == (False, 2, 0.5)
    weights = np.split(frame_weights(root), np.cumsum([demonstration.length, hybrid.length]))
    assert weights[0].tolist() == [1.0] * demonstration.length
    assert weights[1].tolist() == [0.0] * 3 + [3.0] * (hybrid.length - 3)
    assert weights[2].tolist() == [0.5] * labelled.length
    steps = chunk_steps(root)
    assert steps.tolist() == [WHOLE_CHUNK] * (demonstration.length + hybrid.length) + [2] * labelled.length


def test_labels_stand_in_the_place_of_the_applied_actions(folder):
    data, episode = decode_dataset(made(folder)), read_episode(folder / "rollouts/labelled/l.h5")
    np.testing.assert_array_equal(data.action[data.rows_of(2)], episode.label.astype(np.float32))
    assert np.abs(data.action[data.rows_of(2), 0] - episode.action[:, 0]).max() > 1e-3


def test_a_chunk_ends_where_its_labels_count_no_more(folder):
    data = TrainingData(made(folder, TrainingSetConfig(label_steps=2))).decode()
    batch = ChunkSampler(data, 4, 512, 0, seed=0).batch(0)
    of_labels = batch.is_pad[batch.episode == 2]
    assert len(of_labels) and of_labels[:, 2:].all() and not of_labels[:, 0].any()
    assert not batch.is_pad[batch.episode == 0][:, 2:].all()


def test_what_counts_of_chunks_goes_with_the_frames_when_datasets_are_joined_or_chosen_from(folder):
    labelled, plain = (
        TrainingData(made(folder)).decode(),
        TrainingData(made(folder, labelled=False, name="plain")).decode(),
    )
    assert plain.chunk_steps is None and join_datasets([plain, plain]).chunk_steps is None
    joined = join_datasets([plain, labelled]).chunk_steps
    np.testing.assert_array_equal(joined, [*[WHOLE_CHUNK] * len(plain.action), *labelled.chunk_steps])
    chosen = TrainingData(folder / "set", ["r/labelled/l.h5"]).decode()
    assert (chosen.chunk_steps == 4).all() and len(chosen.chunk_steps) == len(chosen.action)


def test_a_failed_rollout_bears_another_instruction(folder):
    data = decode_dataset(made(folder, failures=True))
    assert data.tasks == (CUBE_LIFT.instruction,) * 3 + (CUBE_LIFT.instruction + FLAG,)
    assert [entry.success for entry in read_sidecar(folder / "set")] == [True, True, False, False]


def test_episodes_in_the_wrong_place_are_refused(folder):
    (folder / "rollouts/h.h5").rename(folder / "rollouts/labelled/h.h5")
    with pytest.raises(
        EpisodeRejected, match=r"labelled/h.h5: label must be there in an episode of `rollout.labelled`"
    ):
        made(folder)
    (folder / "rollouts/labelled/h.h5").rename(folder / "rollouts/failures/h.h5")
    with pytest.raises(EpisodeRejected, match=r"failures/h.h5: success must be false, got true"):
        made(folder, failures=True)


def test_a_label_or_a_mark_that_is_none_is_refused_by_name(folder):
    path = folder / "rollouts/labelled/l.h5"
    episode = read_episode(path)
    write_episode(path, replace(episode, label=episode.label + 1.0))
    with pytest.raises(EpisodeRejected, match="label must be within the translation step limit of"):
        made(folder)
    write_episode(path, replace(episode, handed_over=np.full(len(episode), 0.5)))
    with pytest.raises(EpisodeRejected, match="handed_over must be 0 or 1"):
        made(folder)


def test_a_set_without_them_has_the_bytes_that_it_had(folder):
    for name, config in (("plain", None), ("weighted", TrainingSetConfig(recovery_weight=2.0, label_weight=3.0))):
        build_training_set([("d.h5", folder / "d.h5")], [], folder / name, CUBE_LIFT, config or TrainingSetConfig())
    plain, weighted = (
        {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}
        for root in (folder / "plain", folder / "weighted")
    )
    assert plain == weighted and frame_weights(folder / "plain") is None and chunk_steps(folder / "plain") is None
    written = (folder / "plain/sidecar/episodes.json").read_text()
    assert "recover" not in written and "label" not in written


def test_a_vla_is_trained_on_all_of_them_and_lerobot_train_on_none(folder):
    root = made(folder, failures=True)
    finetune([TrainingData(root)], folder / "vla", folder / "work", CONFIG, progress=False)
    assert (folder / "vla/training.json").is_file()
    config = FinetuneConfig(policy={"type": "act"}, steps=1, batch_size=1, trainer="lerobot", device="cpu")
    with pytest.raises(
        ValueError, match="trainer must be ocrrl for a training set with interventions, recoveries or labels"
    ):
        finetune([TrainingData(root)], folder / "other", folder / "work", config, folder / "act", progress=False)


def test_the_parameters_are_written_only_where_they_are_given_and_name_what_is_wrong():
    shared = {"cells": [], "demonstrations": "replayed", "max_rollouts": None}
    assert values_of(build(TrainingSetConfig, shared, "training_set.shared")) == shared | {"cells": ()}
    for wrong, message in (
        ({"recovery_weight": 0}, r"recovery_weight must be in \(0, 100\], got 0"),
        ({"label_steps": 0}, "label_steps must be at least 1, got 0"),
        ({"failures": "kept"}, "failures must be one of left_out, flagged, got 'kept'"),
    ):
        with pytest.raises(ValueError, match=message):
            build(TrainingSetConfig, shared | wrong, "training_set.shared")


def test_the_page_of_the_stage_counts_them_apart(folder, monkeypatch):
    monkeypatch.chdir(folder)
    layout = Layout("cube_lift")
    for name in ("retrained", "base_rollouts"):
        shutil.copytree(made(folder, name=f"set-{name}"), layout.training_set(name))
    (table,) = training_set_page(layout, "").blocks
    corrected = "rollouts of base + residual"
    assert {row[1] for row in table.rows} == {"demonstrations", f"{corrected}, handed over", f"{corrected}, labelled"}
