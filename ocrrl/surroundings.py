"""Prepares the process before libraries are loaded: streams, user name, cache folders, the code that is to run.

A container's user may have no name and no home, a terminal no UTF-8, a service no standard input; torch, LeRobot, matplotlib
and others end in tracebacks there.
"""

import locale
import os
import pwd
import sys
import tempfile
from collections.abc import MutableMapping
from pathlib import Path
from typing import TextIO

CACHES = {
    "MPLCONFIGDIR": "matplotlib",
    "HF_HOME": "huggingface",
    "TORCH_HOME": "torch",
    "TORCHINDUCTOR_CACHE_DIR": "inductor",
    "TRITON_CACHE_DIR": "triton",
    "NUMBA_CACHE_DIR": "numba",
    "XDG_CACHE_HOME": "cache",
}
"""Variables that say where libraries keep files, which is in the home folder unless they are set."""
_READ_ONLY_USES = {"HF_HOME": ".cache/huggingface", "TORCH_HOME": ".cache/torch"}
"""Caches that are of use without being written: weights that were downloaded before."""


def settle(variables: MutableMapping[str, str] = os.environ) -> None:
    """Open what streams are closed, and set those variables that libraries need and that are not set.

    A user id without a name gets one; a home folder that is not there, or cannot be written, is replaced for caches by a folder
    of temporary files.
    """
    _open_streams()
    if not any(variables.get(name) for name in ("LOGNAME", "USER", "LNAME", "USERNAME")) and user_name() is None:
        variables["USER"] = variables["LOGNAME"] = nameless()
    home = variables.get("HOME", "")
    if not home and user_name() is not None:
        return  # libraries take the one that the system knows
    if not is_writable(Path(home or "/nonexistent")):
        caches = cache_folder()
        if not home or not Path(home).is_dir():
            variables["HOME"] = str(caches)
        for name, folder in CACHES.items():
            kept = Path(home, _READ_ONLY_USES[name]).is_dir() if home and name in _READ_ONLY_USES else False
            if not variables.get(name) and not kept:
                variables[name] = str(caches / folder)
    threads = variables.get("OMP_NUM_THREADS")
    if threads is not None and not all(part.strip().isdecimal() and int(part) > 0 for part in threads.split(",")):
        print(f"OMP_NUM_THREADS must be a whole number above 0, got {threads!r}; 1 is taken", file=sys.stderr)
        variables["OMP_NUM_THREADS"] = "1"


def run_the_code_that_lies_here() -> None:
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
    other_code = here.is_file() and not here.samefile(Path(__file__).with_name("cli.py")) and searched[0] != folder
    other_encoding = (
        not sys.flags.utf8_mode and "PYTHONUTF8" not in os.environ and locale.getencoding().lower() != "utf-8"
    )
    if other_code:
        os.environ["PYTHONPATH"] = os.pathsep.join([folder, *filter(None, searched)])
    if other_encoding:
        os.environ["PYTHONUTF8"] = "1"
    if other_code or other_encoding:
        os.execv(sys.executable, [sys.executable, "-m", "ocrrl.cli", *sys.argv[1:]])


def user_name() -> str | None:
    """The name that the system knows this process's user id by; None if it has none."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return None


def nameless() -> str:
    """The name that a user id without one gets."""
    return f"uid{os.getuid()}"


def is_writable(folder: Path) -> bool:
    """Whether a file can be made in `folder`: tried, since permissions do not tell of a file system that is read-only."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def cache_folder() -> Path:
    """A folder of this user's among the temporary files, the same one every time."""
    folder = Path(tempfile.gettempdir()) / f"ocrrl-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid() or folder.is_symlink():
        return Path(tempfile.mkdtemp(prefix="ocrrl-"))
    return folder


def _open_streams() -> None:
    """A closed stream (`0<&-`) is opened on nothing; what a stream's encoding lacks is written as an escape."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream: TextIO | None = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open(mode))  # noqa: SIM115
        elif mode == "w" and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # pyright: ignore[reportAttributeAccessIssue]
