"""`ocrrl init`: makes a project folder that runs the installed package, as a git repository with DVC."""

import argparse
import shutil
import subprocess
from pathlib import Path

from ocrrl import files
from ocrrl.code_units import CODE_FILE
from ocrrl.commands.params import write
from ocrrl.params import PARAMS_FILE
from ocrrl.preset_params import PRESETS, resolve
from ocrrl.project.code_file import installed_code, project_files
from ocrrl.tabletop.registry import MODULES

_NOBODY = ("-c", "user.name=ocrrl", "-c", "user.email=ocrrl@localhost")
"""Who makes the first commit where git knows no name of the user's."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, help="a new or an empty folder: my_lab")
    parser.add_argument("--preset", default="default", choices=PRESETS, help="of params.yaml (default: default)")


def run(options: argparse.Namespace) -> int:
    init(options.folder, options.preset)
    print(
        f"{options.folder}: a project of its own, with git and DVC. Next: `cd {options.folder}`, then `ocrrl demo`, "
        "which takes the extras train and pipeline"
    )
    return 0


def init(folder: Path, preset: str = "default") -> None:
    """Make the project `folder` with the parameters of `preset` for all tabletop tasks, and commit it.

    FileExistsError where anything is in `folder`, RuntimeError without git, ModuleNotFoundError without the extra `train`, whose
    libraries check parameters; nothing has been written then.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(
            f"init must get a new or an empty folder, got {folder}, which {_what_is_there(folder)}; give another name, "
            "or run `ocrrl migrate` in a project of an older version"
        )
    if shutil.which("git") is None:
        raise RuntimeError("init must have git, which records what a model was made from; `apt-get install git`")
    sections = resolve(preset, list(MODULES), {})
    for name, content in project_files().items():
        files.write_bytes(folder / name, content)
    files.write_bytes(folder / CODE_FILE, installed_code().text().encode())
    write(sections, preset, folder / PARAMS_FILE)
    _git(folder, "init", "--quiet")
    _git(folder, "add", "--all")
    known = subprocess.run(["git", "var", "GIT_COMMITTER_IDENT"], cwd=folder, capture_output=True, check=False)
    _git(folder, *(() if known.returncode == 0 else _NOBODY), "commit", "--quiet", "-m", "ocrrl init")


def _what_is_there(folder: Path) -> str:
    if not folder.is_dir():
        return "is a file"
    return f"holds {min(path.name for path in folder.iterdir())}"


def _git(folder: Path, *arguments: str) -> None:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(
            f"`git {' '.join(arguments)}` must succeed in {folder}, got: {' '.join(done.stderr.split())}; all files are there: "
            "`git init && git add --all && git commit -m start` there"
        )
