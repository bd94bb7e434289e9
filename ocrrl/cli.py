"""Command line `ocrrl`: a stage has the same name as command, section of params.yaml and entry of dvc.yaml."""

import argparse
import json
import locale
import os
import sys
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from ocrrl.error_line import error_line
from ocrrl.printable import escaped_output
from ocrrl.surroundings import settle

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
    "promote": "later rounds: choose the retrained VLAs if they are better on validation states, else those before",
}
MULTITASK_STAGES = {
    "retrain_multitask": "train one VLA for all tabletop tasks on their training sets, and its control variants",
    "evaluate_multitask": "evaluate the multi-task VLA on every tabletop task, with those before and the control variants",
    "finetune_multitask": "later rounds: train the simulator's counterpart of the retrained VLA",
    "publish": "copy the last multi-task VLA to data/models/vla_retrained",
    "report_multitask": "write one page of tables and figures of all tabletop tasks and the multi-task VLA",
}


@escaped_output()
def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; what went wrong is one line on stderr (`error_line`), with exit code 1."""
    name = "ocrrl"
    try:
        if arguments is None:
            settle()
            _run_the_code_that_lies_here()
        options = _parser().parse_args(arguments)
        name = f"ocrrl {options.command}"
        os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when numpy and torch are loaded, which is later
        code = _run(options)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        print(f"{name}: interrupted; what was finished is kept", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `ocrrl lineage ... | head`
        _write_nothing_more()
        return 1
    except Exception as error:  # the line names a log of the whole traceback wherever the error is none of ours
        print(error_line(name, error), file=sys.stderr)
        if (
            arguments is None
        ):  # what is closed as the process ends (videos, contexts) would say the error again, and less well
            sys.unraisablehook = lambda unraisable: None
        try:
            sys.stdout.flush()
        except OSError:  # the disk that stdout goes to is full
            _write_nothing_more()
        return 1


def _write_nothing_more() -> None:
    """Have what is still to be written to stdout go nowhere, so that Python's end does not fail on it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run_the_code_that_lies_here() -> None:
    """Start again with the `ocrrl` of the working folder, where that is not the one that is installed, and in UTF-8.

    A stage's hash counts the code beside dvc.yaml, and `dvc exp run --temp` and `--queue` run in a copy of it. Files and file
    names are UTF-8, whatever the locale says.
    """
    try:
        folder, searched = str(Path.cwd()), os.environ.get("PYTHONPATH", "").split(os.pathsep)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            "the working folder must be there, it was removed; change to the project's folder"
        ) from error
    here = Path(folder, "ocrrl", "cli.py")
    other_code = here.is_file() and not here.samefile(__file__) and searched[0] != folder
    other_encoding = (
        not sys.flags.utf8_mode and "PYTHONUTF8" not in os.environ and locale.getencoding().lower() != "utf-8"
    )
    if other_code:
        os.environ["PYTHONPATH"] = os.pathsep.join([folder, *filter(None, searched)])
    if other_encoding:
        os.environ["PYTHONUTF8"] = "1"
    if other_code or other_encoding:
        os.execv(sys.executable, [sys.executable, "-m", "ocrrl.cli", *sys.argv[1:]])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ocrrl", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    for name, purpose in (STAGES | MULTITASK_STAGES).items():
        stage = commands.add_parser(name, help=purpose, description=purpose)
        if name == "ingest":
            stage.add_argument("tabletop_task", nargs="?", help="such as cube_lift; optional with --check")
            stage.add_argument(
                "--check", type=Path, metavar="FOLDER", help="print what ingest would refuse or change; write nothing"
            )
            stage.add_argument("--json", action="store_true", help="with --check: print one JSON document")
        elif name in STAGES:
            stage.add_argument("tabletop_task", help="such as cube_lift")
        stage.add_argument("--round", default="round0", help="round of self-improvement: round0, round1, ...")
        if name == "finetune":
            stage.add_argument("--domain", choices=("sim", "real"), required=True)
        if name in ("train_residual", "evaluate"):
            stage.add_argument("--seed", type=int, default=0, help="seed of the residual's training")
        if name in ("rollout", "evaluate"):
            stage.add_argument("--cell", help="twin (the stage, default); rehearsal, wire_twin or fr3 for a session")
            stage.add_argument("--cell-file", type=Path, help="for a session: cell file, instead of cells/<cell>.yaml")
            stage.add_argument(
                "--episodes",
                type=int,
                help="for a session: number of episodes; evaluate alternates base and base + residual",
            )
            stage.add_argument(
                "--session", help="for a session: its name; an interrupted session continues under the same name"
            )
        if name == "rollout":
            stage.add_argument("--seed", type=int, help="for a session: seed of the residual (default 0)")

    params = commands.add_parser("params", help="write params.yaml from a preset, and graph.yaml")
    params.add_argument(
        "--preset", help="default, smoke or paper; without a preset only graph.yaml is written and values stay"
    )
    params.add_argument(
        "--tasks",
        nargs="+",
        metavar="TASK[=MODULE]",
        help="tabletop tasks for a preset, with a module for your own; default: all of the package",
    )
    params.add_argument(
        "--episodes", nargs="+", default=[], metavar="TASK=FOLDER", help="folder of a task's demonstrations"
    )
    params.add_argument(
        "--residual-seeds", type=int, help="number of residuals per task: seeds 0, 1, ... (with a preset: 1)"
    )
    params.add_argument("--rounds", type=int, help="number of rounds of self-improvement (with a preset: 1)")
    params.add_argument("--path", type=Path, default=Path("params.yaml"))
    migrate = commands.add_parser("migrate", help="convert a folder of version 0.1 to this version; runs no stage")
    migrate.add_argument("--dry", action="store_true", help="print the steps, change nothing")
    show = commands.add_parser("show", help="print the results of a stage, or of a tabletop task's report")
    show.add_argument(
        "what", help="STAGE, STAGE@TASK or TASK, such as evaluate@cube_lift, finetune@cube_lift-sim, cube_lift"
    )
    show.add_argument("--round", default="round0", help="round of self-improvement: round0, round1, ...")
    show.add_argument("--format", default="md", choices=("md", "json"))
    show.add_argument(
        "--images", action="store_true", help="include figures and frames in the Markdown, as in the Prefect UI"
    )
    lineage = commands.add_parser(
        "lineage", help="print what a model or dataset was made from, down to the demonstrations"
    )
    lineage.add_argument("path", help="anything that DVC tracks, or a file in it: data/models/vla_retrained")
    lineage.add_argument("--rev", help="at a git revision instead of the working tree")
    lineage.add_argument("--format", default="text", choices=("text", "json", "mermaid"))
    lineage.add_argument("--all", action="store_true", help="list every rollout too")
    other = lineage.add_mutually_exclusive_group()
    other.add_argument("--diff", metavar="REV", help="what changed since that revision, and why it was made again")
    other.add_argument("--verify", action="store_true", help="hash every file again; exit code 1 if one differs")
    card = commands.add_parser("card", help="write a model card: content, origin, results")
    card.add_argument("path", help="a model: data/models/vla_retrained")
    card.add_argument("--out", type=Path, help="instead of data/cards/<name>.md")
    commands.add_parser(
        "check_names", help="check that names in params.yaml and graph.yaml are safe for a shell and for paths"
    )
    commands.add_parser("timings", help="print wall and CPU seconds of the stages that ran here")
    doctor = commands.add_parser(
        "doctor", help="check this machine: what is installed, what is missing and how to get it"
    )
    doctor.add_argument("--cell-file", type=Path, help="also check this cell file, such as cells/mine.yaml")
    commands.add_parser("slots", help="print which slots this machine can fill (cpu, gpu, robot), as JSON")
    approve = commands.add_parser("approve", help="approve a session that moves a robot; prints a short-lived token")
    for name in ("cell", "session", "task"):
        approve.add_argument(f"--{name}", required=True)
    approve.add_argument("--episodes", type=int, required=True, help="number of episodes that may begin")
    approve.add_argument("--operator", help="name of the person who approves; default: asked at the terminal")
    approve.add_argument("--minutes", type=float, help="minutes until it expires (default 15, at most 480)")
    approve.add_argument(
        "--cell-clear", action="store_true", help="ask no question: the operator has confirmed that the cell is clear"
    )
    approve.add_argument("--out", type=Path, help="write the token to this new file, readable by its owner only")
    calibrate = commands.add_parser("calibrate", help="find a camera's pose from views of a board; print the board")
    calibrate.add_argument("--board", type=Path, metavar="FILE", help="print the board at true scale: .pdf or .png")
    steps = calibrate.add_subparsers(dest="step", metavar="[views, live, check]")
    views = steps.add_parser("views", help="calibrate a camera from a folder of views")
    views.add_argument("folder", type=Path, help="folder of images and joint positions: docs/calibrate.md")
    views.add_argument("--camera", required=True, help="name of the camera in the cell, such as front")
    views.add_argument("--out", type=Path, required=True, help="the calibration file to write (.json)")
    live = steps.add_parser("live", help="take the views from the camera and arm of a cell file, then calibrate")
    live.add_argument("--cell-file", type=Path, default=Path("cells/fr3.yaml"))
    live.add_argument("--camera", required=True, help="name of the camera in the cell file, such as front")
    live.add_argument("--folder", type=Path, required=True, help="folder of the views; an existing one is continued")
    live.add_argument("--out", type=Path, required=True, help="the calibration file to write (.json)")
    check = steps.add_parser("check", help="check a camera as opening a cell does; reads no arm, moves nothing")
    check.add_argument("cell_file", type=Path, help="such as cells/mine.yaml")
    check.add_argument("camera", help="name of the camera in the cell file, such as front")
    teleoperate = commands.add_parser("teleoperate", help="record demonstrations with a teleoperation device")
    teleoperate.add_argument("tabletop_task", help="such as cube_lift")
    teleoperate.add_argument("--cell", required=True, help="rehearsal, wire_twin or fr3")
    teleoperate.add_argument("--cell-file", type=Path, help="instead of cells/<cell>.yaml")
    teleoperate.add_argument("--device", required=True, choices=("spacemouse", "gamepad", "scripted"))
    teleoperate.add_argument(
        "--session", required=True, help="name of the folder under data/episodes/<task>; an existing one is continued"
    )
    teleoperate.add_argument("--episodes", type=int, required=True, help="number of successful demonstrations")
    teleoperate.add_argument("--operator", help="name of the person who teleoperates; default: the one who approved")
    for name, default, meaning in (
        ("--operator-heading", 0.0, "operator's position [rad]: 0 behind the robot, 3.14159 facing it"),
        ("--translation-scale", 0.6, "share of 2 cm per step at full deflection"),
        ("--rotation-scale", 0.6, "share of 0.10 rad per step at full deflection"),
    ):
        teleoperate.add_argument(name, type=float, default=default, help=f"{meaning} (default {default:g})")
    view = commands.add_parser("view", help="show an episode in Rerun")
    view.add_argument(
        "recording", type=Path, help="an episode's .h5 file, or recordings of any format that ingest reads"
    )
    view.add_argument("--episode", metavar="N", help="episode: its number from 0, or its name (default: the first)")
    view.add_argument("--save", type=Path, help="write an .rrd file instead of opening the viewer")
    return parser


