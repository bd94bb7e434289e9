"""Episodes that somebody stepped into: what is trained on, how often, and what is said of it."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from ocrrl.config_builder import build, values_of
from ocrrl.datasets.frames.decoded_frames import decode_dataset, join_datasets
from ocrrl.datasets.sidecar import frame_weights, read_sidecar
from ocrrl.episodes.episode_checks import EpisodeRejected
from ocrrl.episodes.episode_store import write_episode
from ocrrl.layout import Layout
from ocrrl.policies.chunk_batches import ChunkSampler
from ocrrl.policies.finetune import FinetuneConfig, finetune
from ocrrl.policies.training_data import TrainingData
from ocrrl.recordings.training_set import TrainingSetConfig, build_training_set
from ocrrl.report.build_report import retrained_blocks
from ocrrl.report.inputs import Measured, MeasuredTask
from ocrrl.report.interventions import interventions_table
from ocrrl.report.stage_pages import training_set as training_set_page
from ocrrl.rollouts.episode_outcome import EpisodeOutcome
from ocrrl.rollouts.evaluate_retrained import VariantsEvaluation, write_retrained_evaluation
from ocrrl.tabletop.cube_lift import TASK as CUBE_LIFT
from tests.episodes.toy_episodes import demonstrated

CONFIG = FinetuneConfig(
    policy={"type": "compact_vla", "hidden": 32, "chunk_size": 4}, steps=1, batch_size=4, language="hash"
)


def stepped_into(episode, *spans):
    marks = np.zeros(len(episode))
    for first, stop in spans:
        marks[first:stop] = 1
    return replace(episode, intervention=marks, base_action=episode.action, residual=np.zeros((len(episode), 7)))


@pytest.fixture
def files(tmp_path):
    """A demonstration, and a rollout that somebody stepped into twice."""
    demonstration, rollout = demonstrated([3, 4])
    for name, episode in (("d.h5", demonstration), ("r.h5", stepped_into(rollout, (2, 5), (7, 9)))):
        write_episode(tmp_path / name, episode)
    return [(name, tmp_path / name) for name in ("d.h5", "r.h5")]


@pytest.fixture
def dataset(files, tmp_path):
    config = TrainingSetConfig(intervention_weight=3.0)
    build_training_set(files[:1], files[1:], tmp_path / "set", CUBE_LIFT, config)
    return tmp_path / "set"


def test_what_a_person_did_counts_by_its_weight_and_the_policy_s_own_steps_not_at_all(dataset):
    demonstration, rollout = read_sidecar(dataset)
    assert (demonstration.interventions, rollout.interventions) == ((), ((2, 5), (7, 9)))
    weights = frame_weights(dataset)
    assert weights[: demonstration.length].tolist() == [1.0] * demonstration.length
    assert weights[demonstration.length :].tolist() == [0, 0, 3, 3, 3, 0, 0, 3, 3] + [0.0] * (rollout.length - 9)


def test_a_set_without_interventions_has_the_bytes_that_it_had(files, tmp_path):
    for name, config in (("plain", TrainingSetConfig()), ("weighted", TrainingSetConfig(intervention_weight=3.0))):
        build_training_set(files[:1], [], tmp_path / name, CUBE_LIFT, config)
    plain, weighted = (
        {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}
        for root in (tmp_path / "plain", tmp_path / "weighted")
    )
    assert plain == weighted and frame_weights(tmp_path / "plain") is None
    assert "intervention" not in (tmp_path / "plain/sidecar/episodes.json").read_text()


def test_batches_hold_what_the_person_did_and_chunks_end_where_they_let_go(dataset):
    data = decode_dataset(dataset)
    data = replace(
        data, state=np.tile(np.arange(len(data.action), dtype=np.float32)[:, None], 8), weight=frame_weights(dataset)
    )
    first = int((data.episode_index == 0).sum())
    batches = [ChunkSampler(data, 4, 64, 0, seed=0).batch(step) for step in range(20)]
    drawn = np.concatenate([batch.state[:, 0].astype(int) for batch in batches])
    assert set(drawn) <= {*range(first), *(first + k for k in (2, 3, 4, 7, 8))}
    share = np.mean(drawn >= first)
    np.testing.assert_allclose(share, 5 * 3 / (5 * 3 + first), atol=0.05)
    padded = {int(f) - first: p.tolist() for b in batches for f, p in zip(b.state[:, 0], b.is_pad, strict=True)}
    assert padded[2] == [False, False, False, True] and padded[4] == [False, True, True, False], (
        "frames 5 and 6 are the policy's"
    )


def test_weights_go_with_their_frames_when_datasets_are_joined(dataset):
    plain, weighted = decode_dataset(dataset), TrainingData(dataset).decode()
    assert join_datasets([plain, plain]).weight is None
    joined = join_datasets([plain, weighted]).weight
    np.testing.assert_array_equal(joined, [*np.ones(len(plain.action)), *weighted.weight])
    chosen = TrainingData(dataset, ["d.h5"])
    assert (chosen.decode().weight == 1).all() and chosen.interventions() == []


def test_the_vla_s_record_its_evaluation_and_the_report_say_when_somebody_stepped_in(dataset, tmp_path):
    finetune([TrainingData(dataset)], tmp_path / "vla", tmp_path / "work", CONFIG, progress=False)
    (entry,) = json.loads((tmp_path / "vla/training.json").read_text())["interventions"]
    assert (entry["source"], entry["cell"], entry["interventions"]) == ("r.h5", "twin", [[2, 5], [7, 9]])
    evaluation = VariantsEvaluation("cube_lift", "twin", {"retrained": [EpisodeOutcome(1, True, 9, 0.0)]})
    metrics = tmp_path / "metrics.json"
    assert write_retrained_evaluation(metrics, "cube_lift", 0, [evaluation], tmp_path / "vla")["interventions"] == [
        entry
    ]
    assert "interventions" not in write_retrained_evaluation(metrics, "cube_lift", 0, [evaluation], tmp_path / "none")
    table = interventions_table([entry])
    assert table.rows[0][0] == "r.h5" and table.rows[0][2:5] == ("twin (simulated)", "0.1 to 0.2 s, 0.3 to 0.5 s", "2")
    assert table.rows[-1][0] == "all 1" and table.rows[-1][3] == "first at 0.1 s (median)"
    measured = Measured(0, [MeasuredTask("cube_lift")], interventions=[entry])
    assert table in retrained_blocks(measured) and table not in retrained_blocks(replace(measured, interventions=[]))
    many = interventions_table([entry] * 30)
    assert len(many.rows) == 21 and many.rows[-1][4] == "60" and "The first 20 episodes are listed" in many.note


def test_the_page_of_the_stage_shows_them_too(dataset, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    layout = Layout("cube_lift")
    for name in ("retrained", "base_rollouts"):
        shutil.copytree(dataset, layout.training_set(name))
    page = training_set_page(layout, "")
    assert page.headline.endswith("a person stepped into 2 of them")
    assert [block.title for block in page.blocks] == ["", "Where a person stepped in"]


def test_lerobot_train_knows_no_weights_and_says_so(dataset, tmp_path):
    config = FinetuneConfig(policy={"type": "act"}, steps=1, batch_size=1, trainer="lerobot", device="cpu")
    with pytest.raises(
        ValueError, match=r"trainer must be ocrrl for a training set with interventions, .* got lerobot; leave out"
    ):
        finetune([TrainingData(dataset)], tmp_path / "vla", tmp_path / "work", config, tmp_path / "act", progress=False)


def test_a_mark_that_is_none_is_refused_by_name(files, tmp_path):
    (episode,) = demonstrated([5])
    write_episode(tmp_path / "half.h5", replace(episode, intervention=np.full(len(episode), 0.5)))
    with pytest.raises(EpisodeRejected, match=r"half.h5: intervention must be 0 or 1, got another number"):
        build_training_set(
            files[:1], [("half.h5", tmp_path / "half.h5")], tmp_path / "set", CUBE_LIFT, TrainingSetConfig()
        )
    for weight in (0.0, -1.0, 1000.0):
        with pytest.raises(ValueError, match=r"intervention_weight must be in \(0, 100\], got"):
            TrainingSetConfig(intervention_weight=weight)


def test_the_weight_is_written_and_asked_for_only_where_it_is_given():
    shared = {"cells": [], "demonstrations": "replayed", "max_rollouts": None}
    assert values_of(build(TrainingSetConfig, shared, "training_set.shared")) == shared | {"cells": ()}
    config = build(TrainingSetConfig, shared | {"intervention_weight": 2}, "training_set.shared")
    assert values_of(config)["intervention_weight"] == 2.0
