"""A guarded cell moves in episodes that were approved, and counts those that begin."""

import numpy as np
import pytest

from ocrrl.robot.cell.guarded_cell import GuardedCell, NotFit
from ocrrl.robot.operator.approval import NotApproved, check
from ocrrl.robot.operator.approval_ledger import episodes_begun
from ocrrl.tabletop.cube_lift import TASK as CUBE_LIFT
from tests.robot.operator import test_approval as approvals
from tests.robot.operator.test_approval import SESSION

clock, approve = approvals.clock, approvals.approve


class StillCell:
    """A cell that counts what was asked of it."""

    cell, tabletop_task, num_envs = "twin", CUBE_LIFT, 1

    def __init__(self):
        self.calls, self.failing = [], False

    def require_fit(self):
        if self.failing:
            raise NotFit("camera front: device lost")

    def reset(self, ids, seeds):
        self.calls.append("reset")

    def step(self, actions, ids):
        self.calls.append("step")

    def close(self):
        self.calls.append("close")


def test_a_guarded_cell_moves_in_approved_episodes_only(tmp_path, clock, approve):
    approval = check(approve(episodes=1), *SESSION, 1, clock, tmp_path)
    inner = StillCell()
    cell = GuardedCell(inner, approval, clock, tmp_path)
    ids, action = np.array([0]), np.zeros((1, 7), np.float32)
    assert cell.cell == "fr3"
    inner.failing = True
    with pytest.raises(NotFit, match="device lost"):
        cell.reset(ids, [1])
    inner.failing = False
    assert inner.calls == [] and episodes_begun(tmp_path, approval.nonce) == 0
    with pytest.raises(NotApproved, match="must have begun an approved episode before it moves"):
        cell.step(action, ids)
    cell.reset(ids, [1])
    cell.step(action, ids)
    with pytest.raises(NotApproved, match="must suffice"):
        cell.reset(ids, [2])
    with pytest.raises(NotApproved, match="before it moves"):
        cell.step(action, ids)
    cell.close()
    assert inner.calls == ["reset", "step", "close"]
