"""What `lerobot-train` is told, and after which checkpoint an interrupted run goes on."""

import json
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest

from ocrrl.policies.finetune_config import FinetuneConfig, LerobotTraining
from ocrrl.policies.lerobot_training import train
from ocrrl.policies.lerobot_training.child import ALLOW_CODE, REFUSE_CODE, WHOLE, TrackioLogger, epochs
from ocrrl.policies.lerobot_training.train import LerobotRun

CONFIG = FinetuneConfig(
    policy={"type": "pi05"}, steps=1000, batch_size=8, checkpoint_every=250, device="cpu", trainer="lerobot"
)


@pytest.fixture
def told(monkeypatch):
    """The commands that would be run; each writes the last checkpoint."""
    commands = []

    def run(command, log, done, steps, progress):
        commands.append(command)
        output = next(word.partition("=")[2] for word in command if word.startswith("--output_dir="))
        checkpoint(train.Path(output), steps)
        log.write_text("")

    monkeypatch.setattr(train, "run_to_the_end", run)
    return commands


def checkpoint(output, step, whole=True):
    folder = output / f"checkpoints/{step:06d}"
    (folder / "pretrained_model").mkdir(parents=True)
    if whole:
        (folder / WHOLE).touch()
    return folder


def test_a_run_begins_from_its_start_and_an_interrupted_one_after_its_newest_whole_checkpoint(tmp_path, told):
    run = LerobotRun(CONFIG, tmp_path)
    run.train(progress=False)
    assert (
        f"--policy.path={tmp_path / 'start'}" in told[0] and "--steps=1000" in told[0] and "--save_freq=250" in told[0]
    )
    output = tmp_path / "output"
    train.files.remove(output)
    for step, whole in ((250, True), (500, True), (750, False)):
        checkpoint(output, step, whole)
    LerobotRun(CONFIG, tmp_path).train(progress=False)
    config = output / "checkpoints/000500/pretrained_model/train_config.json"
    assert "--resume=true" in told[1] and f"--config_path={config}" in told[1]
    assert not any(word.startswith("--policy.path") for word in told[1])
    assert not (output / "checkpoints/000750").exists()
    LerobotRun(CONFIG, tmp_path).train(progress=False)
    assert len(told) == 2, "a run that is done is not begun again"


def test_what_was_written_before_the_first_whole_checkpoint_is_removed(tmp_path, told):
    half = checkpoint(tmp_path / "output", 250, whole=False)
    LerobotRun(CONFIG, tmp_path).train(progress=False)
    assert not half.exists() and not any("--resume" in word for word in told[0])


