import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ocrrl.datasets.frames.decoded_frames import decode_dataset, join_datasets
from ocrrl.interface.observations import RobotState
from ocrrl.policies import training_data
from ocrrl.policies.checkpoint import load_policy, load_vla
from ocrrl.policies.chunk_delay import ChunkDelay
from ocrrl.policies.compact_learner import CompactLearner
from ocrrl.policies.finetune import FinetuneConfig, finetune, one_cycle
from ocrrl.policies.latency_file import write_latency
from ocrrl.policies.training_data import TrainingData
from ocrrl.policies.training_state import require_converging
from tests.policies.lerobot_dots import write_dots
from tests.policies.synthetic import INSTRUCTION, dot_dataset, dot_frames

QUICK = FinetuneConfig(
    policy={"type": "compact_vla", "hidden": 32}, steps=4, batch_size=8, language="hash", checkpoint_every=2
)


TRUE_LOSS = CompactLearner.loss


class Killed(Exception):
    """Stands for the end of the process."""


@pytest.fixture
def dots(monkeypatch):
    """Any dataset root is the synthetic dots."""
    monkeypatch.setattr(training_data, "decode_dataset", lambda root, cache: dot_dataset(cameras=("front", "wrist")))
    return Path("dots")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_a_vla_learns_to_point_at_the_dot(monkeypatch, tmp_path):
    monkeypatch.setattr(training_data, "decode_dataset", lambda root, cache: dot_dataset(episodes=20, length=20))
    config = FinetuneConfig(
        policy={"type": "compact_vla", "chunk_size": 1}, steps=250, batch_size=32, image_shift=0, language="hash"
    )
    finetune([TrainingData(Path("dots"))], tmp_path / "vla", tmp_path / "work", config, progress=False)
    images, offsets = dot_frames(np.random.default_rng(99), 64)
    chunk = load_vla(tmp_path / "vla").predict_chunk(
        {"front": images}, RobotState.at_rest(np.zeros((64, 8), np.float32)), INSTRUCTION
    )
    error = np.abs(chunk[:, 0, :2] - 0.02 * offsets).mean()
    assert error < 0.0015, f"mean error {1e3 * error:.2f} mm of steps up to 16 mm"
    assert np.allclose(chunk[:, 0, 6], 1.0, atol=0.02)
    losses = [point["loss"] for point in json.loads((tmp_path / "vla/training.json").read_text())["loss"]]
    assert losses[-1] < 0.3 * losses[0]


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not(dots, tmp_path):
    for name, config in (("one", QUICK), ("two", QUICK), ("other", FinetuneConfig(**vars(QUICK) | {"seed": 1}))):
        finetune([TrainingData(dots)], tmp_path / name, tmp_path / "work", config, progress=False)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert contents(tmp_path / "one")["model.safetensors"] != contents(tmp_path / "other")["model.safetensors"]


def test_two_steps_and_a_resume_to_four_equal_four_steps(dots, tmp_path, monkeypatch):
    finetune([TrainingData(dots)], tmp_path / "unbroken", tmp_path / "work", QUICK, progress=False)
    kill_after(monkeypatch, 3)
    with pytest.raises(Killed):
        finetune([TrainingData(dots)], tmp_path / "resumed", tmp_path / "work", QUICK, progress=False)
    assert not (tmp_path / "resumed").exists() and (tmp_path / "work/state.safetensors").exists()
    steps = kill_after(monkeypatch, 99)
    finetune([TrainingData(dots)], tmp_path / "resumed", tmp_path / "work", QUICK, progress=False)
    assert len(steps) == 2
    assert contents(tmp_path / "resumed") == contents(tmp_path / "unbroken")
    assert not (tmp_path / "work").exists()


def test_the_state_of_another_run_is_not_resumed(dots, tmp_path, monkeypatch):
    kill_after(monkeypatch, 3)
    with pytest.raises(Killed):
        finetune([TrainingData(dots)], tmp_path / "vla", tmp_path / "work", QUICK, progress=False)
    steps = kill_after(monkeypatch, 99)
    finetune(
        [TrainingData(dots)],
        tmp_path / "vla",
        tmp_path / "work",
        FinetuneConfig(**vars(QUICK) | {"learning_rate": 1e-4}),
        progress=False,
    )
    assert len(steps) == 4


