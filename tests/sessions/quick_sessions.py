"""Sessions through the command line in a toy world, in milliseconds an episode: a point that must reach a cube."""

import json
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest

from ocrrl.cli import main
from ocrrl.interface.observations import Observation
from ocrrl.layout import WORK, Layout
from ocrrl.robot.cell.guarded_cell import GuardedCell
from ocrrl.robot.operator.approval import issue
from ocrrl.rollouts.sequential_power import least_detectable_effect
from ocrrl.sessions.blind_order import BlindOrder
from ocrrl.sim.initial_state import initial_object_poses
from ocrrl.worlds import make_scene
from tests.rollouts.toy_environment import ToyBase, ToyEnvironment, ToyResidual, seek

LAYOUT = Layout("cube_lift")
NAME = "monday"
EFFECT = cache(least_detectable_effect)


class QuickCell(ToyEnvironment):
    """The toy as a cell that has the cube where it was asked for; `before` is called with each seed before its episode."""

    def __init__(self, before):
        super().__init__(1, "twin")
        self._before, self.misplaced = before, np.zeros(3)
        self._scene, self._turn = make_scene("cube_lift"), np.zeros(4)

    def reset(self, ids, seeds):
        super().reset(ids, seeds)
        (pose,) = initial_object_poses(self._scene, seeds[0])
        self.object[0], self._turn = pose[:3], pose[3:]
        self.gripper[0, 2] += (
            0.1 * np.random.default_rng(seeds[0]).random()
        )  # too far for a weak residual in some states
        self.misplaced = np.zeros(3)
        self._before(self, seeds[0])

    def observe(self):
        seen = vars(super().observe())
        cube = np.concatenate([self.object[0] + self.misplaced, self._turn])[None, None]
        return Observation(**seen | {"object_poses": cube})

    def require_fit(self):
        pass

    def calibration(self):
        return {"front": {"fovy": 45.0}}

    def now(self):
        return 0.0

    def close(self):
        pass


class QuickBase(ToyBase):
    """Ready at once, and asked on this machine."""

    vla, delay = None, None


@pytest.fixture
def quick(tmp_path, monkeypatch, capsys):
    """Runs commands where sessions take place in the toy; `residual` is how strong the residual is, `before` as of the cell."""
    from ocrrl.sessions import policy_session, sequential_session

    state = SimpleNamespace(residual=1.0, before=lambda cell, seed: None, starts=[])

    def opened(name, scene, approval, clock, **more):
        def noted(cell, seed):
            state.starts.append(seed)
            state.before(cell, seed)

        cell = QuickCell(noted)
        return cell if approval is None else GuardedCell(cell, approval, clock, WORK)

    def folder(path):
        path.mkdir(parents=True)
        monkeypatch.chdir(path)
        for model in (LAYOUT.vla("real"), LAYOUT.residual(0)):
            model.mkdir(parents=True)
            (model / "weights").write_text("1")

    def run(*arguments):
        code = main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    def evaluate(*arguments, cell="rehearsal", approve=1000):
        if cell == "rehearsal" and approve:
            token = issue("rehearsal", NAME, "cube_lift", approve, "Ada", policy_session_clock)
            monkeypatch.setenv("OCRRL_APPROVAL", token)
        return run("evaluate", "cube_lift", "--cell", cell, "--until", "decided", "--session", NAME, *arguments)

    from time import time as policy_session_clock

    monkeypatch.setattr(policy_session, "open_cell", opened)
    monkeypatch.setattr(sequential_session, "least_detectable_effect", EFFECT)
    monkeypatch.setattr(policy_session, "require_trained_for", lambda *_: None)
    monkeypatch.setattr("ocrrl.policies.checkpoint.load_policy", lambda *_, **__: QuickBase(speed=0.0))
    monkeypatch.setattr(
        "ocrrl.residual.residual_policy.load_residual",
        lambda *_: ToyResidual(lambda seen: np.float32(state.residual) * seek(seen)),
    )
    monkeypatch.setattr(BlindOrder, "draw", classmethod(lambda cls, *_: cls("0f" * 16, "a1" * 16)))
    state.run, state.evaluate, state.new_folder = run, evaluate, lambda name: folder(tmp_path / name)
    state.new_folder("project")
    return state


def session_folder(cell="rehearsal"):
    return LAYOUT.session(cell, NAME)


def session_json(cell="rehearsal"):
    return json.loads((session_folder(cell) / "session.json").read_text())


def verdict(cell="rehearsal"):
    return json.loads((session_folder(cell) / "evaluation.json").read_text())[cell]["sequential"]
