"""What each stage puts together, one a file: its parameters, its inputs' and outputs' places, the library's functions.

Every stage works under `.work/` and publishes at the end; it imports the heavy packages it needs, and no others.
"""

import argparse
import importlib
import time

from ocrrl.interface.tabletop_tasks import tabletop_task
from ocrrl.layout import MULTITASK, Layout
from ocrrl.lineage.run_record import recorded_run
from ocrrl.params import Params


def run_stage(options: argparse.Namespace) -> int:
    """Run the stage that `options.command` names, or its session in the cell that `options.cell` names; the exit code."""
    if getattr(options, "cell", None) not in (None, "twin"):
        from ocrrl.stages.sessions import run_session

        return run_session(options, time.time)
    _require_stage_options(options)
    task = tabletop_task(options.tabletop_task)
    variants = (getattr(options, name, None) for name in ("domain", "seed"))
    label = "-".join([task.slug, *(str(variant) for variant in variants if variant is not None)])
    stage = importlib.import_module(f"ocrrl.stages.{options.command}")
    params = Params.read()  # before anything is written: the folder may be no project
    with recorded_run(vars(options), f"{options.command}@{label}") as recorded:
        recorded.exit_code = stage.run(task, params, Layout(task.slug, options.round), options) or 0
    return recorded.exit_code


def run_multitask_stage(options: argparse.Namespace) -> int:
    """Run the stage that `options.command` names on all tabletop tasks of params.yaml; the exit code."""
    stage = importlib.import_module(f"ocrrl.stages.{options.command}")
    params = Params.read()
    with recorded_run(vars(options), options.command) as recorded:
        tasks = [tabletop_task(slug) for slug in params.tasks()]
        recorded.exit_code = stage.run(tasks, params, Layout(MULTITASK, options.round), options) or 0
    return recorded.exit_code


def _require_stage_options(options: argparse.Namespace) -> None:
    """Raises ValueError for what only a session takes: a stage's values come from params.yaml, where DVC sees them."""
    given = [name for name in ("episodes", "session", "cell_file") if getattr(options, name, None) is not None]
    if options.command == "rollout" and getattr(options, "seed", None) is not None:
        given.append("seed")
    if given:
        raise ValueError(
            f"--{given[0].replace('_', '-')} must come with a session's --cell (rehearsal, wire_twin, fr3), got the stage, "
            "which runs in the twin with the values of params.yaml"
        )
