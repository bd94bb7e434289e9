"""The stages of dvc.yaml as commands, and the sessions that `rollout` and `evaluate` are in other cells than the twin."""

import argparse
import time
from pathlib import Path

from ocrrl.interface.names import require_seed

STAGES = {
    "record": "scripted teleoperation in the twin cell, one HDF5 file an episode",
    "ingest": "check recordings and make them the real LeRobotDataset",
    "replay": "the same actions in the training simulator: the sim LeRobotDataset and offline transitions",
    "finetune": "train the VLA of one domain on its dataset",
    "train_residual": "train the residual on the frozen sim VLA (Algorithm 1)",
    "evaluate": "base and base + residual from the same held-out initial states, in sim and in the cell",
    "rollout": "collect successful episodes of the real VLA with the residual",
    "rollout_base": "collect successful episodes of the real VLA alone, for a control arm",
    "training_set": "demonstrations and rollouts as the training sets of the retrained VLA and its control arms",
    "retrain": "retrain the real VLA on each training set, with as many optimiser steps each",
    "evaluate_retrained": "the retrained VLA beside the one before and the control arms, in the cell",
    "report": "one page of tables, figures and films",
    "replay_rollouts": "a later round: the rollouts of the round before in the training simulator",
    "promote": "a later round: the VLAs to go on with, the retrained ones where they validate better",
}
MULTITASK_STAGES = {
    "retrain_multitask": "one VLA for all tabletop tasks from their training sets, and its control arms",
    "evaluate_multitask": "the multi-task VLA on every tabletop task, beside those before and the control arms",
    "finetune_multitask": "a later round: the retrained VLA's counterpart in the simulator",
    "publish": "the last multi-task VLA under the name that stays: data/models/vla_retrained",
    "report_multitask": "all tabletop tasks and the multi-task VLA on one page of tables and figures",
}


def add_arguments(parser: argparse.ArgumentParser, stage: str) -> None:
    """Those of `stage`."""
    if stage == "ingest":
        parser.add_argument("tabletop_task", nargs="?", help="such as cube_lift; --check finds it where it can")
        parser.add_argument("--check", type=Path, metavar="FOLDER", help="say all that ingest would; write nothing")
        parser.add_argument("--json", action="store_true", help="of --check, one JSON document")
    elif stage in STAGES:
        parser.add_argument("tabletop_task", help="such as cube_lift")
    parser.add_argument("--round", default="round0", help="of self-improvement: round0, round1, ...")
    if stage == "finetune":
        parser.add_argument("--domain", choices=("sim", "real"), required=True)
    if stage in ("train_residual", "evaluate"):
        parser.add_argument("--seed", type=int, default=0, help="seed of the residual's training")
    if stage in ("rollout", "evaluate"):
        parser.add_argument("--cell", help="twin (the stage, default), or a session in: rehearsal, wire_twin, fr3")
        parser.add_argument("--cell-file", type=Path, help="of a session's cell, in place of cells/<cell>.yaml")
        parser.add_argument("--episodes", type=int, help="of a session; evaluate runs base and base + residual in turn")
        parser.add_argument("--session", help="name; an interrupted session goes on under its own")
    if stage == "rollout":
        parser.add_argument("--seed", type=int, help="of a session's residual (default 0)")


def run(options: argparse.Namespace) -> int:
    """Run the stage that `options.command` names, its session in the cell that `options.cell` names, or a check of recordings."""
    from ocrrl.stages import run_multitask_stage, run_stage

    if options.command in MULTITASK_STAGES:
        return run_multitask_stage(options)
    if options.command == "ingest":
        if options.check is not None:
            from ocrrl.commands.check_recordings import check_recordings

            return check_recordings(options)
        if options.tabletop_task is None or options.json:
            raise ValueError("ingest must have a tabletop task, such as cube_lift, or --check FOLDER")
    if getattr(options, "seed", None) is not None:
        require_seed("seed", options.seed)
    if getattr(options, "cell", None) not in (None, "twin"):
        from ocrrl.sessions.policy_session import run_session

        return run_session(options, time.time)
    _require_stage_options(options)
    return run_stage(options)


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
