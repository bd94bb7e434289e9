"""`ocrrl teleoperate`: who may record where, with what."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from ocrrl.cli import main
from ocrrl.episodes import hdf5_in_memory
from ocrrl.episodes.episode_store import read_episode
from ocrrl.interface.protocols import Abort
from ocrrl.recordings.ingest import ingest
from ocrrl.recordings.ingest_config import IngestConfig
from ocrrl.robot.arm.fault import Fault
from ocrrl.robot.operator.cell_operator import EndedByOperator
from ocrrl.robot.safety.fault_log import FAULTS, FaultLog
from ocrrl.tabletop.cube_lift import TASK as CUBE_LIFT
from tests.full_disk import Full
from tests.pipeline_copy import ROOT
from tests.robot.teleoperation.played_device import PlayedDevice
from tests.sessions.test_recording_session import FORWARD, ToyCell

SCRIPTED = ("teleoperate", "cube_lift", "--device", "scripted", "--session", "monday", "--episodes", "1")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((*SCRIPTED, "--cell", "twin"), "a session must name a cell of its own (rehearsal, wire_twin, fr3), got twin"),
        ((*SCRIPTED, "--cell", "fr3"), "device scripted is for the wire twin, got cell fr3: no script drives a robot"),
        ((*SCRIPTED, "--cell", "moon"), "cell must be one of"),
        (
            (*SCRIPTED[:-3], "../x", "--episodes", "1", "--cell", "wire_twin"),
            "session must be a name of 1 to 80 lower-case letters, digits",
        ),
        ((*SCRIPTED[:-1], "0", "--cell", "wire_twin"), "episodes must be at least 1, got 0"),
        (("teleoperate", "fly", *SCRIPTED[2:], "--cell", "wire_twin"), "tabletop task must be one of"),
    ],
)
def test_what_cannot_be_recorded_is_named_before_anything_starts(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 1
    assert message in capsys.readouterr().err
    assert not any(tmp_path.iterdir())


def test_a_session_ends_with_its_first_fault_and_the_log_s_path(tmp_path, monkeypatch, capsys):
    path = Path(".work/cells/wire_twin") / FAULTS

    class FaultyCell(ToyCell):
        def step(self, actions, ids):
            FaultLog(path, lambda: 0.0)(Fault(0.0, "out_of_reach", "connection lost"))
            return replace(super().step(actions, ids), aborted=Abort("fault", "out_of_reach: connection lost"))

    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "cells", tmp_path / "cells")
    monkeypatch.setattr("ocrrl.commands.teleoperate.open_cell", lambda *_: FaultyCell())
    monkeypatch.setattr("ocrrl.commands.teleoperate._script", lambda *_: PlayedDevice([FORWARD]))
    assert main((*SCRIPTED, "--cell", "wire_twin")) == 1
    out = capsys.readouterr().out
    assert f"1 fault: out_of_reach: connection lost; see {path}" in out
    assert "it ended: out_of_reach: connection lost" in out


def test_a_session_that_the_operator_ends_at_the_cell_s_question_is_no_error(tmp_path, monkeypatch, capsys):
    class Asking(ToyCell):
        def reset(self, ids, seeds):
            if self.begun:
                raise EndedByOperator("the operator ended the session")
            super().reset(ids, seeds)

    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "cells", tmp_path / "cells")
    monkeypatch.setattr("ocrrl.commands.teleoperate.open_cell", lambda *_: Asking())
    monkeypatch.setattr("ocrrl.commands.teleoperate._script", lambda *_: PlayedDevice([FORWARD]))
    assert main((*SCRIPTED[:-1], "2", "--cell", "wire_twin")) == 1, "one of two is recorded"
    said = capsys.readouterr()
    assert said.err == "" and "1 successes" in said.out and "it ended: the operator ended the session" in said.out
    assert said.out.splitlines()[-1].startswith("Next: dvc add data/episodes/cube_lift/monday")


def test_a_session_in_progress_is_not_ingested(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("cells", "dvc.yaml"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    assert main(["params", "--preset", "smoke", "--tasks", "cube_lift"]) == 0
    assert main(["params", "--episodes", "cube_lift=data/episodes/cube_lift/monday/successes"]) == 0

    class Ingested(ToyCell):
        def reset(self, ids, seeds):
            super().reset(ids, seeds)
            assert main(["ingest", "cube_lift"]) == 1

    monkeypatch.setattr("ocrrl.commands.teleoperate.open_cell", lambda *_: Ingested())
    monkeypatch.setattr("ocrrl.commands.teleoperate._script", lambda *_: PlayedDevice([FORWARD]))
    assert main((*SCRIPTED, "--cell", "wire_twin")) == 0
    refused = "got data/episodes/cube_lift/monday/successes, which session monday in wire_twin (process "
    assert refused in capsys.readouterr().err


def test_a_full_disk_ends_a_session_with_the_next_step(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "cells", tmp_path / "cells")
    monkeypatch.setattr("ocrrl.commands.teleoperate.open_cell", lambda *_: ToyCell())
    monkeypatch.setattr("ocrrl.commands.teleoperate._script", lambda *_: PlayedDevice([FORWARD] * 60))
    monkeypatch.setattr(hdf5_in_memory.os, "sendfile", Full(100_000))
    assert main((*SCRIPTED, "--cell", "wire_twin")) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("ocrrl teleoperate: no space left on the disk ([Errno 28]") and "make gc" in line
    assert {path.name for path in Path("data/episodes/cube_lift/monday").iterdir()} == {".lock", "interrupted"}


def test_a_cell_that_cannot_be_closed_costs_no_summary_and_is_told_last(tmp_path, monkeypatch, capsys):
    class Lost(ToyCell):
        def close(self):
            raise RuntimeError("connection lost")

    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "cells", tmp_path / "cells")
    monkeypatch.setattr("ocrrl.commands.teleoperate.open_cell", lambda *_: Lost())
    monkeypatch.setattr("ocrrl.commands.teleoperate._script", lambda *_: PlayedDevice([FORWARD]))
    assert main((*SCRIPTED, "--cell", "wire_twin")) == 1
    said = capsys.readouterr()
    assert "1 successes" in said.out and "Next: dvc add data/episodes/cube_lift/monday" in said.out
    assert "wire_twin was not closed as it should be" in said.err and "connection lost" in said.err


@pytest.mark.wire
def test_a_script_records_on_the_wire_twin_what_its_tracker_sees(tmp_path, monkeypatch, capsys):
    pytest.importorskip("franky")
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "cells", tmp_path / "cells")
    code = main((*SCRIPTED, "--cell", "wire_twin"))
    out = capsys.readouterr().out
    assert code == 0, out
    assert "wire_twin, a twin, through the real drivers; no robot moved: 1 successes" in out
    (path,) = (tmp_path / "data/episodes/cube_lift/monday/successes").iterdir()
    episode = read_episode(path)
    assert episode.attributes.success and episode.attributes.cell == "wire_twin"
    assert (episode.object_confidence > 0.5).mean() > 0.5
    places = (tmp_path / name for name in ("dataset", "normalised", "report.json"))
    assert ingest(path.parent, CUBE_LIFT, *places, IngestConfig()).accepted == (path.name,)
