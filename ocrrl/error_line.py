"""The error line of a command, with the next step, and a log with the traceback if it is useful.

An error that our code raises to be read (ValueError, RuntimeError, FileNotFoundError, ...) is said as it is. Any other is not
foreseen, or comes from a library: its traceback is in a file that the line names.
"""

import dis
import errno
import os
import re
import resource
import sys
import tempfile
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from ocrrl.extras import extra_of, how_to_install
from ocrrl.printable import printable

SHOW = "OCRRL_TRACEBACK"
"""Environment variable that has tracebacks printed, too."""
LOGS = Path(".work") / "logs"
LONGEST = 600
"""Characters of a library's message that the line holds."""
ADVICE = {
    "terminated abruptly": "a process was killed; the machine may have run out of memory (see `dmesg`)",
    "No space left": "free some disk (`make gc`, docs/dvc.md), then run it again",
    "Too many open files": "raise the limit with `ulimit -n 4096`, then run it again",
    "No module named": "`ocrrl doctor` says what is not installed",
    "cannot open shared object file": "`ocrrl doctor` says what is not installed",
}
_FULL = (errno.ENOSPC, errno.EDQUOT)
_OURS = str(Path(__file__).parent) + os.sep
_SAID = (ValueError, RuntimeError, OSError)
_RAISE = dis.opmap["RAISE_VARARGS"]
_MEMORY = re.compile(
    r"can't allocate memory|CUDA out of memory|Cannot allocate memory|Unable to allocate|bad_alloc|failed to map segment",
    re.I,
)
_AMOUNT = re.compile(r"(?:allocate|Tried to allocate) (\d+\.?\d*) (bytes|[KMGTPE]i?B)", re.I)
_UNITS = {"bytes": 1e-9, "k": 1e-6, "m": 1e-3, "g": 1.0, "t": 1e3, "p": 1e6, "e": 1e9}


def error_line(subject: str, error: BaseException) -> str:
    """The line for `error` in the command `subject`; writes the log that the line names. OCRRL_TRACEBACK=1 prints it, too."""
    shown = os.environ.get(SHOW) == "1"
    if shown:
        traceback.print_exception(error)
    if disk_is_full(error):
        return f"{subject}: no space left on the disk ({_shortened(str(error))}): {ADVICE['No space left']}"
    if is_ours(error):
        return f"{subject}: {printable(str(error))}"
    if isinstance(error, ModuleNotFoundError) and (extra := extra_of(error.name or "")):
        return f"{subject}: {error.name} is not installed, which this needs: {how_to_install(extra)}"
    if needed := out_of_memory(error):
        message, report = needed, ""
    elif isinstance(error, OSError) and error.filename is not None:
        message, report = _about_file(error), ""
    else:
        text = _shortened(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)
        advice = [step for sign, step in ADVICE.items() if sign in str(error)]
        known = isinstance(error, _SAID) or advice
        message = "; ".join([text if known else f"unforeseen {text}", *advice])
        report = "" if known else "; please report it"
    return f"{subject}: {printable(message)}; {_where(error)}{'' if shown else f' ({SHOW}=1 shows it)'}{report}"


def is_ours(error: BaseException) -> bool:
    """Whether a `raise` of our own made `error`, for its message to be read."""
    if not isinstance(error, _SAID) or getattr(error, "__notes__", None):
        return False
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return False
    code, instruction = trace.tb_frame.f_code, trace.tb_lasti
    is_raise = 0 <= instruction < len(code.co_code) and code.co_code[instruction] == _RAISE
    return is_raise and code.co_filename.startswith(_OURS)


def carry_traceback(error: BaseException) -> BaseException:
    """`error` with its traceback as a note, unless it is ours: to be sent to another process, which loses the traceback."""
    if not is_ours(error):
        error.add_note("".join(traceback.format_exception(error)))
    return error


