"""A session records what the operator did and nothing else, and a crash costs the episode in progress only."""

import errno
import itertools
import os
import signal
import subprocess
import sys
import textwrap

import h5py
import numpy as np
import pytest

from ocrrl.episodes import hdf5_in_memory
from ocrrl.episodes.episode_store import read_episode, write_episode
from ocrrl.episodes.validation import read_valid_episode
from ocrrl.recordings.ingest import ingest
from ocrrl.recordings.ingest_config import IngestConfig
from ocrrl.robot.operator.approval import NotApproved
from ocrrl.robot.teleoperation.scripted import DemonstratorDevice
from ocrrl.sessions.recording_session import (
    SessionConfig,
    keep_interrupted,
    next_number,
    record_session,
    require_same_cameras,
)
from ocrrl.tabletop.cube_lift import TASK as CUBE_LIFT
from ocrrl.worlds import make_teleoperator, make_twin
from tests.episodes.toy_environment import ToyDemonstrator, ToyEnvironment
from tests.episodes.toy_episodes import demonstrated
from tests.full_disk import Full
from tests.pipeline_copy import ROOT
from tests.robot.teleoperation.played_device import PlayedDevice

FORWARD = np.array([0.01, 0, 0, 0, 0, 0.02, 1.0])


class ToyCell(ToyEnvironment):
    def __init__(self):
        super().__init__(1, "toy")
        self.begun, self.rests, self.faults = [], 0, []
        self._ticks = itertools.count()

    def now(self):
        return 100.0 + next(self._ticks) / 20

    def reset(self, ids, seeds):
        self.begun += seeds
        super().reset(ids, seeds)

    def require_fit(self):
        pass

    def come_to_rest(self, error=""):
        self.rests += 1
        self.faults += [error] if error else []

    def calibration(self):
        return {"front": {"fovy": 30.0}}

    def close(self):
        pass


class ScriptedOperator:
    """Goes on until `confirms` are used up; labels in order."""

    name = "Ada"

    def __init__(self, confirms=100, labels=()):
        self.confirms, self.labels, self.asked = confirms, list(labels), []

    def confirm(self, question):
        self.asked.append(question)
        self.confirms -= 1
        return self.confirms >= 0

    def label(self, question):
        return self.labels.pop(0)


class Script(PlayedDevice):
    """A `PlayedDevice` whose endings come in turn; "lost" raises instead."""

    def __init__(self, *endings, steps=5):
        super().__init__([FORWARD] * steps)
        self._endings, self.log = iter(endings), []

    def begin(self, seed):
        super().begin(seed)
        self.log.append("begin")
        self._ending = frozenset({next(self._endings)})

    def read(self):
        reading = super().read()
        if "lost" in reading.events:
            raise RuntimeError("the pad was unplugged")
        return reading

    def end(self):
        self.log.append("end")


def session(folder, device, operator=None, cell=None, told=None, **config):
    config = SessionConfig(**({"episodes": 1} | config))
    cell, operator = cell or ToyCell(), operator or ScriptedOperator()
    return record_session(cell, device, operator, folder, [7, 8, 9, 10], config, {"ocrrl": "0"}, told or print)


def files(folder):
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(set(found) - {".lock"})


def test_rows_are_what_was_seen_before_each_action_that_was_taken(tmp_path):
    cell = ToyCell()
    summary = session(tmp_path, PlayedDevice([FORWARD] * 5), cell=cell)
    assert summary.successes == ("episode_000000.h5",) and summary.ended == "done"
    episode = read_episode(tmp_path / "successes" / "episode_000000.h5")
    np.testing.assert_array_equal(episode.action, [FORWARD] * 5)
    np.testing.assert_allclose(episode.timestamps, np.arange(5) / 20)
    np.testing.assert_allclose(episode.gripper_pose[:, 0], 0.5 + 0.01 * np.arange(5))
    np.testing.assert_allclose(cell.observe().gripper_pose[0, 0], 0.55)
    assert episode.images["front"].shape == (5, 16, 16, 3)
    attributes = episode.attributes
    assert (attributes.operator, attributes.cell, attributes.success, attributes.seed) == ("Ada", "toy", True, 7)
    assert attributes.calibration == {"front": {"fovy": 30.0}} and attributes.object_names == ("cuboid",)
    read_valid_episode(tmp_path / "successes" / "episode_000000.h5", tmp_path)


