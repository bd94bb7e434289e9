"""A lineage as a Mermaid flowchart: artifacts as boxes, stages on the arrows, episodes counted in their folder's box."""

import re
from collections import Counter
from collections.abc import Callable

from ocrrl.lineage.graph import Artifact
from ocrrl.lineage.lineage import Lineage
from ocrrl.lineage.wording import short, size_and_files
from ocrrl.printable import one_line

MOST_NODES = 39


def lineage_mermaid(lineage: Lineage) -> str:
    """The image with at most `MOST_NODES` boxes.

    Metrics are left out. Where that is not enough, artifacts of several tabletop tasks, then of several rounds, that
    play the same part share a box.
    """
    tree = lineage.tree
    shown = [a for a in tree.artifacts.values() if (a.kind != "metrics" and a.files != 0) or a is tree.top]
    tasks = tree.tabletop_tasks
    names: list[Callable[[Artifact], str]] = [
        lambda artifact: f"{artifact.path} {artifact.hash}",
        lambda artifact: _starred(artifact.path, tasks),
        lambda artifact: re.sub(r"\bround\d+\b", "round*", _starred(artifact.path, tasks)),
        lambda artifact: artifact.kind,
    ]
    name = next(name for name in names if len({name(a) for a in shown}) <= MOST_NODES or name is names[-1])
    groups: dict[str, list[Artifact]] = {}
    for artifact in shown:
        groups.setdefault(name(artifact), []).append(artifact)
    number = {group: f"a{index}" for index, group in enumerate(groups)}
    lines = ["flowchart TD"]
    lines += [f'    {number[group]}["{_label(lineage, group, inside)}"]' for group, inside in groups.items()]
    kept = {artifact.key for artifact in shown}
    arrows: dict[tuple[str, str], str] = {}
    for artifact in shown:
        stage = tree.stages.get(artifact.made_by or "")
        for key in stage.data if stage else ():
            ends = number[name(tree.artifacts[key])] if key in kept else "", number[name(artifact)]
            if stage and key in kept and ends[0] != ends[1]:
                arrows[ends] = stage.address if name is names[0] else stage.name
    lines += [f'    {start} -->|"{_quoted(label)}"| {end}' for (start, end), label in arrows.items()]
    return "\n".join(lines)


def _label(lineage: Lineage, group: str, inside: list[Artifact]) -> str:
    if len(inside) > 1:
        return f"{_quoted(group)}<br/>{len(inside)} of kind {inside[0].kind}"
    artifact = inside[0]
    lines = [_quoted(artifact.path), f"{artifact.kind} {short(artifact.hash)}"]
    episodes = [episode for episode in lineage.episodes.files if episode.file.startswith(f"{artifact.path}/")]
    if episodes:
        status = Counter(episode.status for episode in episodes)
        lines.append(f"{len(episodes)} episodes: " + ", ".join(f"{count} {name}" for name, count in status.items()))
    else:
        lines.append(size_and_files(artifact.size, artifact.files))
    return "<br/>".join(lines)


def _starred(path: str, names: list[str]) -> str:
    for name in names:
        path = path.replace(name, "*")
    return path


def _quoted(text: str) -> str:
    """`text` within quotes of a label: one line, none of its signs is Mermaid's, HTML's or the end of a Markdown fence."""
    line = one_line(text).replace("#", "#35;")
    return line.replace('"', "#quot;").replace("<", "#lt;").replace(">", "#gt;").replace("`", "#96;")
