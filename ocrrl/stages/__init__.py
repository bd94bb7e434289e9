"""The stages, one module each: parameters, input and output paths, calls of the library.

Every stage works under `.work/` and publishes at the end; it imports the heavy packages it needs, and no others.
"""

import argparse
import importlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ocrrl.layout import DATA, MULTITASK, ROUND, Layout
from ocrrl.lineage.reading.places import require_new_layout
from ocrrl.lineage.run_record import Run, declared_stages, recorded_run, stage_that_runs
from ocrrl.loggers.run_logger import logged
from ocrrl.params import Params
from ocrrl.stages.outputs import prepared
from ocrrl.stages.running import files_reserved
from ocrrl.tabletop.registry import tabletop_task


def run_stage(options: argparse.Namespace) -> int:
    """Run the stage that `options.command` names on one tabletop task; the exit code."""
    task = tabletop_task(options.tabletop_task)
    given = {name: getattr(options, name, None) for name in ("domain", "seed")}
    variant = {name: value for name, value in given.items() if value is not None}
    layout, label = Layout(task.slug, options.round), "-".join([task.slug, *map(str, variant.values())])
    stage = importlib.import_module(f"ocrrl.stages.{options.command}")
    params = Params.read()  # before anything is written: the folder may be no project
    with _begun(options, f"{options.command}@{label}", layout, variant) as recorded:
        recorded.exit_code = stage.run(task, params, layout, **variant) or 0
    return recorded.exit_code


def run_multitask_stage(options: argparse.Namespace) -> int:
    """Run the stage that `options.command` names on all tabletop tasks of params.yaml; the exit code."""
    stage, layout = importlib.import_module(f"ocrrl.stages.{options.command}"), Layout(MULTITASK, options.round)
    params = Params.read()
    with _begun(options, options.command, layout, {}) as recorded:
        tasks = [tabletop_task(slug) for slug in params.tasks()]
        recorded.exit_code = stage.run(tasks, params, layout) or 0
    return recorded.exit_code


@contextmanager
def _begun(options: argparse.Namespace, label: str, layout: Layout, variant: Mapping[str, Any]) -> Iterator[Run]:
    """A stage that runs, alone with its files, which can be written; its run is recorded, and its results logged, at the end."""
    require_new_layout(DATA)
    reads, writes = _places(options, label)
    name = f"{label} of {options.round}"
    inside = [part for parts in reads.values() for part in parts]
    with (
        files_reserved(name, inside, writes),
        prepared(name, writes, inside),
        recorded_run(vars(options), label) as recorded,
        logged(name) as logger,
    ):
        for folder, parts in reads.items():
            _require_only(folder, parts)
        yield recorded
        if logger is not None and not recorded.exit_code:
            from ocrrl.stages.logged_results import log_results

            log_results(logger, options.command, layout, variant, writes)


def _places(options: argparse.Namespace, label: str) -> tuple[dict[Path, list[Path]], list[Path]]:
    """What the stage reads and what it writes as dvc.yaml says, which need not list the round that is asked for.

    Each place that the stage reads comes with the outs of other stages in it, with itself where there are none.
    """
    for declared in dict.fromkeys((options.round, ROUND, "round1")):  # some stages begin in the second round
        stage = stage_that_runs(vars(options) | {"round": declared}, label)
        if stage.command:
            break

    def in_round(path: str) -> Path:
        return Path(*(options.round if part == declared else part for part in Path(path).parts))

    outs = [out for other in declared_stages().values() for out in other.outs] if stage.command else []
    reads = {
        in_round(dep): [in_round(out) for out in outs if out.startswith(f"{dep}/")] or [in_round(dep)]
        for dep in stage.deps
        if Path(dep).parts[:1] != ("ocrrl",)
    }
    return reads, [in_round(path) for path in stage.outs]


def _require_only(folder: Path, parts: list[Path]) -> None:
    """ValueError where `folder`, whose hash a stage depends on, holds anything beside `parts`, the outs of other stages."""
    if parts == [folder] or not folder.is_dir():
        return
    if others := sorted(set(folder.iterdir()) - set(parts)):
        raise ValueError(
            f"{folder} must hold {', '.join(part.name for part in parts)} and nothing else, got {others[0].name}, which belongs to no "
            f"tabletop task of params.yaml; name that task there, or `rm -r {others[0]}` (what a stage made stays in DVC's cache)"
        )
