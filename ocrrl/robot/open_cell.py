"""Opens a cell of `interface/cells.py`."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from ocrrl.files import locked
from ocrrl.interface.cameras import DEFAULT_CAMERAS, CameraSizes
from ocrrl.interface.cells import Cell, cell_named
from ocrrl.layout import WORK
from ocrrl.robot.operator.approval import Approval, Clock, NotApproved

if TYPE_CHECKING:
    from ocrrl.robot.cell.checked_cell import CheckedCell
    from ocrrl.robot.cell.guarded_cell import RobotCell
    from ocrrl.robot.operator.cell_operator import CellOperator
    from ocrrl.tabletop.parts.scene import TabletopScene


def reserved(cell: Cell) -> AbstractContextManager[None]:
    """Keeps every other session out of `cell` meanwhile; RuntimeError where one is in it."""
    busy = f"cell {cell.name} must run one session at a time, got a second one"
    return locked(WORK / "cells" / f"{cell.name}.lock", busy)


def logs_of(cell: Cell, folder: Path = WORK) -> Path:
    """The folder of what `cell` logs."""
    return folder / "cells" / cell.name


def open_cell(
    name: str,
    scene: "TabletopScene",
    approval: Approval | None,
    clock: Clock,
    folder: Path = WORK,
    checked: "CheckedCell | None" = None,
    operator: "CellOperator | None" = None,
    cameras: CameraSizes = DEFAULT_CAMERAS,
) -> "RobotCell":
    """The cell called `name`, one environment, with the tabletop task of `scene`.

    `folder` is where approvals are counted and logs go; `checked` is what `checked_cell.check_cell` gave, `operator` who stands
    beside hardware; `cameras` take the images, in a hardware cell those that it was checked for. Raises NotApproved without an
    approval for this cell and tabletop task where one is needed, ValueError where `checked` or `operator` is, RuntimeError for
    hardware that is not fit.
    """
    cell = cell_named(name)
    if cell.needs_approval:
        wanted = (name, scene.task.slug)
        got = (approval.cell, approval.tabletop_task) if approval else None
        if got != wanted:
            raise NotApproved(f"opening cell {name} needs an approval for {' and '.join(wanted)}, got {got}")
    opened = _open(cell, scene, clock, logs_of(cell, folder), checked, operator, cameras)
    if approval is None:
        return opened
    from ocrrl.robot.cell.guarded_cell import GuardedCell

    return GuardedCell(opened, approval, clock, folder)


def _open(
    cell: Cell,
    scene: "TabletopScene",
    clock: Clock,
    logs: Path,
    checked: "CheckedCell | None",
    operator: "CellOperator | None",
    cameras: CameraSizes,
) -> "RobotCell":
    if not cell.has_file:
        from ocrrl.robot.twin.twin import TwinCell

        return TwinCell(scene, 1, cameras=cameras)
    if checked is None:
        raise ValueError(f"cell {cell.name} must be checked before it is opened, got no checked cell file")
    if cell.name == "wire_twin":
        from ocrrl.robot.wire_twin.wire_twin import open_wire_twin

        return open_wire_twin(scene, logs, clock, checked.file, cameras=cameras)
    if operator is None:
        raise ValueError(f"cell {cell.name} must have an operator, got none")
    from ocrrl.robot.cell.fr3_cell import open_fr3_cell

    return open_fr3_cell(scene.task, logs, clock, checked, operator)