def kill_after(monkeypatch, count: int) -> list[int]:
    """Let training be interrupted in step `count`; returns a list that grows by one each step."""
    steps = []

    def counted(self, batch):
        if len(steps) == count - 1:
            raise Killed
        steps.append(len(steps))
        return TRUE_LOSS(self, batch)

    monkeypatch.setattr(CompactLearner, "loss", counted)
    return steps


def test_retraining_starts_from_the_checkpoint_and_keeps_its_statistics(dots, tmp_path, monkeypatch):
    finetune([TrainingData(dots)], tmp_path / "first", tmp_path / "work", QUICK, progress=False)
    again = dot_dataset(cameras=("front", "wrist"), seed=5)
    again.action *= 0.5
    monkeypatch.setattr(training_data, "decode_dataset", lambda root, cache: again)
    gentle = FinetuneConfig(**vars(QUICK) | {"steps": 1, "learning_rate": 1e-9})
    finetune(
        [TrainingData(dots)],
        tmp_path / "second",
        tmp_path / "work",
        gentle,
        init_from=tmp_path / "first",
        progress=False,
    )
    statistics = "policy_preprocessor_step_4_normalizer_processor.safetensors"
    assert (tmp_path / "first" / statistics).read_bytes() == (tmp_path / "second" / statistics).read_bytes()
    images, _ = dot_frames(np.random.default_rng(0), 2)
    inputs = ({"front": images, "wrist": images}, RobotState.at_rest(np.zeros((2, 8), np.float32)), INSTRUCTION)
    before, after = (load_vla(tmp_path / name).predict_chunk(*inputs) for name in ("first", "second"))
    assert np.allclose(before, after, atol=1e-6)


def test_only_the_named_episodes_are_trained_on(dots, tmp_path, monkeypatch):
    asked = []

    def select(data, root, sources):
        asked.append(list(sources))
        return dot_dataset(episodes=2, cameras=("front", "wrist"))

    monkeypatch.setattr(training_data, "select_episodes", select)
    finetune([TrainingData(dots, ["a.hdf5", "b.hdf5"])], tmp_path / "vla", tmp_path / "work", QUICK, progress=False)
    record = json.loads((tmp_path / "vla/training.json").read_text())
    assert asked == [["a.hdf5", "b.hdf5"]]
    assert record["episode_names"] == ["a.hdf5", "b.hdf5"] and record["episodes"] == 2 and record["frames"] == 40


def test_several_datasets_are_trained_on_as_one(tmp_path, monkeypatch):
    parts = {"dots": dot_dataset(episodes=2), "more": replace(dot_dataset(episodes=3), tasks=("find the dot",) * 3)}
    monkeypatch.setattr(training_data, "decode_dataset", lambda root, cache: parts[root.name])
    both = [TrainingData(Path("dots")), TrainingData(Path("more"))]
    finetune(both, tmp_path / "vla", tmp_path / "work", QUICK, progress=False)
    record = json.loads((tmp_path / "vla/training.json").read_text())
    assert record["episodes"] == 5 and record["frames"] == sum(len(part.action) for part in parts.values())
    assert record["instructions"] == sorted({INSTRUCTION, "find the dot"})
    assert load_vla(tmp_path / "vla").encoder.known.keys() == {INSTRUCTION, "find the dot"}


def test_joined_datasets_keep_every_frame_with_its_episode_and_instruction():
    first, second = dot_dataset(episodes=2), replace(dot_dataset(episodes=3), tasks=("a", "b", "c"))
    joined = join_datasets([first, second])
    assert joined.tasks == (*first.tasks, "a", "b", "c")
    np.testing.assert_array_equal(joined.action[joined.rows_of(3)], second.action[second.rows_of(1)])
    np.testing.assert_array_equal(joined.images["front"][joined.rows_of(0)], first.images["front"][first.rows_of(0)])


def test_datasets_of_other_cameras_are_not_joined():
    with pytest.raises(ValueError, match="datasets must agree in cameras, image sizes and frames per second"):
        join_datasets([dot_dataset(), dot_dataset(cameras=("front", "wrist"))])


def test_a_dataset_of_another_robot_is_refused(tmp_path, monkeypatch):
    data = dot_dataset()
    data.state = data.state[:, :6]
    monkeypatch.setattr(training_data, "decode_dataset", lambda root, cache: data)
    with pytest.raises(ValueError, match=r"dots: observation\.state must have 8 numbers a frame, got 6"):
        finetune([TrainingData(Path("dots"))], tmp_path / "vla", tmp_path / "work", QUICK, progress=False)


