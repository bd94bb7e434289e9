"""The words of a foreign recording's instruction: those that training, evaluation and rollouts ask with.

A VLA that was trained on other words than it is asked with later is asked a question that it never heard.
"""

from ocrrl.interface.tabletop_tasks import TabletopTask
from ocrrl.printable import one_line

_LONGEST = 80  # characters


def foreign_instruction(declared: str | None, recorded: str | None, task: TabletopTask) -> tuple[str, tuple[str, ...]]:
    """The instruction `declared` by the mapping, or the tabletop task's own; with a note where `recorded` is another."""
    if declared is not None:
        return declared, ()
    if not recorded or not recorded.strip() or _same(recorded, task.instruction):
        return task.instruction, ()
    return task.instruction, (
        f"instruction: the dataset says {_quoted(recorded)}, taken as {_quoted(task.instruction)};"
        " mapping.instruction keeps another",
    )


def _same(first: str, second: str) -> bool:
    """But for capitals, spaces and a full stop."""
    one, other = (" ".join(words.lower().split()).rstrip(".!") for words in (first, second))
    return one == other


def _quoted(text: str) -> str:
    shown = one_line(text)
    return f'"{shown if len(shown) <= _LONGEST else shown[: _LONGEST - 3] + "..."}"'
