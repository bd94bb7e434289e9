"""How a token gets from whoever approved to the session: in a file that its owner alone can read, named in the environment.

Not in the environment itself: a process's environment can be read in /proc for as long as the process lives.
"""

import os
import stat
from collections.abc import MutableMapping
from pathlib import Path

from ocrrl.robot.operator.approval import APPROVAL_FILE_VARIABLE, APPROVAL_VARIABLE, NotApproved

LONGEST = 8192  # bytes of a token


def take_token(environment: MutableMapping[str, str] = os.environ) -> str | None:
    """The token that the environment hands over, None where it does not; taken out, so that no child process is given it.

    NotApproved where the file that is named is not one that its owner alone can read.
    """
    token, name = (environment.pop(variable, None) for variable in (APPROVAL_VARIABLE, APPROVAL_FILE_VARIABLE))
    return token if name is None else read_token(Path(name))


def write_token(path: Path, token: str) -> None:
    """Write `token` to `path`, a new file that its owner alone can read; ValueError where something is there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except FileExistsError:
        raise ValueError(f"{path} must not be there before the token is written, got a file; remove it") from None
    with os.fdopen(descriptor, "w") as file:
        file.write(token + "\n")


def read_token(path: Path) -> str:
    """The token in `path`; NotApproved unless it is a file of this user that nobody else can read."""
    required = f"{APPROVAL_FILE_VARIABLE} must name a file that `ocrrl approve --out FILE` wrote"
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            facts = os.fstat(file.fileno())
            if not stat.S_ISREG(facts.st_mode) or facts.st_uid != os.geteuid() or facts.st_mode & 0o077:
                raise NotApproved(f"{required}, got {path}, which is not yours alone; `chmod 600` it or approve again")
            return file.read(LONGEST).decode("ascii", "replace").strip()
    except OSError as error:
        raise NotApproved(f"{required}, got {path}: {error.strerror}") from None