def test_a_checkpoint_whose_camera_the_dataset_lacks_is_refused(dots, tmp_path, monkeypatch):
    finetune([TrainingData(dots)], tmp_path / "first", tmp_path / "work", QUICK, progress=False)
    monkeypatch.setattr(training_data, "decode_dataset", lambda root, cache: dot_dataset(cameras=("front",)))
    with pytest.raises(
        ValueError,
        match=r"must have images of front 32 x 32, wrist 32 x 32, as .*first takes them, got front 32 x 32: `dvc",
    ):
        finetune(
            [TrainingData(dots)],
            tmp_path / "vla",
            tmp_path / "work",
            QUICK,
            init_from=tmp_path / "first",
            progress=False,
        )


def test_the_learning_rate_rises_for_a_tenth_and_falls_to_nothing():
    rates = [one_cycle(step, 100) for step in range(100)]
    assert max(rates) == rates[10] == 1.0
    assert rates[0] < 0.05 and rates[-1] < 0.001
    assert rates[:11] == sorted(rates[:11]) and rates[10:] == sorted(rates[10:], reverse=True)
    assert 0.0 < one_cycle(0, 1) <= 1.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"policy": {}}, "policy must be a mapping with a type"),
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"learning_rate": 0.0}, r"learning_rate must be in \(0, 1\], got 0.0"),
        ({"image_shift": -1}, "image_shift must be at least 0, got -1"),
        ({"language": "latin"}, "language must be one of auto, sentence, hash, got 'latin'"),
    ],
)
def test_an_impossible_setting_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        FinetuneConfig(**change)


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ({"type": "compact_vla", "layers": 3}, r"policy of type compact_vla must set only chunk_size, .*, got layers"),
        ({"type": "compact_vla", "channels": "wide"}, r"policy\.channels must be a whole number, got 'wide'"),
        (
            {"type": "compact_vla", "hidden": 0},
            r"policy\.compact_vla\.hidden must be a whole number from 1 to 8192, got 0",
        ),
        ({"type": 3}, r"policy must be a mapping with a type, which is text, got \{'type': 3\}"),
        ({"channels": 32}, r"policy must be a mapping with a type"),
    ],
)
def test_a_policy_section_that_makes_no_vla_is_refused_by_its_field(policy, message):
    with pytest.raises(ValueError, match=message):
        FinetuneConfig(policy=policy)


def test_sizes_of_the_default_vla_that_are_written_as_text_are_numbers():
    config = FinetuneConfig(policy={"type": "compact_vla", "channels": "3.2e1", "n_action_steps": 8})
    assert config.policy == {"type": "compact_vla", "channels": 32, "n_action_steps": 8}


@pytest.mark.gpu
def test_a_gpu_trains_the_same_bytes_twice_and_what_the_cpu_trains(dots, tmp_path, monkeypatch):
    for name, device in (("one", "cuda"), ("two", "cuda"), ("cpu", "cpu")):
        finetune(
            [TrainingData(dots)], tmp_path / name, tmp_path / "work", replace(QUICK, device=device), progress=False
        )
    kill_after(monkeypatch, 3)
    with pytest.raises(Killed):
        finetune([TrainingData(dots)], tmp_path / "resumed", tmp_path / "work", replace(QUICK, device="cuda"))
    kill_after(monkeypatch, 99)
    finetune([TrainingData(dots)], tmp_path / "resumed", tmp_path / "work", replace(QUICK, device="cuda"))
    assert contents(tmp_path / "one") == contents(tmp_path / "two") == contents(tmp_path / "resumed")
    images, _ = dot_frames(np.random.default_rng(99), 8)
    views = {"front": images, "wrist": images}
    chunks = [
        load_vla(tmp_path / name, device).predict_chunk(
            views, RobotState.at_rest(np.zeros((8, 8), np.float32)), INSTRUCTION
        )
        for name, device in (("one", "cuda"), ("one", "cpu"), ("cpu", "cpu"))
    ]
    np.testing.assert_allclose(chunks[1], chunks[0], atol=1e-4)
    np.testing.assert_allclose(chunks[2], chunks[0], atol=1e-3)