def test_each_ending_goes_where_it_belongs_and_a_discarded_episode_is_done_again(tmp_path):
    cell, device = ToyCell(), Script("failure", "discard", "success", "success")
    summary = session(tmp_path, device, cell=cell, episodes=2)
    assert summary.failures == ("episode_000000.h5",) and summary.discarded == 1
    assert files(tmp_path) == [
        "failures/episode_000000.h5",
        "successes/episode_000001.h5",
        "successes/episode_000002.h5",
    ]
    assert cell.begun == [7, 8, 8, 9], "the discarded one's initial state came again"
    assert not read_episode(tmp_path / "failures/episode_000000.h5").attributes.success
    assert device.log == ["begin", "end"] * 4 and cell.rests == 4


def test_another_session_goes_on_with_the_numbers_and_replaces_nothing(tmp_path):
    session(tmp_path, PlayedDevice([FORWARD]))
    before = (tmp_path / "successes/episode_000000.h5").read_bytes()
    session(tmp_path, PlayedDevice([FORWARD]))
    assert (tmp_path / "successes/episode_000000.h5").read_bytes() == before
    assert next_number(tmp_path) == 2


def test_at_the_horizon_the_operator_is_asked(tmp_path):
    operator = ScriptedOperator(labels=["failure", "success"])
    summary = session(tmp_path, PlayedDevice([FORWARD] * 50), operator, max_steps=3)
    assert (len(summary.failures), len(summary.successes)) == (1, 1)
    assert len(read_episode(tmp_path / "successes/episode_000001.h5")) == 3


def test_nothing_moves_before_the_operator_goes_on(tmp_path):
    for confirms, begun in ((0, []), (1, [7])):
        cell, device = ToyCell(), Script("success")
        summary = session(tmp_path, device, ScriptedOperator(confirms), cell)
        assert cell.begun == begun and device.log == [] and summary.ended == "Ada ended it"
    assert files(tmp_path) == []


def test_the_stop_key_keeps_the_episode_as_interrupted(tmp_path):
    summary = session(tmp_path, Script("success", "stop"), episodes=2)
    assert summary.ended == "Ada ended it" and len(summary.successes) == 1
    assert files(tmp_path) == ["interrupted/episode_000001.h5", "successes/episode_000000.h5"]


def test_a_lost_device_moves_nothing_more_and_ends_the_session(tmp_path):
    cell, device = ToyCell(), Script("success", "lost")
    summary = session(tmp_path, device, cell=cell, episodes=2)
    assert summary.ended == "the pad was unplugged"
    np.testing.assert_allclose(cell.observe().gripper_pose[0, 0], 0.55, err_msg="five steps, and no sixth")
    assert files(tmp_path) == ["interrupted/episode_000001.h5", "successes/episode_000000.h5"]
    assert device.log[-1] == "end", "the terminal is restored"


@pytest.mark.parametrize("failure", [RuntimeError("the arm was lost"), NotApproved("no more"), KeyboardInterrupt()])
def test_what_the_cell_raises_ends_the_session_and_keeps_what_was_recorded(tmp_path, failure):
    class Breaking(ToyCell):
        def step(self, actions, ids):
            if len(self.begun) == 2 and self.observe().gripper_pose[0, 0] > 0.525:
                raise failure
            return super().step(actions, ids)

    device = Script("success", "success")
    with pytest.raises(type(failure)):
        session(tmp_path, device, cell=Breaking(), episodes=2)
    assert files(tmp_path) == ["interrupted/episode_000001.h5", "successes/episode_000000.h5"]
    assert device.log[-1] == "end"
    with h5py.File(tmp_path / "interrupted/episode_000001.h5") as file:
        assert len(file["action"]) == 3