def _run(options: argparse.Namespace) -> int:
    from ocrrl.params import register_own_tasks

    register_own_tasks()
    if options.command == "ingest":
        if options.check is not None:
            from ocrrl.check_recordings import check_recordings

            return check_recordings(options)
        if options.tabletop_task is None or options.json:
            raise ValueError("ingest must have a tabletop task, such as cube_lift, or --check FOLDER")
    if options.command in STAGES:
        from ocrrl.stages import run_stage

        return run_stage(options)
    if options.command in MULTITASK_STAGES:
        from ocrrl.stages import run_multitask_stage

        return run_multitask_stage(options)
    if options.command == "params":
        from ocrrl.write_params import write_params

        write_params(options)
    elif options.command == "migrate":
        from ocrrl.migrate.command import migrate

        migrate(options.dry)
    elif options.command == "lineage":
        from ocrrl.lineage import command

        if options.verify:
            document, code = command.verify_document(options.path, options.rev)
            print(document)
            return code
        if options.diff:
            print(command.difference_document(options.path, options.diff, options.rev, options.format))
        else:
            print(command.lineage_document(options.path, options.rev, options.format, options.all))
    elif options.command == "card":
        from ocrrl.report.card import write_card

        print(write_card(options.path, options.out))
    elif options.command == "check_names":
        from ocrrl.check_names import check_names

        check_names()
    elif options.command == "timings":
        from ocrrl.lineage.run_record import timings_table

        print(timings_table())
    elif options.command == "show":
        from ocrrl.show import show

        print(show(options.what, options.round, options.format, options.images))
    elif options.command == "doctor":
        from ocrrl.doctor import diagnose

        return diagnose(date.today(), options.cell_file)
    elif options.command == "slots":
        from ocrrl.slots import slots

        print(json.dumps(slots(), indent=2))
    elif options.command == "approve":
        from ocrrl.approve import approve

        print(approve(options, time.time))  # the token, or where it was written
    elif options.command == "calibrate":
        from ocrrl.calibrate import calibrate

        calibrate(options, date.today())
    elif options.command == "teleoperate":
        from ocrrl.teleoperate import teleoperate

        return teleoperate(options, time.time)
    elif options.command == "view":
        from ocrrl.viewer import view_recording

        view_recording(options.recording, options.episode, options.save)
        if options.save:
            print(options.save)
    return 0


if __name__ == "__main__":
    sys.exit(main())
