"""The commands of the stages of dvc.yaml, and of sessions: `rollout` and `evaluate` in cells other than the twin."""

import argparse
import time
from pathlib import Path

from ocrrl.commands.axis_arguments import add_axis_arguments
from ocrrl.extras import require_extra
from ocrrl.interface.names import require_seed

STAGES = {
    "record": "record scripted teleoperation in the twin, one HDF5 file per episode",
    "ingest": "check recordings and write the real LeRobotDataset",
    "replay": "replay the actions in the training simulator; write the sim LeRobotDataset and transitions",
    "finetune": "train the VLA of one domain on its dataset",
    "train_residual": "train the residual on the frozen sim VLA (Algorithm 1)",
    "evaluate": "evaluate base and base + residual from the same held-out initial states, in simulator and twin",
    "rollout": "collect successful episodes of base + residual",
    "rollout_base": "collect successful episodes of the real VLA alone, for a control variant",
    "training_set": "write the training sets of the retrained VLA and its control variants",
    "retrain": "retrain the real VLA on each training set, with equal optimiser steps",
    "evaluate_retrained": "evaluate the retrained VLA, the one before and the control variants, in the twin",
    "report": "write one page of tables, figures and videos",
    "replay_rollouts": "later rounds: replay the rollouts of the round before in the training simulator",
    "promote": "later rounds: choose the retrained VLAs if the sequential test finds them better, else those before",
}
MULTITASK_STAGES = {
    "retrain_multitask": "train one VLA for all tabletop tasks on their training sets, and its control variants",
    "evaluate_multitask": "evaluate the multi-task VLA on every tabletop task, with those before and the control variants",
    "finetune_multitask": "later rounds: train the simulator's counterpart of the retrained VLA",
    "publish": "copy the last multi-task VLA to data/models/vla_retrained",
    "report_multitask": "write one page of tables and figures of all tabletop tasks and the multi-task VLA",
}


def add_arguments(parser: argparse.ArgumentParser, stage: str) -> None:
    """Those of `stage`."""
    if stage == "ingest":
        parser.add_argument("tabletop_task", nargs="?", help="such as cube_lift; optional with --check")
        parser.add_argument(
            "--check", type=Path, metavar="FOLDER", help="print what ingest would refuse or change; write nothing"
        )
        parser.add_argument("--json", action="store_true", help="with --check: print one JSON document")
    elif stage in STAGES:
        parser.add_argument("tabletop_task", help="such as cube_lift")
    parser.add_argument("--round", default="round0", help="round of self-improvement: round0, round1, ...")
    if stage == "finetune":
        parser.add_argument("--domain", choices=("sim", "real"), required=True)
    if stage in ("train_residual", "evaluate"):
        parser.add_argument("--seed", type=int, default=0, help="seed of the residual's training")
    if stage in ("rollout", "evaluate"):
        parser.add_argument("--cell", help="twin (the stage, default); rehearsal, wire_twin or fr3 for a session")
        parser.add_argument(
            "--cell-file",
            type=Path,
            help="for a session: cell file, instead of cells/<cell>.yaml; for a rehearsal, the cell's that is rehearsed",
        )
        parser.add_argument(
            "--episodes",
            type=int,
            help="for a session: number of episodes; evaluate alternates base and base + residual. With --until: the most",
        )
        parser.add_argument(
            "--session", help="for a session: its name; an interrupted session continues under the same name"
        )
    if stage == "evaluate":
        parser.add_argument(
            "--until",
            choices=("decided",),
            help="a session in any cell, also the twin: blind pairs in random order, until a sequential test is decided",
        )
        parser.add_argument(
            "--level", type=float, help="with --until: the greatest chance of a wrong verdict (default 0.05)"
        )
        parser.add_argument(
            "--least-effect",
            type=float,
            help="with --until: the least difference of success rates that matters (default 0.2)",
        )
    if stage == "rollout":
        parser.add_argument("--seed", type=int, help="for a session: seed of the residual (default 0)")
        parser.add_argument(
            "--intervene",
            choices=("spacemouse", "gamepad", "scripted"),
            help="for a session: who may step in while the policy acts; scripted in twins only",
        )
        add_axis_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Run the stage that `options.command` names, its session in the cell that `options.cell` names, or a check of recordings."""
    if options.command == "ingest" and options.check is not None:
        from ocrrl.commands.check_recordings import check_recordings

        return check_recordings(options)
    require_extra("train")
    from ocrrl.stages import run_multitask_stage, run_stage

    if options.command in MULTITASK_STAGES:
        return run_multitask_stage(options)
    if options.command == "ingest" and (options.tabletop_task is None or options.json):
        raise ValueError("ingest must have a tabletop task, such as cube_lift, or --check FOLDER")
    if getattr(options, "seed", None) is not None:
        require_seed("seed", options.seed)
    if options.command == "evaluate" and options.until is None:
        for name in ("level", "least_effect"):
            if getattr(options, name) is not None:
                raise ValueError(f"--{name.replace('_', '-')} must come with --until decided, whose test it is of")
    if getattr(options, "until", None) or getattr(options, "cell", None) not in (None, "twin"):
        from ocrrl.sessions.policy_session import run_session

        return run_session(options, time.time)
    _require_stage_options(options)
    return run_stage(options)


def _require_stage_options(options: argparse.Namespace) -> None:
    """Raises ValueError for what only a session takes: a stage's values come from params.yaml, where DVC sees them."""
    given = [
        name for name in ("episodes", "session", "cell_file", "intervene") if getattr(options, name, None) is not None
    ]
    if options.command == "rollout" and getattr(options, "seed", None) is not None:
        given.append("seed")
    if given:
        raise ValueError(
            f"--{given[0].replace('_', '-')} must come with a session's --cell (rehearsal, wire_twin, fr3), got the stage, "
            "which runs in the twin with the values of params.yaml"
        )
