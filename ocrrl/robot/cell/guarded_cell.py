"""A cell that begins no episode without an operator's approval."""

from pathlib import Path
from typing import Protocol

import numpy as np

from ocrrl.interface.observations import Images, Observation
from ocrrl.interface.protocols import Environment, StepResult
from ocrrl.robot.operator.approval import Approval, Clock, NotApproved, begin_episode


class NotFit(RuntimeError):
    """A part of a cell has failed before an episode: nothing has moved, and none was counted."""


class RobotCell(Environment, Protocol):
    """An environment that a session can be run in."""

    def require_fit(self) -> None:
        """Raises NotFit, nothing moved, where a part that an episode needs has failed and does not come back."""
        ...

    def now(self) -> float:
        """The cell's clock [s], which control steps keep pace with."""
        ...

    def calibration(self) -> dict[str, dict[str, object]]:
        """The cameras' poses and fields of view, for an episode's attributes."""
        ...

    def close(self) -> None:
        """Let go of the cell."""
        ...


class GuardedCell:
    """A `RobotCell`: every reset is counted as an episode of `approval` before anything moves."""

    def __init__(self, cell: RobotCell, approval: Approval, clock: Clock, folder: Path) -> None:
        """Takes its name from the approval; `folder` is where approvals are counted."""
        self._cell, self._approval, self._clock, self._folder = cell, approval, clock, folder
        self._begun = False
        self.cell, self.tabletop_task, self.num_envs = approval.cell, cell.tabletop_task, cell.num_envs

    @property
    def unguarded(self) -> RobotCell:
        """The cell itself, to be looked at: whoever steps it goes past the approval."""
        return self._cell

    def reset(self, ids: np.ndarray, seeds: list[int]) -> None:
        """Begin approved episodes; raises NotApproved, the cell untouched, when the approval does not cover them, and NotFit."""
        self._begun = False
        self.require_fit()
        for _ in ids:
            begin_episode(self._approval, self._clock, self._folder)
        self._cell.reset(ids, seeds)
        self._begun = True

    def require_fit(self) -> None:
        """Of the cell; that needs no approval."""
        self._cell.require_fit()

    def step(self, actions: np.ndarray, ids: np.ndarray) -> StepResult:
        """One step of an approved episode; raises NotApproved when none has begun."""
        if not self._begun:
            raise NotApproved(f"cell {self.cell} must have begun an approved episode before it moves, got none")
        return self._cell.step(actions, ids)

    def observe(self) -> Observation:
        return self._cell.observe()

    def capture(self, ids: np.ndarray) -> Images:
        return self._cell.capture(ids)

    def now(self) -> float:
        """The cell's clock [s]."""
        return self._cell.now()

    def come_to_rest(self, error: str = "") -> None:
        """Stay where it is; that needs no approval."""
        self._cell.come_to_rest(error)

    def calibration(self) -> dict[str, dict[str, object]]:
        """The cell's."""
        return self._cell.calibration()

    def close(self) -> None:
        """Let go of the cell; nothing moves after it."""
        self._begun = False
        self._cell.close()
