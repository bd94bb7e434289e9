"""A table of text, as Markdown or HTML."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from ocrrl.printable import one_line


@dataclass(frozen=True)
class Table:
    """A header and rows of the same length; the first `text_columns` are words, the rest numbers.

    `title` stands above it, `note` below it, where they are not empty.
    """

    header: tuple[str, ...]
    rows: list[tuple[str, ...]]
    text_columns: int = 1
    title: str = ""
    note: str = ""

    def without_column(self, column: int) -> "Table":
        """The same table without one of its columns."""
        header, *rows = (row[:column] + row[column + 1 :] for row in (self.header, *self.rows))
        return Table(header, rows, self.text_columns - (column < self.text_columns), self.title, self.note)


def markdown_table(table: Table) -> str:
    """`table` in GitHub's Markdown without title and note, columns padded so that it reads in a terminal too."""
    cells = [[_markdown_cell(cell) for cell in row] for row in [table.header, *table.rows]]
    widths = [max(len(row[k]) for row in cells) for k in range(len(table.header))]

    def line(row: Sequence[str]) -> str:
        padded = [
            c.ljust(w) if k < table.text_columns else c.rjust(w)
            for k, (c, w) in enumerate(zip(row, widths, strict=True))
        ]
        return "| " + " | ".join(padded) + " |"

    rule = "|".join("-" * (w + 2) if k < table.text_columns else "-" * (w + 1) + ":" for k, w in enumerate(widths))
    return "\n".join([line(cells[0]), f"|{rule}|", *(line(row) for row in cells[1:])]) + "\n"


def _markdown_cell(text: str) -> str:
    """`text` in one line as it is: no cell's border, no markup, no HTML; a whole cell in backticks stays code."""
    if re.fullmatch(r"`[^`|]+`", text):
        return one_line(text)
    marked = re.sub(r"([\\|*`~]|\](?=[(\[]))", r"\\\1", one_line(text))
    return re.sub(r"<(?=[A-Za-z/!?])", "&lt;", marked)


def html_table(table: Table) -> str:
    """`table` as HTML without title and note, in a box that scrolls sideways on a narrow screen; where all is words, they wrap."""

    def line(tag: str, row: Iterable[str]) -> str:
        kinds = (' class="text"' if k < table.text_columns else "" for k in range(len(table.header)))
        return (
            "<tr>"
            + "".join(f"<{tag}{kind}>{escape(cell)}</{tag}>" for cell, kind in zip(row, kinds, strict=True))
            + "</tr>"
        )

    body = "".join(line("td", row) for row in table.rows)
    kind = ' class="words"' if table.text_columns == len(table.header) else ""
    head = line("th", table.header)
    return f'<div class="scroll"><table{kind}><thead>{head}</thead><tbody>{body}</tbody></table></div>'
