"""Markdown for the Prefect UI: tables, code, durations; an unknown value is "–"."""

import re
from collections.abc import Iterable, Sequence

NONE = "–"
_JOIN = "\N{NO-BREAK SPACE}"
MOST_ROWS = 40
_NOT_SHOWN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters, but tab and newline
    "\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f"  # not shown
    "\ud800-\udfff]"  # bytes of a file name that are no UTF-8
)
_CODE_OR_TAG = re.compile(
    r"^(`{3,})[^`\n]*\n.*?^\1`*[ ]*$|(?<![\\`])(`+)(?!`)[^\n]+?(?<!`)\2(?!`)|\\?<(?=[A-Za-z/!?])",
    re.MULTILINE | re.DOTALL,
)


def table(
    header: Sequence[str], rows: Iterable[Sequence[object]], text_columns: int = 1, most_rows: int = MOST_ROWS
) -> str:
    """A table, the first `text_columns` columns words and the rest numbers, cut after `most_rows` rows."""
    cells = [[cell(value) for value in row] for row in rows]
    rule = [":---" if k < text_columns else "---:" for k in range(len(header))]
    lines = [" | ".join(row) for row in [[cell(name) for name in header], rule, *cells[:most_rows]]]
    text = "\n".join(f"| {line} |" for line in lines)
    return text + (f"\n\nand {len(cells) - most_rows:,} more" if len(cells) > most_rows else "")


def cell(value: object) -> str:
    """A value in a table, its signs shown as they are; a text of `inline_code` stays code."""
    if isinstance(value, str) and re.fullmatch(r"`[^`|]+`", value):
        return value
    text = NONE if value is None or value == "" else re.sub(r"[ \t\r\n]+", " ", str(value)).strip(" ")
    return re.sub(r"([\\|<*`~]|\](?=\())", r"\\\1", text)


def inline_code(text: object) -> str:
    """A path or a command within a sentence, which is never made a link: `record@cube_lift.log` looks like an address."""
    line = re.sub(r"\s+", " ", str(text))
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", line)), default=0))
    return f"`{line}`" if len(fence) == 1 else f"{fence} {line} {fence}"


def shown_as_text(page: str) -> str:
    r"""`page` without HTML and without characters that are obeyed or not shown; those are escaped, such as `\x1b`.

    Results hold names and reasons from outside, and nothing on our pages is HTML. Code is left as it is: nothing in it is.
    """
    return _CODE_OR_TAG.sub(lambda found: found[0] if found[0].startswith("`") else "&lt;", printable(page))


def printable(text: str) -> str:
    r"""`text` with every character that a terminal obeys, or does not show, as an escape such as `\x1b`; lines stay lines."""
    return _NOT_SHOWN.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def code(text: str, language: str = "") -> str:
    """A block in a fence longer than any in `text`."""
    longest = max((len(found) for found in re.findall(r"`{3,}", text)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}{language}\n{text.strip()}\n{fence}"


def paragraphs(*parts: str | None) -> str:
    """The parts that have text, with an empty line between."""
    return "\n\n".join(part for part in parts if part)


def unbroken(page: str) -> str:
    """`page` with no-break spaces in the short numbers of its tables, which the UI's narrow columns would tear."""
    number = r"(?<=\|)( *)([-+<\d][^|\n]{0,23}?)(?= *\|)"
    return re.sub(number, lambda found: found[1] + found[2].replace(" ", _JOIN), page)


def duration(seconds: float | None) -> str:
    """`3.2 s`, `4 min 10 s`, `2 h 05 min`."""
    if seconds is None:
        return NONE
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        text = f"{minutes // 60} h {minutes % 60:02d} min"
    else:
        text = f"{minutes} min {rest:02d} s" if minutes else f"{seconds:.1f} s"
    return text.replace(" ", _JOIN)


def fitting(text: str, most: int = 200_000) -> str:
    """`text` with at most `most` characters: images go first, then whole lines from the end."""
    if len(text) > most:
        text = re.sub(r"!\[([^\]]*)\]\(data:[^)]*\)", r"*(image left out, it is too large: \1)*", text)
    if len(text) > most:
        text = f"{text[: most - 100].rpartition('\n')[0]}\n\n*(cut: the rest is too long)*"
    return text