def test_a_disk_that_is_full_in_mid_episode_stops_the_arm_and_costs_that_episode_only(tmp_path, monkeypatch):
    class Filling(ToyCell):
        def step(self, actions, ids):
            if len(self.begun) == 2 and self.observe().gripper_pose[0, 0] > 0.77:  # another process fills the disk
                monkeypatch.setattr(hdf5_in_memory.os, "sendfile", Full(0))
            assert not self.faults, "nothing is asked of the arm after it"
            return super().step(actions, ids)

    class FirstShort(Script):
        def begin(self, seed):
            super().begin(seed)
            self._next = 40 if len(self.log) == 1 else 0  # an arm that is moved on for longer leaves its reach

    cell, device = Filling(), FirstShort("success", "success", steps=60)
    with pytest.raises(OSError, match="No space left on device") as full:
        session(tmp_path, device, cell=cell, episodes=2)
    assert full.value.errno == errno.ENOSPC
    assert cell.rests == 3 and cell.faults == [str(full.value)] and device.log[-1] == "end"
    assert files(tmp_path) == ["interrupted/episode_000001.h5", "successes/episode_000000.h5"]
    read_valid_episode(tmp_path / "successes/episode_000000.h5", tmp_path)
    with h5py.File(tmp_path / "interrupted/episode_000001.h5") as file:
        assert len(file["action"]) == 21 and file["images/front"][20].any()


def test_an_episode_that_may_not_fit_on_the_disk_is_not_begun(tmp_path, monkeypatch):
    asked = []

    def little(folder, needed, purpose):
        asked.append(needed)
        if needed > 5_000_000:
            raise OSError(errno.ENOSPC, f"{purpose} needs {needed} bytes")

    monkeypatch.setattr("ocrrl.files.require_room", little)
    cell, device = ToyCell(), Script("success")
    frames = sum(frames.nbytes for frames in cell.capture(np.array([0])).values())
    with pytest.raises(OSError, match="a demonstration of 40 steps needs"):
        session(tmp_path, device, cell=cell, max_steps=40)
    assert device.log == [] and files(tmp_path) == [] and cell.begun == [7]
    assert asked == [5_000_000, 5_000_000 + 40 * (frames + 2000)]


def test_an_interrupted_episode_is_refused_by_name(tmp_path):
    session(tmp_path, Script("success", "stop"), episodes=2)
    out = [tmp_path / name for name in ("dataset", "normalised", "report.json")]
    summary = ingest(tmp_path, CUBE_LIFT, *out, IngestConfig(on_rejected="warn"))
    assert summary.accepted == ("successes/episode_000000.h5",)
    assert summary.rejected == {"interrupted/episode_000001.h5": "format_version must be there, got nothing"}


def test_a_demonstration_that_nobody_labels_is_kept_as_interrupted(tmp_path):
    operator = ScriptedOperator(labels=[None])
    summary = session(tmp_path, PlayedDevice([FORWARD] * 60), operator, max_steps=4)
    assert summary.ended == "Ada did not say how episode_000000.h5 went, kept as interrupted"
    assert files(tmp_path) == ["interrupted/episode_000000.h5"]


def test_a_label_before_the_first_step_records_nothing(tmp_path):
    summary = session(tmp_path, Script("success", "stop", steps=0))
    assert summary.successes == () and summary.discarded == 1
    assert files(tmp_path) == ["interrupted/episode_000000.h5"], "the discarded one's number is free again"


def test_a_demonstrator_as_the_device_and_the_cell_as_the_judge(tmp_path):
    cell = ToyCell()
    device = DemonstratorDevice(ToyDemonstrator(cell, clumsy=(8,)), cell.observe, cell.capture)
    summary = session(
        tmp_path, device, ScriptedOperator(labels=["failure"]), cell, episodes=2, max_steps=60, cell_decides=True
    )
    assert (len(summary.successes), len(summary.failures)) == (2, 1) and cell.begun == [7, 8, 9]


