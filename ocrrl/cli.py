"""Command line `ocrrl`: a stage has the same name as command, section of params.yaml and entry of dvc.yaml."""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from types import ModuleType

from ocrrl.commands import stages
from ocrrl.commands.stages import MULTITASK_STAGES, STAGES
from ocrrl.error_line import error_line
from ocrrl.printable import escaped_output
from ocrrl.surroundings import run_the_code_that_lies_here, settle

COMMANDS = {
    "init": "make a project folder that runs the installed package: parameters, pipeline, flows, git and DVC",
    "demo": "run the whole loop for a tabletop task, then print its results",
    "params": "write params.yaml from a preset, and graph.yaml",
    "migrate": "bring a folder of an older version to this version; runs no stage",
    "show": "print the results of a stage, or of a tabletop task's report",
    "lineage": "print what a model or dataset was made from, down to the demonstrations",
    "card": "write the card of a model or a dataset: content, origin, results or statistics, licence",
    "push": "upload a model or a dataset with its card to a Hugging Face hub",
    "sign": "sign models with a key, their lineage in the signed statement",
    "verify": "check a model against its signature and its signed lineage",
    "sbom": "list the installed packages as CycloneDX, in data/environments",
    "check_names": "check that names in params.yaml and graph.yaml are safe for a shell and for paths",
    "timings": "print wall and CPU seconds of the stages that ran here",
    "doctor": "check this machine: what is installed, what is missing and how to get it",
    "measure-latency": "time the answers of a VLA, for training and deployment that know how late they come",
    "serve-vla": "answer for a checkpoint on this machine, by openpi's or Isaac-GR00T's protocol",
    "export": "write a dataset for the trainers of others (LeRobot v2.1, Isaac-GR00T, openpi), or episodes for Foxglove (MCAP)",
    "import-vla": "register a VLA that another trainer made of an export",
    "slots": "print which slots this machine can fill (cpu, gpu, robot), as JSON",
    "approve": "approve a session that moves a robot; prints a short-lived token",
    "unlock": "end a blind session and say which variant each of its episodes was",
    "calibrate": "find a camera's pose from views of a board; print the board",
    "teleoperate": "record demonstrations with a teleoperation device",
    "view": "show an episode or a whole session in Rerun",
}
"""Those that are no stage; `ocrrl.commands.<name>`, with `_` for `-`, holds what each takes and does."""


@escaped_output()
def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; what went wrong is one line on stderr (`error_line`), with exit code 1."""
    name = "ocrrl"
    try:
        if arguments is None:
            settle()
            run_the_code_that_lies_here()
        os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when numpy and torch are loaded, which is later
        words = sys.argv[1:] if arguments is None else arguments
        command = next((word for word in words if not word.startswith("-")), "")
        name = f"ocrrl {command}".strip()
        code = _run(_parser(command).parse_args(words))
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
        if arguments is None:  # what is closed as the process ends (videos, contexts) would say it again, and less well
            sys.unraisablehook = lambda unraisable: None
        try:
            sys.stdout.flush()
        except OSError:  # the disk that stdout goes to is full
            _write_nothing_more()
        return 1


def _write_nothing_more() -> None:
    """Have what is still to be written to stdout go nowhere, so that Python's end does not fail on it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parser(command: str) -> argparse.ArgumentParser:
    """Knows every command by name and the arguments of `command`: of the modules of those that are no stage, its own is loaded."""
    parser = argparse.ArgumentParser(prog="ocrrl", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    for name, purpose in (STAGES | MULTITASK_STAGES).items():
        stages.add_arguments(commands.add_parser(name, help=purpose, description=purpose), name)
    for name, purpose in COMMANDS.items():
        arguments = commands.add_parser(name, help=purpose)
        if name == command and hasattr(module := _module(name), "add_arguments"):
            module.add_arguments(arguments)
    return parser


def _module(command: str) -> ModuleType:
    return importlib.import_module(f"ocrrl.commands.{command.replace('-', '_')}")


def _run(options: argparse.Namespace) -> int:
    from ocrrl.params import register_own_tasks

    register_own_tasks()
    if options.command in COMMANDS:
        return _module(options.command).run(options)
    return stages.run(options)


if __name__ == "__main__":
    sys.exit(main())
