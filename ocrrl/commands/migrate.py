"""`ocrrl migrate`: brings a folder of an older version to this version's paths, parameters and dvc.lock; runs no stage.

In a project of `ocrrl init` the files that came with the package are brought up to the installed one first.

Every step looks at what is there, so that a run that was interrupted is finished by the next one, and a run on a folder of this
version changes nothing. params.yaml, by which an old folder is known, comes last.
"""

import argparse
import json
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from ocrrl import files
from ocrrl.code_units import is_installed
from ocrrl.commands.params import rewrite, write, write_over
from ocrrl.interface.json_file import read_json_object
from ocrrl.layout import DATA
from ocrrl.lineage.reading.dvc_files import LOCK
from ocrrl.lineage.reading.places import here, new_place, old_outs
from ocrrl.lineage.run_record import RUNS_FILE, read_runs
from ocrrl.migrate.new_lock import Migrated, migrated_lock
from ocrrl.migrate.old_params import is_old, new_params, repeats_values
from ocrrl.params import CAMERAS, PARAMS_FILE, renamed_keys, sections_in
from ocrrl.params_graph import GRAPH_FILE, seeds_and_rounds
from ocrrl.project.upgrade import upgrade_of
from ocrrl.safe_yaml import read_yaml
from ocrrl.stages.running import files_reserved

_REPLAY_REPORTS = f"{DATA}/metrics/replay/*/*.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dry", action="store_true", help="print the steps, change nothing")


def run(options: argparse.Namespace) -> int:
    migrate(options.dry)
    return 0


def migrate(dry: bool) -> None:
    """Bring the project in the working folder over and print each step; `dry` prints the steps and changes nothing.

    FileNotFoundError outside a project. ValueError where an old and a new place of one thing are both there, or where a file
    cannot be read.
    """
    if not Path("dvc.yaml").is_file() or not PARAMS_FILE.is_file():
        raise FileNotFoundError(
            f"migrate must run in a project's folder, got {Path.cwd()} without dvc.yaml or {PARAMS_FILE}"
        )
    moves = [(old, Path(new_place(PurePosixPath(old)))) for old in old_outs(DATA)]
    if both := [(old, new) for old, new in moves if new.exists()]:
        old, new = both[0]
        raise ValueError(
            f"{old} is to become {new}, but both exist: remove the one that you do not need, then run this again"
        )
    sections = sections_in(PARAMS_FILE)
    upgrade = upgrade_of() if is_installed(Path()) else None
    steps = upgrade.steps if upgrade else []
    steps += [f"{old} -> {new}" for old, new in moves]
    steps += [f"{report}: its list of kept episodes -> {accepted}" for report, accepted in _lists()]
    if repeats_values(sections):
        steps.append(
            f"{PARAMS_FILE}: shared values and each tabletop task's own; graph.yaml: what dvc.yaml makes stages for"
        )
    steps += [f"{PARAMS_FILE}: {old} -> {new}" for old, new in renamed_keys(sections)]
    if CAMERAS not in sections:
        steps.append(f"{PARAMS_FILE}: {CAMERAS}, with the sizes that images had so far")
    older = moves or is_old(sections) or _lock_is_old(sections)
    if Path(LOCK).is_file() and older:
        steps.append(f"{LOCK}: the same hashes at the new places")
    print("\n".join(steps) if older or upgrade else "nothing to migrate: this folder is of this version")
    if dry or not (older or upgrade):
        return
    with files_reserved("migrate", writes=[DATA, LOCK, PARAMS_FILE]):
        if upgrade:
            upgrade.apply()
        if older or _lock_is_old(sections):  # also of the dvc.yaml that has just come
            _migrate(moves, sections)
        elif upgrade:
            rewrite(PARAMS_FILE, {})
    print("Done. `dvc status` says what is up to date; commit dvc.lock, params.yaml, graph.yaml and data/runs.jsonl.")


def _migrate(moves: list[tuple[Path, Path]], sections: dict[str, Any]) -> None:
    for old, new in moves:
        files.publish(old, new)
    for folder in sorted(
        {parent for old, _ in moves for parent in old.parents if DATA in parent.parents}, reverse=True
    ):
        if {path.name for path in folder.iterdir()} <= {".gitignore"}:  # DVC's own, of what lay there
            shutil.rmtree(folder)
    for report, accepted in _lists():
        measured = read_json_object(report)
        files.write_json(accepted, measured.pop("kept"))
        files.write_json(report, measured)
    params, counts = new_params(sections) if is_old(sections) else sections, _counts(sections)
    if Path(LOCK).is_file():
        found = migrated_lock(Path(), params, counts)
        _append_runs(found)
        lock = json.loads(json.dumps(found.lock))  # else values that stages share become YAML aliases
        files.write_bytes(Path(LOCK), yaml.safe_dump(lock, sort_keys=False, width=10_000).encode())
    if repeats_values(sections):
        write(params, None, PARAMS_FILE, *counts)
    elif is_old(sections):
        write_over(PARAMS_FILE, params, *counts)


def _counts(sections: dict[str, Any]) -> tuple[int, int]:
    """How many residual seeds and rounds the project has."""
    graph = sections if repeats_values(sections) else sections_in(GRAPH_FILE) if GRAPH_FILE.is_file() else {}
    return seeds_and_rounds(graph)


def _lock_is_old(sections: dict[str, Any]) -> bool:
    """Whether dvc.lock has entries of an older version, for `sections` of this one."""
    if not Path(LOCK).is_file():
        return False
    return migrated_lock(Path(), sections, _counts(sections)).lock != read_yaml(Path(LOCK))


def _lists() -> Iterator[tuple[Path, Path]]:
    """Each replay report that still holds the list of kept episodes, old place or new, and the list's own place."""
    for report in sorted({*Path().glob(_REPLAY_REPORTS), *Path().glob(f"{DATA}/metrics/round*/replay/*.json")}):
        if "kept" in read_json_object(report):
            new = new_place(PurePosixPath(report))
            yield report, DATA / "accepted" / new.parts[-2] / new.name


def _append_runs(found: Migrated) -> None:
    """The run record's lines again for stages whose outs have other bytes now: a run is found by what it wrote."""
    if not RUNS_FILE.is_file() or not found.rewritten:
        return
    lines = RUNS_FILE.read_text().splitlines()
    runs, _ = read_runs("\n".join(lines))
    known = set(lines)
    with RUNS_FILE.open("a") as record:
        for run in runs:
            outs = {here(path): value for path, value in run.outs.items()}
            now = found.rewritten.get(run.stage)
            if now and now[0].items() <= outs.items():
                line = json.dumps(vars(run) | {"outs": outs | now[1]}, sort_keys=True)
                if line not in known:
                    record.write(line + "\n")
