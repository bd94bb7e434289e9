"""A lineage: the tree of an artifact, its episodes, and what is not known; as a value and as text for the terminal."""

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path

from ocrrl.lineage.datasets import MODELS, trained_on
from ocrrl.lineage.episodes import DEMONSTRATION, EpisodeFile, Episodes, episodes_of
from ocrrl.lineage.graph import Artifact, Stage, Tree
from ocrrl.lineage.project import Project, find_project
from ocrrl.lineage.reading.hashes import Ignored, manifest_hash, manifest_of
from ocrrl.lineage.reading.revision import Revision
from ocrrl.lineage.remote_models import remote_models
from ocrrl.lineage.wording import human_size, params_by_section, run_text, short, size_and_files, table, value_text


@dataclass(frozen=True, repr=False)
class Lineage:
    """What an artifact was made from: `tree`, `episodes`, `unknown`; as text, the page of `ocrrl lineage`."""

    project: Project
    tree: Tree
    episodes: Episodes

    @property
    def revision(self) -> Revision:
        return self.project.revision

    @property
    def unknown(self) -> list[str]:
        remote = remote_models(self.tree, self.project.contents)
        served = (f"{path}: {model.said}" for path, model in remote.items())
        return [
            *self.episodes.unknown,
            *served,
            *self.project.notes,
            *map(self._broken_object, self.project.contents.broken),
        ]

    def manifest(self) -> dict[str, str]:
        """MD5 by file of the artifact's folder; ValueError unless the folder is here and is what DVC recorded."""
        root, top = self.project.root, self.tree.top
        folder = root / top.path
        if not folder.is_dir():
            raise ValueError(f"{top.path} must be a folder that is here; `dvc pull {top.path}` brings it")
        manifest = manifest_of(folder, root, Ignored.of_project(root))
        if (found := manifest_hash(manifest)) != top.hash:
            raise ValueError(
                f"{top.path} must be as DVC recorded it ({short(top.hash)}), got other bytes ({short(found)}): `ocrrl lineage "
                f"{top.path} --verify` names the files, `dvc checkout {top.path}` brings back what was recorded"
            )
        return manifest

    def __str__(self) -> str:
        return lineage_text(self)

    __repr__ = __str__  # what a notebook shows of a cell's last value

    def _broken_object(self, path: Path) -> str:
        return (
            f"{os.path.relpath(path, self.project.root)} is broken, its bytes are not what its name says: delete it; `dvc fetch` "
            "brings it from a remote, `dvc commit -f <stage>` writes it again from what lies in the workspace"
        )


def lineage(path: str | PathLike[str], revision: str | None = None) -> Lineage:
    """What the model or dataset at `path` was made from, down to the demonstrations; at a git `revision`, or now.

    Raises FileNotFoundError outside a project (a folder with dvc.yaml), ValueError for a path that DVC does not track.
    """
    return trace(*find_project(fspath(path), revision))


def trace(project: Project, path: str) -> Lineage:
    """The lineage of the artifact at `path`, relative to the project; raises UnknownPath (a ValueError)."""
    tree = project.tree(path)
    return Lineage(project, tree, episodes_of(tree, project.contents))


def lineage_text(lineage: Lineage, every_rollout: bool = False) -> str:
    """The whole page; rollouts are counted by folder unless `every_rollout`."""
    lines = [f"In {lineage.revision}:", *_branch(lineage.tree, lineage.tree.top, "", "", set(), set()), ""]
    lines += _versions(lineage.tree)
    lines += episode_lines(lineage.episodes, every_rollout)
    lines += [f"Not known: {note}" for note in lineage.unknown]
    return "\n".join(lines).rstrip()


def episode_lines(episodes: Episodes, every_rollout: bool) -> list[str]:
    """Every demonstration, a row each, and the rollouts by folder or a row each."""
    demonstrations = [episode for episode in episodes.files if episode.kind == DEMONSTRATION]
    rollouts = [episode for episode in episodes.files if episode.kind != DEMONSTRATION]
    lines = [f"Demonstrations: {_counts(demonstrations)}", *_rows(demonstrations), ""] if demonstrations else []
    if rollouts:
        lines.append(f"Rollouts: {_counts(rollouts)}" + ("" if every_rollout else "; --all lists every one"))
        folders: dict[str, list[EpisodeFile]] = {}
        for rollout in rollouts:
            folders.setdefault(rollout.file.rpartition("/")[0], []).append(rollout)
        for folder, inside in folders.items():
            lines += [] if every_rollout else [f"  {folder}: {_counts(inside, with_reasons=True)}"]
        lines += [*(_rows(rollouts) if every_rollout else []), ""]
    return lines


