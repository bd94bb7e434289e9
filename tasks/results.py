"""What the Prefect UI shows of one stage's results: a headline and Markdown."""

from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]
TWINS = ("twin", "wire_twin", "rehearsal")
NO_ROBOT = "*Every number marked twin comes from a simulated stand-in for the lab, not from a robot.*"


@dataclass(frozen=True)
class Results:
    """`headline` is one sentence, also shown on the artifact's card; `body` is Markdown."""

    headline: str
    body: str


def cell_name(cell: str) -> str:
    """How a cell is called, in one line, so that no twin passes for a robot."""
    cell = " ".join(str(cell).split())
    if cell == "sim":
        return "simulator"
    return f"{cell} (simulated, no robot)" if cell in TWINS else f"{cell} (robot)"


def no_robot(cells: object) -> str | None:
    """The sentence that must stand beside numbers of a twin; None where `cells` are of no twin."""
    return NO_ROBOT if isinstance(cells, (list, tuple, set, dict)) and any(cell in TWINS for cell in cells) else None
