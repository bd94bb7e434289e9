"""The catalogue of cells: what each represents and requires. `ocrrl/robot/open_cell.py` opens one."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Cell:
    """A cell's name, whether an operator must approve its motion, and what stands behind the name."""

    name: str
    simulated: bool
    """Whether a twin stands in for the robot, so that none moves."""
    needs_approval: bool
    stands_for: str
    has_file: bool = False
    """Whether it is made of what a cell file names: `cells/<name>.yaml` unless another is given."""


CELLS = {
    cell.name: cell
    for cell in (
        Cell("twin", True, False, "a twin; no robot moved"),
        Cell("rehearsal", True, True, "a twin; no robot moved"),
        Cell("wire_twin", True, False, "a twin, through the real drivers; no robot moved", has_file=True),
        Cell("fr3", False, True, "a Franka FR3; it moves", has_file=True),
    )
}
STAGES_CELL = "twin"
TWINS = tuple(cell.name for cell in CELLS.values() if cell.simulated)


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


def cell_to_approve(name: str) -> Cell:
    """The cell called `name`; ValueError if it is unknown or needs no approval."""
    cell = cell_named(name)
    if not cell.needs_approval:
        asking = ", ".join(known.name for known in CELLS.values() if known.needs_approval)
        raise ValueError(f"cell must be one that needs an approval ({asking}), got {name}: no robot moves there")
    return cell