def test_a_child_that_ends_without_its_last_checkpoint_publishes_nothing(tmp_path):
    checkpoint(tmp_path / "output", 500)
    with pytest.raises(RuntimeError, match=r"must hold a whole checkpoint of step 1000 .*got 000500; its log is in"):
        LerobotRun(CONFIG, tmp_path).publish(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_adapter_tracker_and_remote_code_are_told_only_where_they_are_asked_for(tmp_path, told):
    LerobotRun(CONFIG, tmp_path / "plain").train(progress=False)
    asked = LerobotTraining(peft={"r": 8, "target_modules": ["q_proj"]}, tracker="wandb", project="lab", num_workers=2)
    policy = {"type": "groot", "allow_remote_code": True}
    LerobotRun(replace(CONFIG, policy=policy, lerobot=asked), tmp_path / "asked").train(progress=False)
    plain, more = told
    assert REFUSE_CODE in plain and ALLOW_CODE in more
    assert not any(word.startswith("--peft") for word in plain) and "--wandb.enable=false" in plain
    wanted = (
        "--peft.r=8",
        '--peft.target_modules=["q_proj"]',
        "--wandb.enable=true",
        "--wandb.project=lab",
        "--num_workers=2",
    )
    assert set(wanted) <= set(more)


def test_a_tracker_that_is_not_installed_is_named_with_the_command_that_installs_it(tmp_path, monkeypatch):
    monkeypatch.setattr(train, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"lerobot\.tracker trackio must be installed.*`uv pip install trackio`"):
        LerobotRun(replace(CONFIG, lerobot=LerobotTraining(tracker="trackio")), tmp_path)


def test_trackio_is_given_what_lerobot_logs(monkeypatch):
    logged = []
    run = SimpleNamespace(log=lambda values, step: logged.append((step, values)))
    begun = SimpleNamespace(init=lambda **named: logged.append(named) or run)
    monkeypatch.setitem(sys.modules, "trackio", begun)
    config = SimpleNamespace(wandb=SimpleNamespace(project="lab"), job_name="run", to_dict=lambda: {"steps": 4})
    TrackioLogger(config).log_dict({"loss": 0.5, "name": "x"}, 10)
    assert logged == [
        {"project": "lab", "name": "run", "config": {"steps": 4}, "resume": "allow"},
        (10, {"train/loss": 0.5}),
    ]


def test_several_gpus_are_launched_by_accelerate(monkeypatch):
    command = train._launch(4)
    assert "accelerate.commands.launch" in command and "--num_processes=4" in command and "--multi_gpu" in command
    assert command[-2:] == list(train.CHILD) and train._launch(1)[1:] == list(train.CHILD)
    with pytest.raises(ValueError, match=r"lerobot\.num_processes must be 1 on the device cpu, got 2"):
        LerobotRun(replace(CONFIG, lerobot=LerobotTraining(num_processes=2)), train.Path("work"))


def test_the_losses_of_a_resumed_run_are_those_of_its_last_parts(tmp_path):
    line = "INFO step:{} smpl:4 loss:{} grdn:1\n"
    config = replace(CONFIG, steps=1000, checkpoint_every=250)
    assert LerobotRun(config, tmp_path)._log_every() == 10
    (tmp_path / "train-00000000.log").write_text("".join(line.format("x", n) for n in range(30)))
    (tmp_path / "train-00000250.log").write_text("".join(line.format("x", 100 + n) for n in range(75)))
    losses = LerobotRun(config, tmp_path)._losses()
    assert [point["step"] for point in losses] == list(range(10, 1001, 10))
    assert losses[24]["loss"] == 24 and losses[25]["loss"] == 100


def test_an_epoch_s_beginning_draws_nothing_from_the_generator():
    import torch

    data = torch.utils.data.DataLoader(range(4), batch_size=2)
    torch.manual_seed(0)
    batches = epochs(data)
    drawn = [next(batches).tolist() for _ in range(5)]
    after = torch.rand(1)
    torch.manual_seed(0)
    assert drawn == [[0, 1], [2, 3], [0, 1], [2, 3], [0, 1]] and torch.equal(after, torch.rand(1))
    with pytest.raises(ValueError, match="at least one batch"):
        next(epochs([]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"trainer": "jax"}, "trainer must be one of ocrrl, lerobot, got 'jax'"),
        (
            {"trainer": "ocrrl", "lerobot": LerobotTraining(num_workers=1)},
            "lerobot must be left out with trainer ocrrl",
        ),
        ({"policy": {"type": "compact_vla"}}, "trainer must be ocrrl for a policy of type compact_vla, got lerobot"),
        (
            {"device": "cuda:1"},
            "device must be auto, cpu or cuda with trainer lerobot, got 'cuda:1'; CUDA_VISIBLE_DEVICES",
        ),
    ],
)
def test_an_impossible_setting_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        replace(CONFIG, **change)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"num_processes": 0}, "num_processes must be at least 1, got 0"),
        ({"num_workers": -1}, "num_workers must be at least 0, got -1"),
        ({"peft": {"rank": 4}}, "peft must set only method_type, r, .*, got rank"),
        ({"peft": {"r": "big"}}, r"peft\.r must be a whole number of at least 1, got 'big'"),
        ({"tracker": "mlflow"}, "tracker must be one of none, wandb, trackio, got 'mlflow'"),
    ],
)
def test_an_impossible_option_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        LerobotTraining(**fields)


def test_the_default_trainer_leaves_no_trace_in_params_and_fingerprints():
    from ocrrl.config_builder import build, values_of

    default = FinetuneConfig()
    assert "trainer" not in values_of(default) and "lerobot" not in repr(default)
    assert build(FinetuneConfig, values_of(default), "finetune.shared") == default
    assert repr(CONFIG) != repr(replace(CONFIG, lerobot=LerobotTraining(peft={"r": 4})))
    written = json.loads(json.dumps(values_of(CONFIG)))
    assert build(FinetuneConfig, written | {"lerobot": {"peft": {"r": 4}}}, "finetune.shared").lerobot.peft == {"r": 4}
