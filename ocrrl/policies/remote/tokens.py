"""The token of a policy server: read from an environment variable or a private file, and never shown or written."""

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path

from ocrrl.policies.remote.addresses import VARIABLE

PLACES = "env:NAME, an environment variable, or file:PATH, a file that only its owner may read (chmod 600)"
_TOKEN = re.compile(r"[\x21-\x7e]{1,4096}")


class Token:
    """A secret text; as text it is `***`."""

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The text itself, for the wire alone."""
        return self._value

    def hidden_in(self, text: str) -> str:
        """`text` without the token, wherever a server repeats it."""
        return text.replace(self._value, "***")

    def __repr__(self) -> str:
        return "***"


def require_place(place: str) -> None:
    """ValueError that begins with `token` unless `place` says where a token is kept; what it got is not shown."""
    if not (VARIABLE.fullmatch(place) or (place.startswith("file:") and len(place) > len("file:"))):
        raise ValueError(f"token must be {PLACES}, got another text (not shown, as it may be the token itself)")


def read_token(place: str, environment: Mapping[str, str] = os.environ) -> Token:
    """The token at `place`; ValueError where there is none, or where others may read its file."""
    require_place(place)
    if named := VARIABLE.fullmatch(place):
        value = environment.get(named[1], "").strip()
        if not _TOKEN.fullmatch(value):
            raise ValueError(f"the environment variable {named[1]} must hold the server's token, got none or no token")
        return Token(value)
    return read_token_file(Path(place.removeprefix("file:")).expanduser())


def read_token_file(path: Path) -> Token:
    """The token in `path`; ValueError where others than its owner may read it, or it holds no token."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode) or stat.S_IMODE(mode) & 0o077:
                raise ValueError(
                    f"{path} must be a file that only its owner may read, got mode {stat.S_IMODE(mode):03o}: chmod 600 {path}"
                )
            value = file.read(8192).decode("ascii", "replace").strip()
    except OSError as error:
        raise ValueError(f"{path} must hold the server's token, got: {error.strerror}") from error
    if not _TOKEN.fullmatch(value):
        raise ValueError(f"{path} must hold the server's token in one line of plain characters, got something else")
    return Token(value)