def test_frames_on_disk_train_the_same_bytes_as_frames_in_memory(tmp_path, monkeypatch):
    root = write_dots(tmp_path / "dots")
    monkeypatch.setattr(training_data, "DECODED_FRAMES", tmp_path / "decoded")
    for name in ("fresh", "reused"):
        finetune([TrainingData(root)] * 2, tmp_path / name, tmp_path / "work", QUICK, progress=False)
        assert len(list((tmp_path / "decoded").iterdir())) == 1
    monkeypatch.setattr(training_data, "decode_dataset", lambda root, cache: decode_dataset(root))
    finetune([TrainingData(root)] * 2, tmp_path / "in_memory", tmp_path / "work", QUICK, progress=False)
    assert contents(tmp_path / "fresh") == contents(tmp_path / "reused") == contents(tmp_path / "in_memory")


def test_a_training_that_diverges_is_not_published(dots, tmp_path):
    for change in ({"weight_decay": float("inf")}, {"weight_decay": 1e30, "steps": 9}):
        config = replace(QUICK, **change)
        with pytest.raises(
            RuntimeError, match=r"the training's (loss|weights) must stay finite, got .*Nothing was published"
        ):
            finetune([TrainingData(dots)], tmp_path / "vla", tmp_path / "work", config, progress=False)
        assert not (tmp_path / "vla").exists()


def test_the_step_at_which_a_loss_became_nan_is_named():
    with pytest.raises(RuntimeError, match=r"got nan at step 3 \(the step before: 2\); rest\. Nothing was published"):
        require_converging(torch.nn.Linear(1, 1), [1.0, 2.0, float("nan")], "rest")
    with pytest.raises(RuntimeError, match=r"got inf at step 1; rest"):
        require_converging(torch.nn.Linear(1, 1), [float("inf")], "rest")
    require_converging(torch.nn.Linear(1, 1), [1.0], "rest")


@pytest.mark.parametrize(
    "damage", [b"", b"garbage" * 9, b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", None]
)
def test_a_damaged_state_of_an_unfinished_run_is_named_with_what_to_remove(dots, tmp_path, monkeypatch, damage):
    kill_after(monkeypatch, 3)
    with pytest.raises(Killed):
        finetune([TrainingData(dots)], tmp_path / "vla", tmp_path / "work", QUICK, progress=False)
    state = tmp_path / "work/state.safetensors"
    state.write_bytes(state.read_bytes()[:-100] if damage is None else damage)
    kill_after(monkeypatch, 99)
    with pytest.raises(
        ValueError, match=r"work/state\.safetensors must hold an unfinished training .*remove its folder"
    ):
        finetune([TrainingData(dots)], tmp_path / "vla", tmp_path / "work", QUICK, progress=False)


def test_the_measured_latency_goes_with_the_vla_and_another_kind_s_is_refused_before_training(dots, tmp_path):
    kind = {"type": "compact_vla", "chunk_size": 16, "images": {"front": [32, 32], "wrist": [32, 32]}}
    latency = tmp_path / "measured.json"

    def run(name, n_action_steps=8):
        data, config = (
            [TrainingData(dots)],
            replace(QUICK, policy=dict(QUICK.policy) | {"n_action_steps": n_action_steps}),
        )
        finetune(data, tmp_path / name, tmp_path / "work", config, progress=False, latency=latency)

    write_latency(latency, kind | {"images": {"front": [224, 224]}}, "cpu", 0.0, [0.14])
    with pytest.raises(
        ValueError, match=r"measured\.json: policy must be the VLA that it is used with, .*measure-latency"
    ):
        run("vla")
    assert not (tmp_path / "vla").exists() and not (tmp_path / "work").exists()
    write_latency(latency, kind, "cpu", 0.0, [0.14])
    with pytest.raises(
        ValueError, match="a chunk of 16 actions, asked for every 14 steps, lasts for a delay of at most 2"
    ):
        run("vla", n_action_steps=14)
    run("vla")
    policy = load_policy(tmp_path / "vla", INSTRUCTION, 2)
    assert policy.delay == ChunkDelay((0, 0, 0, 1.0))
    (tmp_path / "vla/latency.json").unlink()
    assert load_policy(tmp_path / "vla", INSTRUCTION, 2).delay.largest == 0
