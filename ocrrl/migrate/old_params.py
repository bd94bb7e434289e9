"""Converts params.yaml of older versions.

Version 0.1 repeats every value for every tabletop task and has other names of parameters. Versions before 0.3 declare no
cameras; they get the default ones, which those versions had.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from ocrrl.config_builder import ParamsError
from ocrrl.interface.cameras import DEFAULT_CAMERAS
from ocrrl.interface.renamed import RENAMED, current_names
from ocrrl.params import CAMERAS, CONFIGS, MULTITASK_CONFIGS, SHARED, Params, renamed_keys
from ocrrl.params_graph import GRAPH_SECTIONS


def is_old(sections: Mapping[str, Any]) -> bool:
    """Whether `sections` are those of a params.yaml of version 0.1, have its names, or no cameras."""
    return repeats_values(sections) or any(renamed_keys(sections)) or CAMERAS not in sections


def repeats_values(sections: Mapping[str, Any]) -> bool:
    """Whether `sections` hold every value of every tabletop task, and what graph.yaml holds today."""
    return bool(set(sections) & set(GRAPH_SECTIONS))


def new_params(sections: Mapping[str, Any]) -> dict[str, Any]:
    """The sections of a params.yaml of this version: the value of most tabletop tasks is shared, others are the task's own.

    Of sections with shared values only the names are converted, and cameras added.

    ParamsError where `sections` lack a task or a section.
    """
    old = repeats_values(sections)
    sections = {
        section: {layer: current_names(section, values) for layer, values in entries.items()}
        if section in RENAMED and isinstance(entries, Mapping)
        else entries
        for section, entries in sections.items()
    }
    if not old:
        new = _with_cameras(sections)
        Params(new).check()
        return new
    new = _with_cameras({"tabletop_tasks": sections["tabletop_tasks"]})
    for section in CONFIGS:
        entries = sections.get(section)
        if not isinstance(entries, Mapping) or set(entries) != set(new["tabletop_tasks"]):
            raise ParamsError(f"params.yaml: {section} must hold the keys of tabletop_tasks for `ocrrl migrate`")
        shared = _most_common(list(entries.values()))
        own = {
            task: {key: value for key, value in values.items() if value != shared[key]}
            for task, values in entries.items()
        }
        new[section] = {SHARED: shared} | own
    new |= {section: sections[section] for section in MULTITASK_CONFIGS if section in sections}
    Params(new).check()
    return new


def _with_cameras(sections: Mapping[str, Any]) -> dict[str, Any]:
    """`sections` with the default cameras after the tabletop tasks, where they name none."""
    cameras = {CAMERAS: sections.get(CAMERAS, {name: list(size) for name, size in DEFAULT_CAMERAS.items()})}
    return {"tabletop_tasks": sections.get("tabletop_tasks")} | cameras | dict(sections)


def _most_common(entries: list[Mapping[str, Any]]) -> dict[str, Any]:
    """Each key's value that most of `entries` have; of several the first."""
    shared = {}
    for key in entries[0]:
        values = [entry.get(key) for entry in entries]
        most = Counter(map(repr, values)).most_common(1)[0][0]
        shared[key] = next(value for value in values if repr(value) == most)
    return shared
