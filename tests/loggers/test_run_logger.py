"""Loggers: what each has at the end of a run; off by default, and never a reason for a run to fail."""

import json
import os
import sqlite3
import subprocess
import sys
import threading

import numpy as np
import pytest
from PIL import Image

from ocrrl.layout import Layout
from ocrrl.loggers import run_logger
from ocrrl.loggers.run_logger import curve, logged
from ocrrl.stages.logged_results import _gif, log_results
from tests.pipeline_copy import ROOT

LAYOUT = Layout("cube_lift")
LOSS = [{"step": step, "loss": 1 / step} for step in (1, 2, 3)]
TRAINING = {"loss": LOSS, "steps": 3, "episodes": 2, "frames": 9, "policy": {"type": "compact_vla"}}


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """A folder in which `finetune` of the sim VLA has ended; the logger's folder is `logs`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = LAYOUT.vla("sim")
    folder.mkdir(parents=True)
    (folder / "training.json").write_text(json.dumps(TRAINING))
    return folder


def train(trained, logger, monkeypatch, live=2):
    """A run of `finetune` that sends the first `live` points as they come."""
    monkeypatch.setenv(run_logger.VARIABLE, logger)
    with logged("finetune@cube_lift-sim of round0") as log:
        assert log is not None
        send = curve("training/sim")
        assert send is not None
        for point in LOSS[:live]:
            send(point["step"], {"loss": point["loss"], "note": None})
        log.video("twin/base_0", _gif(np.zeros((4, 8, 8, 3), np.uint8)))
        log_results(log, "finetune", LAYOUT, {"domain": "sim"}, [trained])
    assert curve("training/sim") is None


def test_without_the_variable_there_is_no_logger_and_nothing_is_loaded(trained):
    code = (
        "import sys, ocrrl.stages; from ocrrl.loggers.run_logger import logged, curve\n"
        "with logged('x') as log: assert log is None and curve('y') is None\n"
        "assert not {'tensorboard', 'trackio', 'wandb', 'torch'} & set(sys.modules)"
    )
    variables = {name: value for name, value in os.environ.items() if name != run_logger.VARIABLE}
    subprocess.run([sys.executable, "-c", code], env=variables, check=True)


def test_its_library_is_loaded_before_the_stage_loads_any_so_that_no_two_threads_import_at_once(trained):
    pytest.importorskip("tensorboard", reason="extra `loggers`")
    code = (
        "import sys, ocrrl.stages\n"
        "from ocrrl.loggers.run_logger import RunLogger\n"
        "logger = RunLogger('tensorboard:logs', 'run')\n"
        "loaded = set(sys.modules)\n"
        "assert 'tensorboard.plugins.text.summary_v2' in loaded and 'torch' not in loaded\n"
        "logger.curve('c', 1, {'a': 0.5}); logger.table('t', ['x'], [['1']]); logger.video('v', b'GIF89a'); logger.close()\n"
        "assert not {name for name in set(sys.modules) - loaded if name.startswith('tensorboard')}"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_tensorboard_has_every_point_once_the_table_and_the_video(trained, monkeypatch, capsys):
    pytest.importorskip("tensorboard", reason="extra `loggers`")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train(trained, "tensorboard:logs", monkeypatch)
    assert capsys.readouterr().err == ""
    (run,) = (trained.parents[3] / "logs/finetune@cube_lift-sim-of-round0").iterdir()
    events = EventAccumulator(str(run)).Reload()
    assert [(event.step, event.value) for event in events.Scalars("training/sim/loss")] == [
        (point["step"], pytest.approx(point["loss"])) for point in LOSS
    ]
    (table,) = (event for tag in events.Tags()["tensors"] for event in events.Tensors(tag))
    assert b"| VLA | steps |" in table.tensor_proto.string_val[0] and b"sim VLA" in table.tensor_proto.string_val[0]
    assert events.Images("twin/base_0")[0].encoded_image_string.startswith(b"GIF89a")


@pytest.mark.slow
def test_weights_and_biases_writes_an_offline_run(trained, monkeypatch, capsys):
    pytest.importorskip("wandb", reason="extra `loggers`")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    train(trained, "wandb:logs", monkeypatch)
    assert run_logger.VARIABLE not in capsys.readouterr().err
    (run,) = (trained.parents[3] / "logs/wandb").glob("offline-run-*")
    (written,) = run.glob("*.wandb")
    content = written.read_bytes()
    assert b"training/sim/loss" in content and b"training/sim/step" in content
    assert list(run.glob("files/media/videos/**/*.gif")) and list(run.glob("files/media/table/**/*.json"))


@pytest.mark.slow
def test_trackio_has_it_in_a_database_of_this_machine(trained):
    pytest.importorskip("trackio", reason="extra `loggers`")
    code = (
        "import pytest; from pathlib import Path; from tests.loggers.test_run_logger import LAYOUT, train\n"
        "with pytest.MonkeyPatch.context() as patch: train(LAYOUT.vla('sim'), 'trackio:logs', patch)"
    )  # in a process of its own: trackio reads its folder once
    root = os.fspath(ROOT)
    variables = {name: value for name, value in os.environ.items() if not name.startswith("TRACKIO_")}
    done = subprocess.run(
        [sys.executable, "-c", code], env=variables | {"PYTHONPATH": root}, capture_output=True, text=True
    )
    assert done.returncode == 0 and run_logger.VARIABLE not in done.stderr, done.stderr
    (database,) = (trained.parents[3] / "logs").glob("*.db")
    with sqlite3.connect(database) as found:
        rows = found.execute("select metrics from metrics order by id").fetchall()
    text = " ".join(str(row[0]) for row in rows)
    assert text.count("training/sim/loss") == 3 and "trackio.table" in text and "trackio.video" in text


@pytest.mark.parametrize(
    ("logger", "said"),
    [
        ("aim", "the logger must be one of tensorboard, trackio, wandb"),
        ("tensorboard:file", "FileExistsError"),
        ("wandb:file/logs", "NotADirectoryError"),
    ],
)
def test_a_logger_that_cannot_be_is_one_line_and_the_run_goes_on(trained, monkeypatch, capsys, logger, said):
    (trained.parents[3] / "file").write_text("no folder")
    train(trained, logger, monkeypatch)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("OCRRL_LOGGER: ") and said in line
    assert "the run goes on without a logger: correct or unset OCRRL_LOGGER" in line


def test_a_folder_that_cannot_be_written_is_one_line(trained, monkeypatch, capsys):
    def refuse(path, content):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("pathlib.Path.write_bytes", refuse)
    train(trained, "tensorboard:logs", monkeypatch)
    (line,) = capsys.readouterr().err.splitlines()
    assert "PermissionError: [Errno 13] Permission denied" in line


def test_without_the_package_the_line_says_how_to_get_it(trained, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "wandb", None)
    train(trained, "wandb:logs", monkeypatch)
    (line,) = capsys.readouterr().err.splitlines()
    assert "`pip install 'ocrrl[loggers]'`" in line


def test_a_logger_that_breaks_in_mid_run_is_one_line(trained, monkeypatch, capsys):
    class Broken:
        def __getattr__(self, name):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("ocrrl.loggers.tensorboard.open_run", lambda folder, run: Broken())
    train(trained, "tensorboard:logs", monkeypatch)
    (line,) = capsys.readouterr().err.splitlines()
    assert "No space left on device" in line


def test_a_logger_that_hangs_costs_one_line_and_the_time_that_its_end_is_waited_for(trained, monkeypatch, capsys):
    hangs = threading.Event()
    monkeypatch.setattr("ocrrl.loggers.tensorboard.open_run", lambda folder, run: hangs.wait(20))
    monkeypatch.setattr(run_logger, "TIMEOUT", 0.2)
    train(trained, "tensorboard:logs", monkeypatch)
    (line,) = capsys.readouterr().err.splitlines()
    assert "TimeoutError: no end within 0.2 s" in line
    hangs.set()


def test_results_that_cannot_be_read_cost_the_logger_alone(trained, monkeypatch, capsys):
    (trained / "training.json").write_text("{")
    train(trained, "tensorboard:logs", monkeypatch)
    (line,) = capsys.readouterr().err.splitlines()
    assert "JSONDecodeError" in line


def test_an_evaluation_sends_success_rates_and_the_videos_of_single_episodes(tmp_path, monkeypatch):
    class Kept:
        def __init__(self):
            self.points, self.videos = {}, {}

        def curve(self, name, step, values):
            self.points[name] = (step, values)

        def video(self, name, gif):
            self.videos[name] = gif

        def lose(self, error):
            self.lost = error

    monkeypatch.chdir(tmp_path)
    metrics, folder = LAYOUT.evaluation(0), LAYOUT.evaluation_episodes(0)
    metrics.parent.mkdir(parents=True)
    metrics.write_text(json.dumps({"twin": {"base": {"success_rate": 0.25}, "residual": {"success_rate": 1.0}}}))
    folder.mkdir(parents=True)
    np.savez(folder / "twin.npz", base_0=np.zeros((5, 8, 8, 3), np.uint8))
    kept = Kept()
    log_results(kept, "evaluate", LAYOUT, {"seed": 0}, [metrics, folder])
    assert kept.points == {"success_rate": (0, {"twin.base": 0.25, "twin.residual": 1.0})}
    (tmp_path / "seen.gif").write_bytes(kept.videos["twin/base_0"])
    with Image.open(tmp_path / "seen.gif") as seen:
        assert seen.size == (8, 8) and seen.format == "GIF"
