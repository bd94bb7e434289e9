"""The steps of docs/add_a_tabletop_task.md as data: what adds the tabletop task `push_puck` to a copy of the project."""

import shutil
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

SCENE = Path(__file__).with_name("push_puck.py")
SCENE_FILE = "ocrrl/sim/push_puck.py"
WRITTEN_BY_COMMAND = "params.yaml"

CONTRACT = """\
PUSH_PUCK = TabletopTask(
    slug="push_puck",
    instruction="push the blue puck over the red line",
    objects=(TrackedObject("puck", axial_symmetry()),),
    horizon=120,
)

"""


@dataclass(frozen=True)
class Insertion:
    """`text` goes into `file` in front of `before`, which stands there once."""

    file: str
    before: str
    text: str

    def changed(self, content: str) -> str:
        """The file's `content` with the insertion. Raises ValueError unless it holds `before` once."""
        if (count := content.count(self.before)) != 1:
            raise ValueError(f"{self.file} must hold {self.before!r} once, got {count} of it")
        return content.replace(self.before, self.text + self.before)


@dataclass(frozen=True)
class Repetition:
    """Each block of lines in `file` that name the tabletop task `like` is followed by the same lines for `push_puck`."""

    file: str
    like: str

    def changed(self, content: str) -> str:
        """The file's `content` with the repeated lines. Raises ValueError if no line names `like`."""
        if self.like not in content:
            raise ValueError(f"{self.file} must name {self.like}, got no line that does")
        lines: list[str] = []
        for names_it, block in groupby(content.splitlines(keepends=True), key=lambda line: self.like in line):
            lines += (kept := list(block))
            if names_it:
                lines += [line.replace(self.like, "push_puck") for line in kept]
        return "".join(lines)


CHANGES = (
    Insertion("ocrrl/interface/tabletop_tasks.py", "TABLETOP_TASKS = {", CONTRACT),
    Insertion("ocrrl/interface/tabletop_tasks.py", ")}\n\n\ndef tabletop_task(", ", PUSH_PUCK"),
    Insertion("ocrrl/worlds.py", '}\n"""Class of each', '    "push_puck": "PushPuck",\n'),
    Repetition("dvc.yaml", "stand_cup_up"),
    Insertion(
        "prefect.yaml",
        "  - name: full\n    entrypoint: flows/parts.py:ingest\n",
        "  - name: push-puck\n"
        "    entrypoint: flows/self_improve.py:self_improve\n"
        "    description: The whole loop for Push Puck\n"
        "    parameters: {tasks: [push_puck]}\n"
        "    <<: *here\n",
    ),
    Insertion(
        "tests/sim/test_tabletop_tasks.py", "}\nDEMONSTRATIONS =", '    "push_puck": ("reach", "push", "cross"),\n'
    ),
    Insertion("tests/test_pipeline_names.py", ", got 'juggle'", ", push_puck"),
)

FILES = (SCENE_FILE, *dict.fromkeys(change.file for change in CHANGES), WRITTEN_BY_COMMAND)
"""Every file that a tabletop task touches."""


def add_push_puck(project: Path) -> None:
    """Take every step in `project` but the command that writes its parameters."""
    shutil.copy(SCENE, project / SCENE_FILE)
    for change in CHANGES:
        file = project / change.file
        file.write_text(change.changed(file.read_text()))
