"""How a recording session ends where cell and device both hear the operator, or the operator ends it at a question."""

from dataclasses import replace

import pytest

from ocrrl.interface.protocols import Abort
from ocrrl.sessions.recording_session import SessionConfig, record_session
from tests.robot.teleoperation.played_device import PlayedDevice
from tests.sessions.test_recording_session import FORWARD, ScriptedOperator, ToyCell, files, session


class Overheard(ToyCell):
    """Hears the operator's `event` while it steps for the fourth time, before `device` is read again."""

    def __init__(self, device, event, by="operator"):
        super().__init__()
        self.device, self.event, self.by = device, event, by

    def step(self, actions, ids):
        result = super().step(actions, ids)
        if self.device.said or self.observe().gripper_pose[0, 0] < 0.535:
            return result
        self.device.said = frozenset({self.event}) if self.event else frozenset()
        return replace(result, aborted=Abort(self.by, "the operator said so"))


class Overhearing(PlayedDevice):
    said = frozenset()

    def read(self):
        return replace(super().read(), events=self.said)


@pytest.mark.parametrize(
    ("event", "ended", "left"),
    [
        ("failure", "the seeds are used up", "failures"),
        ("discard", "Ada ended it", None),
        ("stop", "Ada ended it", "interrupted"),
        (None, "the operator said so", "interrupted"),
    ],
)
def test_what_the_operator_says_between_a_reading_and_its_step_is_heard(tmp_path, event, ended, left):
    device = Overhearing([FORWARD] * 10)
    cell, operator = Overheard(device, event), ScriptedOperator(confirms=2)
    config, told = SessionConfig(1), []
    summary = record_session(cell, device, operator, tmp_path, [7], config, told=told.append)
    assert summary.ended == ended
    assert files(tmp_path) == ([f"{left}/episode_000000.h5"] if left else [])
    if event in ("failure", "discard"):
        assert told == [f"episode_000000.h5: {event} after 3 steps"], "the fourth was not taken"


def test_of_a_fault_the_device_is_not_asked_how_the_episode_went(tmp_path):
    device = Overhearing([FORWARD] * 10)
    assert session(tmp_path, device, cell=Overheard(device, "success", "fault")).ended == "the operator said so"