def test_seeds_that_run_out_end_the_session(tmp_path):
    summary = session(tmp_path, Script(*["failure"] * 4))
    assert summary.ended == "the seeds are used up" and len(summary.failures) == 4


def test_a_second_session_in_the_same_folder_is_refused(tmp_path):
    class Impatient(ScriptedOperator):
        def confirm(self, question):
            session(tmp_path, PlayedDevice([FORWARD]))
            return True

    with pytest.raises(RuntimeError, match="one session at a time"):
        session(tmp_path, PlayedDevice([FORWARD]), Impatient())


def test_wrong_arguments_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"seeds must number at least episodes \(5\), got 4"):
        session(tmp_path, PlayedDevice([]), episodes=5)
    with pytest.raises(ValueError, match="episodes must be at least 1"):
        SessionConfig(0)
    with pytest.raises(ValueError, match="max_steps must be at least 1"):
        SessionConfig(1, 0)
    pair = ToyCell()
    pair.num_envs = 2
    with pytest.raises(ValueError, match="must have one arm, got 2"):
        session(tmp_path, PlayedDevice([]), cell=pair)


def test_in_the_twin_a_session_s_episodes_are_accepted_by_ingest(tmp_path):
    cell = make_twin("cube_lift", 1)
    device = DemonstratorDevice(make_teleoperator("cube_lift", cell), cell.observe, cell.capture)
    config = SessionConfig(episodes=2, cell_decides=True)
    operator = ScriptedOperator(labels=["failure"] * 4)
    summary = record_session(cell, device, operator, tmp_path / "session", [3, 4, 5, 6], config)
    cell.close()
    assert len(summary.successes) == 2
    out = [tmp_path / name for name in ("dataset", "normalised", "report.json")]
    accepted = ingest(tmp_path / "session" / "successes", CUBE_LIFT, *out, IngestConfig())
    assert accepted.accepted == summary.successes and not accepted.rejected


def test_a_session_keeps_to_the_cameras_that_it_was_begun_with(tmp_path):
    require_same_cameras(tmp_path / "none", {"front": (96, 128)})
    write_episode(tmp_path / "lab/successes/episode_000000.h5", demonstrated([3], image_size=32)[0])
    require_same_cameras(tmp_path / "lab", {"front": (32, 32), "wrist": (32, 32)})
    with pytest.raises(
        ValueError, match=r"session lab must have .* front 96 x 128, got front 32 x 32, .*: begin another --s"
    ):
        require_same_cameras(tmp_path / "lab", {"front": (96, 128)})


KILLED = """
    import os, signal, sys
    from pathlib import Path
    from tests.sessions.test_recording_session import FORWARD, Script, session

    class Killed(Script):
        def read(self):
            if self.log.count("begin") == 2 and self._next == 30:
                os.kill(os.getpid(), signal.SIGKILL)
            return super().read()

    session(Path(sys.argv[1]), Killed("success", "success", steps=31), episodes=2)
"""


def test_kill_9_in_mid_episode_loses_that_episode_only_and_leaves_its_rows_readable(tmp_path):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", textwrap.dedent(KILLED), str(tmp_path)]
    killed = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert files(tmp_path) == [".episode_000001.h5.partial", "successes/episode_000000.h5"]
    read_valid_episode(tmp_path / "successes/episode_000000.h5", tmp_path)
    (kept,) = keep_interrupted(tmp_path)
    with h5py.File(kept) as file:
        assert 21 <= len(file["action"]) <= 30, "handed over every second"
        np.testing.assert_array_equal(file["action"][:21], [FORWARD] * 21)
        assert file["images/front"][20].any()
    session(tmp_path, PlayedDevice([FORWARD]))
    assert "successes/episode_000002.h5" in files(tmp_path)
