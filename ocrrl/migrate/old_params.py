"""Converts params.yaml of older versions.

Version 0.1 repeats every value for every tabletop task and has other names of parameters. Version 0.2 lacks parameters that are
new since; each gets its default, with which the stages compute what they computed before.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from ocrrl.config_builder import ParamsError, values_of
from ocrrl.interface.cameras import DEFAULT_CAMERAS
from ocrrl.interface.renamed import RENAMED, current_names
from ocrrl.params import CAMERAS, CONFIGS, MULTITASK_CONFIGS, SHARED, Params, config_class, renamed_keys
from ocrrl.params_graph import GRAPH_SECTIONS


def is_old(sections: Mapping[str, Any]) -> bool:
    """Whether `sections` are those of a params.yaml of version 0.1, have its names, or lack a parameter that is new since."""
    return repeats_values(sections) or any(renamed_keys(sections)) or any(new_keys(sections))


def new_keys(sections: Mapping[str, Any]) -> Iterator[str]:
    """Each section and dotted key that `sections`, of version 0.2 or later, do not have yet."""
    if CAMERAS not in sections:
        yield CAMERAS
    for place, section, values in _full_layers(sections):
        yield from (f"{place}.{key}" for key in completed(section, values) if key not in values)


def completed(section: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """`values` of `section`, under today's names, with the default of each parameter that they lack."""
    defaults = json.loads(json.dumps(values_of(config_class(section)())))
    return dict(values) | {key: value for key, value in defaults.items() if key not in values}


def _full_layers(sections: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """The place, section and values of each mapping in `sections` that holds every parameter, under today's names."""
    for section in (*CONFIGS, *MULTITASK_CONFIGS):
        values, place = sections.get(section), section
        if section in CONFIGS and isinstance(values, Mapping):
            values, place = values.get(SHARED), f"{section}.{SHARED}"
        if isinstance(values, Mapping):
            yield place, section, current_names(section, values)


def repeats_values(sections: Mapping[str, Any]) -> bool:
    """Whether `sections` hold every value of every tabletop task, and what graph.yaml holds today."""
    return bool(set(sections) & set(GRAPH_SECTIONS))


def new_params(sections: Mapping[str, Any]) -> dict[str, Any]:
    """The sections of a params.yaml of this version: the value of most tabletop tasks is shared, others are the task's own.

    Of sections with shared values only the names are converted, and new parameters added.

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
        for _, section, values in _full_layers(new):
            full = completed(section, values)
            new[section] = new[section] | {SHARED: full} if section in CONFIGS else full
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
        new[section] = {SHARED: completed(section, shared)} | own
    new |= {s: completed(s, sections[s]) for s in MULTITASK_CONFIGS if isinstance(sections.get(s), Mapping)}
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
