"""The cells that serve the real domain, and the one door to them."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ocrrl.file_lock import locked
from ocrrl.layout import WORK
from ocrrl.robot.approval import Approval, Clock, NotApproved

if TYPE_CHECKING:
    from ocrrl.robot.cell_operator import CellOperator
    from ocrrl.robot.checked_cell import CheckedCell
    from ocrrl.robot.guarded_cell import RobotCell
    from ocrrl.sim.tabletop_scene import TabletopScene


@dataclass(frozen=True)
class Cell:
    """A cell's name, whether an operator must approve its motion, and what stands behind the name."""

    name: str
    needs_approval: bool
    stands_for: str
    has_file: bool = False
    """Whether it is made of what a cell file names: `cells/<name>.yaml` unless another is given."""


CELLS = {
    cell.name: cell
    for cell in (
        Cell("twin", False, "a twin; no robot moved"),
        Cell("rehearsal", True, "a twin; no robot moved"),
        Cell("wire_twin", False, "a twin, through the real drivers; no robot moved", has_file=True),
        Cell("fr3", True, "a Franka FR3; it moves", has_file=True),
    )
}
STAGES_CELL = "twin"


def cell_named(name: str) -> Cell:
    """The cell called `name`; ValueError names the known ones."""
    if name not in CELLS:
        raise ValueError(f"cell must be one of {', '.join(CELLS)}, got {name!r}")
    return CELLS[name]


def session_cell(name: str) -> Cell:
    """The cell called `name`; ValueError if it is unknown, or the stages' own, where no session is run."""
    cell = cell_named(name)
    if cell.name == STAGES_CELL:
        others = ", ".join(known for known in CELLS if known != STAGES_CELL)
        raise ValueError(f"a session must name a cell of its own ({others}), got {name}, where stages run")
    return cell


def reserved(cell: Cell) -> AbstractContextManager[None]:
    """Keeps every other session out of `cell` meanwhile; RuntimeError where one is in it."""
    busy = f"cell {cell.name} must run one session at a time, got a second one"
    return locked(WORK / "cells" / f"{cell.name}.lock", busy)


def logs_of(cell: Cell, folder: Path = WORK) -> Path:
    """The folder of what `cell` logs."""
    return folder / "cells" / cell.name


def cell_to_approve(name: str) -> Cell:
    """The cell called `name`; ValueError if it is unknown or needs no approval."""
    cell = cell_named(name)
    if not cell.needs_approval:
        asking = ", ".join(known.name for known in CELLS.values() if known.needs_approval)
        raise ValueError(f"cell must be one that needs an approval ({asking}), got {name}: no robot moves there")
    return cell


def open_cell(
    name: str,
    scene: "TabletopScene",
    approval: Approval | None,
    clock: Clock,
    folder: Path = WORK,
    checked: "CheckedCell | None" = None,
    operator: "CellOperator | None" = None,
) -> "RobotCell":
    """The cell called `name`, one environment, with the tabletop task of `scene`.

    `folder` is where approvals are counted and logs go; `checked` is what `checked_cell.check_cell` gave, `operator` who stands
    beside hardware. Raises NotApproved without an approval for this cell and tabletop task where one is needed, ValueError
    where `checked` or `operator` is, RuntimeError for hardware that is not fit.
    """
    cell = cell_named(name)
    if cell.needs_approval:
        wanted = (name, scene.task.slug)
        got = (approval.cell, approval.tabletop_task) if approval else None
        if got != wanted:
            raise NotApproved(f"opening cell {name} needs an approval for {' and '.join(wanted)}, got {got}")
    opened = _open(cell, scene, clock, logs_of(cell, folder), checked, operator)
    if approval is None:
        return opened
    from ocrrl.robot.guarded_cell import GuardedCell

    return GuardedCell(opened, approval, clock, folder)


def _open(
    cell: Cell,
    scene: "TabletopScene",
    clock: Clock,
    logs: Path,
    checked: "CheckedCell | None",
    operator: "CellOperator | None",
) -> "RobotCell":
    if not cell.has_file:
        from ocrrl.robot.twin import TwinCell

        return TwinCell(scene, 1)
    if checked is None:
        raise ValueError(f"cell {cell.name} must be checked before it is opened, got no checked cell file")
    if cell.name == "wire_twin":
        from ocrrl.robot.wire_twin.wire_twin import open_wire_twin

        return open_wire_twin(scene, logs, clock, checked.file)
    if operator is None:
        raise ValueError(f"cell {cell.name} must have an operator beside it, got none")
    from ocrrl.robot.fr3_cell import open_fr3_cell

    return open_fr3_cell(scene.task, logs, clock, checked, operator)
