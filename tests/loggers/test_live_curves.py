"""Curves that are sent as training goes on: the same bytes are published with and without a logger."""

import argparse
import json
import shutil
from pathlib import Path

import pytest

from ocrrl.commands.params import write
from ocrrl.layout import Layout
from ocrrl.loggers import run_logger
from ocrrl.policies import training_data
from ocrrl.policies.finetune import FinetuneConfig, finetune
from ocrrl.policies.training_data import TrainingData
from ocrrl.preset_params import resolve
from ocrrl.stages import run_stage
from tests.pipeline_copy import ROOT
from tests.policies.synthetic import dot_dataset

LAYOUT = Layout("cube_lift")
QUICK = FinetuneConfig(
    policy={"type": "compact_vla", "hidden": 32}, steps=4, batch_size=8, language="hash", checkpoint_every=2
)


class Kept:
    """A sink that keeps the points, and when each came."""

    def __init__(self):
        self.points, self.tables, self.closed = [], [], False

    def scalars(self, name, step, values):
        self.points.append((name, step, values))

    def table(self, name, header, rows):
        self.tables.append(name)

    def video(self, name, gif):
        raise AssertionError("no video was made")

    def close(self):
        self.closed = True


@pytest.fixture
def kept(monkeypatch, tmp_path):
    """The sink of `OCRRL_LOGGER=tensorboard`; the working folder is a project of Cube Lift."""
    sink = Kept()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("ocrrl.loggers.tensorboard.open_run", lambda folder, run: sink)
    monkeypatch.setattr(training_data, "decode_dataset", lambda root, cache: dot_dataset(cameras=("front", "wrist")))
    shutil.copy(ROOT / "dvc.yaml", tmp_path)
    write(resolve("smoke", ["cube_lift"]), "smoke")
    return sink


def test_fine_tuning_publishes_the_same_bytes_and_sends_the_loss_that_it_records(kept, monkeypatch):
    data = [TrainingData(Path("dots"))]
    finetune(data, Path("off"), Path("work"), QUICK, progress=False, vla="sim")
    monkeypatch.setenv(run_logger.VARIABLE, "tensorboard")
    with run_logger.logged("finetune"):
        finetune(data, Path("on"), Path("work"), QUICK, progress=False, vla="sim")
    for path in Path("off").iterdir():
        assert path.read_bytes() == (Path("on") / path.name).read_bytes(), path
    recorded = json.loads(Path("on/training.json").read_text())["loss"]
    assert kept.points == [("training/sim", point["step"], {"loss": point["loss"]}) for point in recorded]


def run_finetune(monkeypatch, losses):
    """The stage's plumbing round a training that has these losses."""

    def trained(task, params, layout, domain):
        send = run_logger.curve(f"training/{domain}")
        if send is not None:
            send(1, {"loss": losses[0]})
        layout.vla(domain).mkdir(parents=True)
        points = [{"step": step, "loss": loss} for step, loss in enumerate(losses, start=1)]
        (layout.vla(domain) / "training.json").write_text(json.dumps({"loss": points, "steps": len(losses)}))

    monkeypatch.setattr("ocrrl.stages.finetune.run", trained)
    return run_stage(argparse.Namespace(command="finetune", tabletop_task="cube_lift", round="round0", domain="sim"))


def test_a_stage_sends_the_rest_of_its_curve_and_its_tables_at_its_end(kept, monkeypatch):
    monkeypatch.setenv(run_logger.VARIABLE, "tensorboard")
    assert run_finetune(monkeypatch, [0.5, 0.25, 0.125]) == 0
    assert kept.points == [("training/sim", step, {"loss": 0.5**step}) for step in (1, 2, 3)]
    assert kept.tables == ["finetune/0"] and kept.closed


def test_a_stage_has_no_logger_where_none_is_chosen(kept, monkeypatch):
    monkeypatch.delenv(run_logger.VARIABLE, raising=False)
    assert run_finetune(monkeypatch, [0.5]) == 0
    assert kept.points == [] and not Path(".work/tensorboard").exists()
