"""What came of each kind of injected fault, counted and printed."""

from dataclasses import dataclass, field, fields

import numpy as np

from benchmarks.inspector import Inspector
from ocrrl.interface.episode import Episode
from ocrrl.report.table import Table, markdown_table


@dataclass
class Tally:
    """What came of one kind of fault."""

    injected: int = 0
    held: int = 0
    delays: list[float] = field(default_factory=list)
    logged: int = 0
    intact: int = 0
    unsafe: list[str] = field(default_factory=list)


def same(one: Episode, other: Episode) -> bool:
    """Whether two episodes have the same attributes and the same numbers in every array."""
    for entry in fields(Episode):
        a, b = getattr(one, entry.name), getattr(other, entry.name)
        arrays = (a, b) if isinstance(a, dict) else ({"": a}, {"": b})
        if arrays[0].keys() != arrays[1].keys():
            return False
        for key, value in arrays[0].items():
            equal = np.array_equal(value, arrays[1][key]) if isinstance(value, np.ndarray) else value == arrays[1][key]
            if not equal:
                return False
    return True


def report(where: str, inspector: Inspector, tallies: dict[str, Tally], steps: int) -> list[str]:
    """Print what was injected and what came of it; the faults where something went wrong."""
    episodes = sum(tally.injected for tally in tallies.values())
    print(
        f"{where}: {steps} steps, {episodes} episodes, {inspector.commands} commands reached the arm; no robot moves\n"
    )
    print(markdown_table(table(tallies)))
    wrong = [name for name, t in tallies.items() if t.unsafe or min(t.held, t.logged, t.intact) < t.injected]
    print(
        f"Unsafe commands: {sum(len(t.unsafe) for t in tallies.values())}. Went wrong: {', '.join(wrong) or 'nothing'}.\n"
    )
    return wrong


def table(tallies: dict[str, Tally]) -> Table:
    """One row a kind of fault."""
    rows = [
        (
            name,
            str(t.injected),
            str(len(t.unsafe)),
            f"{t.held} of {t.injected}",
            f"{1000 * max(t.delays):.0f} ms" if t.delays else "–",
            f"{t.logged} of {t.injected}",
            f"{t.intact} of {t.injected}",
        )
        for name, t in tallies.items()
    ]
    header = (
        "fault",
        "injected",
        "unsafe commands",
        "held or not shown, in time",
        "latest",
        "cause told",
        "episode intact",
    )
    return Table(header, rows, text_columns=1)