def _branch(
    tree: Tree, artifact: Artifact, first: str, others: str, artifacts: set[tuple[str, str]], stages: set[str]
) -> Iterator[str]:
    """The tree; an artifact or a stage that was described before is only named."""
    head = f"{first}{artifact.path}  {artifact.kind} {short(artifact.hash)}"
    if artifact.key in artifacts:
        yield f"{head}, see above"
        return
    artifacts.add(artifact.key)
    yield f"{head}  {size_and_files(artifact.size, artifact.files)}"
    stage = tree.stages.get(artifact.made_by or "")
    if stage is None:
        yield f"{others}    {artifact.note}"
        return
    if stage.address in stages:
        yield f"{others}    by {stage.address}, see above"
        return
    stages.add(stage.address)
    own = {dataset.key for dataset in trained_on(tree, artifact)} if artifact.kind in MODELS else set()
    children = sorted(tree.children(artifact), key=lambda child: (child.key not in own, child.kind == "metrics"))
    for line in _stage_lines(stage):
        yield f"{others}{'│' if children else ' '}   {line}"
    for child in children:
        last = child is children[-1]
        corner, bar = ("└─ ", "   ") if last else ("├─ ", "│  ")
        yield from _branch(tree, child, others + corner, others + bar, artifacts, stages)


def _stage_lines(stage: Stage) -> Iterator[str]:
    yield f"by {stage.address}" + ("" if stage.seed is None else f", seed {stage.seed}") + f": {stage.command}"
    for section, values in params_by_section(stage.params).items():
        listed = ", ".join(f"{name} {value_text(value)}" for name, value in values.items())
        yield f"{section}: {listed}" if section else listed
    code = "code: " + (f"{len(stage.code)} path" + "s" * (len(stage.code) != 1) if stage.code else "not tracked")
    yield f"{run_text(stage.run)}; {code}"


def _versions(tree: Tree) -> list[str]:
    """The library versions of the runs, and the stages that ran with others."""
    runs = {stage.address: stage.run.versions for stage in tree.stages.values() if stage.run}
    if not runs:
        return []
    common = Counter(str(sorted(versions.items(), key=str)) for versions in runs.values()).most_common(1)[0][0]
    usual = next(versions for versions in runs.values() if str(sorted(versions.items(), key=str)) == common)
    lines = ["Libraries: " + ", ".join(f"{name} {version}" for name, version in usual.items() if version)]
    for address, versions in runs.items():
        differ = (name for name in {*usual, *versions} if versions.get(name) != usual.get(name))
        other = [f"{name} {versions.get(name)}" for name in differ]
        lines += [f"  but {address}: {', '.join(sorted(other))}"] if other else []
    return [*lines, ""]


def _counts(episodes: list[EpisodeFile], with_reasons: bool = False) -> str:
    status = Counter(_status(episode) if with_reasons else episode.status for episode in episodes)
    cells = sorted({episode.cell for episode in episodes if episode.cell})
    said = [
        f"{len(episodes)} file" + "s" * (len(episodes) != 1),
        *(f"{count} {name}" for name, count in status.most_common()),
    ]
    return ", ".join(said + ([f"cell {', '.join(cells)}"] if cells else []))


def _status(episode: EpisodeFile) -> str:
    return f"{episode.status} ({episode.reason})" if episode.reason else episode.status


def _rows(episodes: list[EpisodeFile]) -> list[str]:
    heading = ["file", "md5", "size", "operator", "cell", "success", "seed", "status"]
    rows = []
    for episode in episodes:
        success = {True: "yes", False: "no", None: "?"}[episode.success]
        size = human_size(episode.size) if episode.size is not None else "?"
        origin = f" (from {episode.origin}, {short(episode.origin_hash)})" if episode.origin else ""
        seed = "-" if episode.seed is None else str(episode.seed)
        rows.append(
            [
                *(episode.file + origin, short(episode.hash), size, episode.operator or "?", episode.cell or "?"),
                *(success, seed, _status(episode)),
            ]
        )
    return [f"  {line}" for line in table(rows, heading)]
