"""What each stage puts together, one a file: its parameters, its inputs' and outputs' places, the library's functions.

Every stage works under `.work/` and publishes at the end; it imports the heavy packages it needs, and no others.
"""

import argparse
import importlib

from ocrrl.interface.tabletop_tasks import tabletop_task
from ocrrl.layout import Layout
from ocrrl.params import Params
from ocrrl.timings import timed


def run_stage(options: argparse.Namespace) -> int:
    """Run the stage that `options.command` names; the exit code."""
    task = tabletop_task(options.tabletop_task)
    variants = (getattr(options, name, None) for name in ("domain", "seed"))
    label = "-".join([task.slug, *(str(variant) for variant in variants if variant is not None)])
    stage = importlib.import_module(f"ocrrl.stages.{options.command}")
    with timed(f"{options.command}@{label}"):
        return stage.run(task, Params.read(), Layout(task.slug, options.round), options) or 0
