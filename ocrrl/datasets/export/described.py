"""An exported dataset as the files of a trainer describe it: its cameras, and its columns in groups."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from string import Template
from typing import Any, Protocol

CONFIGS = "configs"
"""The folder of the trainers' configurations in the export."""
HORIZON = 16
"""Actions in a chunk that the configurations train."""


class Columns(Protocol):
    """Columns that belong together (`ocrrl.policies.action_forms.columns.Group`)."""

    @property
    def name(self) -> str: ...

    @property
    def start(self) -> int: ...

    @property
    def end(self) -> int: ...

    @property
    def absolute(self) -> bool: ...

    @property
    def rotation_type(self) -> str | None: ...


@dataclass(frozen=True)
class Described:
    """What the files say of a dataset: its cameras, and its columns in groups."""

    cameras: Sequence[str]
    state: Sequence[Columns]
    action: Sequence[Columns]

    @property
    def action_width(self) -> int:
        return max(group.end for group in self.action)


def filled(template: Template, values: Mapping[str, Any]) -> str:
    """The Python file that `template` becomes with `values`, each written as a literal."""
    return template.substitute({name: repr(value) for name, value in values.items()})
