"""`ocrrl`: a thin shell over the library; a stage's command, params.yaml section and dvc.yaml entry bear one name."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

STAGES = {
    "record": "scripted teleoperation in the twin cell, one HDF5 file an episode",
    "ingest": "check recordings and make them the real LeRobotDataset",
    "replay": "the same actions in the training simulator: the sim LeRobotDataset and offline transitions",
    "finetune": "train the VLA of one domain on its dataset",
    "train_residual": "train the residual on the frozen sim VLA (Algorithm 1)",
    "evaluate": "base and base + residual from the same held-out initial states, in sim and in the cell",
    "rollout": "collect successful episodes of the real VLA with the residual, and without it as a control",
    "training_set": "demonstrations and rollouts as the training sets of the retrained VLA and its control arms",
    "retrain": "retrain the real VLA on each training set, with as many optimiser steps each",
    "evaluate_retrained": "the retrained VLA beside the one before and the control arms, in the cell",
    "report": "one page of tables, figures and films",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; errors that name what to change go to stderr, with exit code 1."""
    options = _parser().parse_args(arguments)
    for variable in ("OMP_NUM_THREADS", "LP_NUM_THREADS"):
        os.environ.setdefault(variable, "1")  # read when numpy, torch and Mesa are loaded, which is later
    try:
        return _run(options)
    except (ValueError, FileNotFoundError, RuntimeError) as error:
        print(f"ocrrl {options.command}: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ocrrl", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    for name, purpose in STAGES.items():
        stage = commands.add_parser(name, help=purpose, description=purpose)
        stage.add_argument("tabletop_task", help="cube_lift")
        stage.add_argument("--round", default="round0", help="of self-improvement: round0, round1, ...")
        if name == "finetune":
            stage.add_argument("--domain", choices=("sim", "real"), required=True)
        if name in ("train_residual", "evaluate"):
            stage.add_argument("--seed", type=int, default=0, help="seed of the residual's training")

    params = commands.add_parser("params", help="write params.yaml from a preset")
    params.add_argument("--preset", required=True, help="default, smoke or paper")
    params.add_argument("--path", type=Path, default=Path("params.yaml"))
    show = commands.add_parser("show", help="print a tabletop task's results and the report's path")
    show.add_argument("tabletop_task")
    commands.add_parser("timings", help="wall and CPU seconds of the stages that ran here")
    commands.add_parser("doctor", help="what is installed, what is missing and how to get it")
    view = commands.add_parser("view", help="look at an episode in Rerun")
    view.add_argument("episode", type=Path, help="an episode's .h5 file")
    view.add_argument("--save", type=Path, help="write an .rrd file in place of opening the viewer")
    return parser


def _run(options: argparse.Namespace) -> int:
    if options.command in STAGES:
        from ocrrl.stages import run_stage

        return run_stage(options)
    if options.command == "params":
        from ocrrl import params
        from ocrrl.interface.tabletop_tasks import TABLETOP_TASKS

        params.write(params.resolve(options.preset, list(TABLETOP_TASKS)), options.preset, options.path)
        print(f"{options.path}: every parameter of the {options.preset} preset")
    elif options.command == "timings":
        from ocrrl.timings import timings_table

        print(timings_table())
    elif options.command == "show":
        from ocrrl.interface.tabletop_tasks import tabletop_task
        from ocrrl.layout import Layout

        layout = Layout(tabletop_task(options.tabletop_task).slug)
        results = layout.report / "results.md"
        if not results.is_file():
            raise FileNotFoundError(f"{results} must be there; `dvc repro report@{options.tabletop_task}` makes it")
        print(results.read_text())
        print(f"Report: {(layout.report / 'index.html').resolve()}")
    elif options.command == "doctor":
        from ocrrl.doctor import diagnose

        return diagnose()
    elif options.command == "view":
        from ocrrl.viewer import view_episode

        view_episode(options.episode, options.save)
    return 0


if __name__ == "__main__":
    sys.exit(main())
