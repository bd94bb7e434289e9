"""The cells that serve the real domain, and the one door to them."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ocrrl.layout import WORK
from ocrrl.robot.approval import Approval, Clock, NotApproved

if TYPE_CHECKING:
    from ocrrl.robot.guarded_cell import RobotCell
    from ocrrl.sim.tabletop_scene import TabletopScene


@dataclass(frozen=True)
class Cell:
    """A cell's name, whether an operator must approve its motion, and what stands behind the name."""

    name: str
    needs_approval: bool
    stands_for: str


CELLS = {
    cell.name: cell
    for cell in (
        Cell("twin", False, "a twin; no robot moved"),
        Cell("rehearsal", True, "a twin; no robot moved"),
        Cell("fr3", True, "a Franka FR3; it moves"),
    )
}


def cell_named(name: str) -> Cell:
    """The cell called `name`; ValueError names the known ones."""
    if name not in CELLS:
        raise ValueError(f"cell must be one of {', '.join(CELLS)}, got {name!r}")
    return CELLS[name]


def cell_to_approve(name: str) -> Cell:
    """The cell called `name`; ValueError if it is unknown or needs no approval."""
    cell = cell_named(name)
    if not cell.needs_approval:
        asking = ", ".join(known.name for known in CELLS.values() if known.needs_approval)
        raise ValueError(f"cell must be one that needs an approval ({asking}), got {name}: no robot moves there")
    return cell


def open_cell(
    name: str, scene: "TabletopScene", approval: Approval | None, clock: Clock, folder: Path = WORK
) -> "RobotCell":
    """The cell called `name`, one environment, with the tabletop task of `scene`.

    Raises NotApproved without an approval for this cell and tabletop task where one is needed, RuntimeError for
    hardware that has no driver here.
    """
    cell = cell_named(name)
    if cell.needs_approval:
        wanted = (name, scene.task.slug)
        got = (approval.cell, approval.tabletop_task) if approval else None
        if got != wanted:
            raise NotApproved(f"opening cell {name} needs an approval for {' and '.join(wanted)}, got {got}")
    if name == "fr3":
        raise RuntimeError(
            "cell fr3 cannot be opened: its camera and pose tracker are not here yet. The arm's driver, the safety gate, "
            "approvals and session folders are; practise with --cell rehearsal, a twin handled as hardware"
        )
    from ocrrl.robot.guarded_cell import GuardedCell
    from ocrrl.robot.twin import TwinCell

    twin = TwinCell(scene, 1)
    return GuardedCell(twin, approval, clock, folder) if approval else twin
