"""Escapes foreign text (file names, operators, instructions, error messages) for terminal and pages.

A terminal obeys control characters: an ESC sequence in a file name can recolour, overwrite or hide what stands before it.
"""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from typing import Any, TextIO

_CONTROL = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 without tab and newline, DEL, C1
    "\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"  # invisible, and what turns the direction
    "\U000e0000-\U000e007f"  # invisible tags
    "\ud800-\udfff"  # bytes of a file name that are no UTF-8
)
_NOT_SHOWN = re.compile(f"[{_CONTROL}]")
_NOT_IN_A_LINE = re.compile(f"[\t\n{_CONTROL}]")


def printable(text: str) -> str:
    r"""`text` with every character that a terminal obeys, or does not show, as an escape such as `\x1b`; lines stay lines."""
    return _NOT_SHOWN.sub(_escaped, text)


def one_line(text: str) -> str:
    r"""`printable`, and tabs and newlines as `\t` and `\n`: for a cell of a table or a word in a sentence."""
    return _NOT_IN_A_LINE.sub(_escaped, text)


def markdown_text(text: str) -> str:
    """`text` in one line of Markdown, shown as it is: no markup, no HTML, no cell border, whatever it holds."""
    line = escape(one_line(text), quote=False)
    line = re.sub(r"([\\`*|~#]|\](?=[(\[:])|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9]))", r"\\\1", line)
    return re.sub(r"^(\s*)([-+=]|\d+(?=[.)]))", lambda m: m[1] + (f"\\{m[2]}" if m[2] in "-+=" else f"{m[2]}\\"), line)


def code_span(text: str) -> str:
    """`text` as Markdown's inline code, in a fence longer than any run of backticks in it."""
    line = one_line(text)
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", line)), default=0))
    return f"{fence}{line}{fence}" if len(fence) == 1 else f"{fence} {line} {fence}"


@contextmanager
def escaped_output() -> Iterator[None]:
    """Everything that is printed meanwhile, to stdout and stderr, is `printable`; a decorator too."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (stream and _EscapedStream(stream) for stream in before)  # one that is closed is None
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


class _EscapedStream:
    """A text stream whose `write` escapes; in all else the stream behind it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        # A progress bar is one write that begins with a carriage return.
        bar = "\r" if text.startswith("\r") else ""
        self._stream.write(bar + printable(text.removeprefix("\r")))
        return len(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _escaped(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode()
