"""A lineage: the tree below an artifact, its episodes, and what could not be told."""

from dataclasses import dataclass

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
        return [*self.episodes.unknown, *self.project.notes]


def trace(project: Project, path: str) -> Lineage:
    """The lineage of the artifact at `path`, relative to the project; raises UnknownPath (a ValueError)."""
    tree = project.tree(path)
    return Lineage(project, tree, episodes_of(tree, project.contents))