def out_of_memory(error: BaseException) -> str:
    """What was asked for, what there is and what to do, where `error` says that memory ran out; else empty."""
    text = str(error)
    if not (isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM or _MEMORY.search(text)):
        return ""
    amount = _AMOUNT.search(text)
    needed = (
        f", {float(amount[1]) * _UNITS[amount[2].lower().rstrip('ib') or 'bytes']:.2g} GB at once" if amount else ""
    )
    if "CUDA" in text:
        return f"the GPU's memory is too small{needed}: take a smaller batch_size in params.yaml, or device: cpu ({_shortened(text)})"
    limit, free = resource.getrlimit(resource.RLIMIT_AS)[0], free_memory()
    there = [
        f"{free:.2g} GB are free" if free is not None else "",
        f"`ulimit -v` allows {limit * 1e-9:.2g} GB" if limit > 0 else "",
    ]
    return (
        f"memory ran out{needed} ({', '.join(filter(None, there)) or 'not known how much is free'}): take a smaller batch_size, "
        "num_envs, policy or image in params.yaml, end other programs, or use a machine with more"
    )


def disk_is_full(error: BaseException) -> bool:
    """Whether `error` says that a disk, or a user's share of one, is full: whichever library found it, in its own words."""
    text = str(error)
    signs = [sign for code in _FULL for sign in (os.strerror(code), f"errno = {code},")]
    return getattr(error, "errno", None) in _FULL or any(sign in text for sign in signs)


def free_memory() -> float | None:
    """[GB] that programs can still get, None where the system does not say."""
    try:
        found = re.search(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text())
    except OSError:
        return None
    return int(found[1]) * 1024e-9 if found else None


def write_log(error: BaseException) -> Path | None:
    """The file that now holds the traceback: under `.work/` in a project, else in the folder for temporary files; or None."""
    now = datetime.now(UTC)
    text = f"{now.isoformat()} {' '.join(map(repr, sys.argv))} in {_if_there(Path.cwd) or 'a folder that is gone'}\n"
    text += f"Python {sys.version}\n\n{''.join(traceback.format_exception(error))}"
    places = [LOGS] if Path("dvc.yaml").is_file() else []
    for folder in (*places, _if_there(tempfile.gettempdir) or Path()):
        path = folder / f"ocrrl-{now:%Y%m%d-%H%M%S}-{os.getpid()}.log"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", errors="backslashreplace")
        except OSError:
            continue
        return path
    return None


def _where(error: BaseException) -> str:
    path = write_log(error)
    if path is None:
        traceback.print_exception(error)
        return "no log could be written, the traceback is above"
    return f"traceback in {path}"


def _about_file(error: OSError) -> str:
    file = printable(str(error.filename))
    user = f"user id {os.geteuid()}" if hasattr(os, "geteuid") else "this user"
    return {
        errno.ENOENT: f"{file} must be there, it is not",
        errno.EACCES: f"{file} must be open to {user}: {error.strerror}; `ls -l` shows whose it is",
        errno.EPERM: f"{file} must be open to {user}: {error.strerror}; `ls -l` shows whose it is",
        errno.EROFS: f"{file} must be on a file system that can be written, it is read-only; work in a copy of the project",
        errno.EISDIR: f"{file} must be a file, it is a folder",
        errno.ENOTDIR: f"{file} must be in a folder, a part of its path is a file",
        errno.EMFILE: f"too many files are open at once, {file} is one too many; {ADVICE['Too many open files']}",
        errno.ENFILE: f"too many files are open on this machine, {file} is one too many",
        errno.EIO: f"{file} cannot be read or written: {error.strerror}; its disk or network drive may be failing",
        errno.ESTALE: f"{file} cannot be read or written: {error.strerror}; its disk or network drive may be failing",
    }.get(error.errno or 0, f"{file}: {error.strerror or error}")


def _if_there(folder: Callable[[], str | Path]) -> Path | None:
    """What `folder` gives; None where it finds none, as where the working folder was removed."""
    try:
        return Path(folder())
    except FileNotFoundError:
        return None


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else f"{line[:LONGEST]} ..."
