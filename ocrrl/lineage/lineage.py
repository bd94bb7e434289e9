"""A lineage: the tree of an artifact, its episodes, and what is not known."""

import os
from dataclasses import dataclass
from pathlib import Path

from ocrrl.lineage.episodes import Episodes, episodes_of
from ocrrl.lineage.graph import Tree
from ocrrl.lineage.project import Project
from ocrrl.lineage.revision import Revision


@dataclass(frozen=True)
class Lineage:
    """Everything that an artifact of a project was made from."""

    project: Project
    tree: Tree
    episodes: Episodes

    @property
    def revision(self) -> Revision:
        return self.project.revision

    @property
    def unknown(self) -> list[str]:
        return [*self.episodes.unknown, *self.project.notes, *map(self._broken_object, self.project.contents.broken)]

    def _broken_object(self, path: Path) -> str:
        return (
            f"{os.path.relpath(path, self.project.root)} is broken, its bytes are not what its name says: delete it; `dvc fetch` "
            "brings it from a remote, `dvc commit -f <stage>` writes it again from what lies in the workspace"
        )


def trace(project: Project, path: str) -> Lineage:
    """The lineage of the artifact at `path`, relative to the project; raises UnknownPath (a ValueError)."""
    tree = project.tree(path)
    return Lineage(project, tree, episodes_of(tree, project.contents))
