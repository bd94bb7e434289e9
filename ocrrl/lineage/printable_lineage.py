"""`ocrrl.lineage(path)`: a lineage as a value that prints as `ocrrl lineage` does."""

from dataclasses import dataclass
from os import PathLike, fspath

from ocrrl.lineage.lineage import Lineage, trace
from ocrrl.lineage.project import find_project
from ocrrl.lineage.text import lineage_text


@dataclass(frozen=True, repr=False)
class PrintableLineage(Lineage):
    """What an artifact was made from: `tree`, `episodes`, `unknown`; as text, the page of `ocrrl lineage`."""

    def __str__(self) -> str:
        return lineage_text(self)

    def __repr__(self) -> str:  # what a notebook shows of a cell's last value
        return lineage_text(self)


def lineage(path: str | PathLike[str], revision: str | None = None) -> PrintableLineage:
    """What the model or dataset at `path` was made from, down to the demonstrations; at a git `revision`, or now.

    Raises FileNotFoundError outside a project (a folder with dvc.yaml), ValueError for a path that DVC does not track.
    """
    traced = trace(*find_project(fspath(path), revision))
    return PrintableLineage(traced.project, traced.tree, traced.episodes)
