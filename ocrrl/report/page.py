"""A page of text, tables and figures, as self-contained HTML or as Markdown."""

import base64
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from ocrrl.printable import markdown_text
from ocrrl.report.table import Table, html_table, markdown_table

_CSS = """
:root { --ink: #1f2937; --soft: #5b6674; --line: #e2e6eb; --accent: #0b6fb8; --tint: #f5f8fb; }
* { box-sizing: border-box; }
body { margin: 0; background: #fff; color: var(--ink);
  font: 16px/1.6 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main, header > div { max-width: 70rem; margin: 0 auto; padding: 0 1.25rem; }
header { background: var(--tint); border-bottom: 1px solid var(--line); padding: 2.2rem 0 1.6rem; }
h1 { font-size: clamp(1.5rem, 4vw, 2.1rem); line-height: 1.2; margin: 0 0 .3rem; }
h2 { font-size: 1.35rem; margin: 2.8rem 0 .6rem; padding-top: .4rem; border-top: 1px solid var(--line); }
h3 { font-size: 1.05rem; margin: 1.8rem 0 .4rem; }
p { margin: .5rem 0 .9rem; max-width: 46rem; }
.soft, figcaption { color: var(--soft); font-size: .92rem; }
.twin { border-left: 4px solid #d97706; background: #fff8ed; padding: .6rem .9rem; margin: 1.2rem 0; max-width: none; }
.cards { display: grid; gap: .9rem; margin: 1.2rem 0 .4rem;
  grid-template-columns: repeat(auto-fit, minmax(13.5rem, 1fr)); }
.card { background: #fff; border: 1px solid var(--line); border-radius: 10px; padding: .8rem 1rem; }
.card b { display: block; font-size: 1.6rem; line-height: 1.25; font-variant-numeric: tabular-nums; }
.card span { color: var(--soft); font-size: .88rem; }
nav { margin: 1.2rem 0 0; }
nav ol { margin: 0; padding: 0; list-style: none; display: flex; flex-wrap: wrap;
  gap: .3rem 1.1rem; font-size: .95rem; }
a { color: var(--accent); text-decoration: none; } a:hover { text-decoration: underline; }
.scroll { overflow-x: auto; margin: .8rem 0 1.2rem; }
table { border-collapse: collapse; font-size: .92rem; min-width: 34rem; width: 100%;
  font-variant-numeric: tabular-nums; }
th, td { padding: .42rem .5rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { color: var(--soft); font-weight: 600; border-bottom: 2px solid #cbd2da;
  vertical-align: bottom; white-space: normal; }
th.text, td.text { text-align: left; white-space: normal; }
table.words td { white-space: normal; }
tbody tr:hover { background: var(--tint); }
figure { margin: 1rem 0 1.6rem; }
figure img { display: block; max-width: 100%; height: auto; }
figure.video { display: inline-block; width: min(100%, 32rem); margin-right: 1rem; vertical-align: top; }
.wide { overflow-x: auto; }
@media (max-width: 40rem) { .wide img { max-width: none; width: 36rem; } }
video { display: block; width: 100%; max-width: 34rem; background: #fff;
  border: 1px solid var(--line); border-radius: 8px; }
ul { padding-left: 1.2rem; margin: .4rem 0 1rem; max-width: 50rem; } li { margin: .25rem 0; }
.missing { color: #92400e; }
footer { margin: 3rem auto 2rem; max-width: 70rem; padding: 0 1.25rem; }
@media print { video, nav { display: none; } }
"""


@dataclass(frozen=True)
class Figure:
    """An image or a silent video (`media_type` video/mp4) with its caption; `draw` gives its bytes once they are needed.

    One of several `panels` scrolls sideways on a narrow screen instead of shrinking.
    """

    media_type: str
    draw: Callable[[], bytes]
    caption: str
    panels: int = 1


Block = str | list[str] | Table | Figure
"""A paragraph, a list, a table, a figure."""


@dataclass(frozen=True)
class Section:
    """One part of a page."""

    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Page:
    """`cards` are pairs of a large number and what it is; `summary` are paragraphs at the top, in Markdown too."""

    title: str
    summary: Sequence[str]
    sections: Sequence[Section]
    subtitle: str = ""
    cards: Sequence[tuple[str, str]] = ()


def markdown(blocks: Sequence[Block], level: int = 2, with_images: bool = False) -> str:
    """`blocks` as Markdown, titles of tables at heading `level`; images stand in the text or are left out, videos are."""
    parts = []
    for block in blocks:
        if isinstance(block, Table):
            parts += [f"{'#' * level} {block.title}"] if block.title else []
            parts.append(markdown_table(block).rstrip() if block.rows else "Not measured.")
            parts += [block.note] if block.note and block.rows else []
        elif isinstance(block, list):
            parts.append("\n".join(f"- {markdown_text(item)}" for item in block))
        elif isinstance(block, str):
            parts.append(block)
        elif with_images and block.media_type.startswith("image/"):
            parts += [f"![{markdown_text(block.caption)}]({_data(block)})", block.caption]
    return "\n\n".join(parts)


def page_markdown(page: Page) -> str:
    """`page` without its figures; a section without a table is left out."""
    told = [
        f"## {section.title}\n\n{markdown(section.blocks, 3)}"
        for section in page.sections
        if any(isinstance(block, Table) for block in section.blocks)
    ]
    return "\n\n".join([f"# {page.title}", *page.summary, *told]) + "\n"


def page_html(page: Page, command: str) -> str:
    """The whole page as HTML; `command` wrote it. The last paragraph of the summary is set off."""
    title, subtitle = page.title, page.subtitle
    anchors = [re.sub(r"[^a-z0-9]+", "-", section.title.lower()).strip("-") for section in page.sections]
    named = list(zip(anchors, page.sections, strict=True))
    contents = "".join(f'<li><a href="#{anchor}">{escape(section.title)}</a></li>' for anchor, section in named)
    body = "\n".join(
        f'<section id="{anchor}"><h2>{escape(section.title)}</h2>\n{_section_html(section)}</section>'
        for anchor, section in named
    )
    *first, last = page.summary
    summary = "".join(_paragraph(text) for text in first)
    summary += _cards(page.cards) if page.cards else ""
    summary += _paragraph(last, "twin")
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<link rel="icon" href="data:,">
<style>{_CSS}</style>
</head>
<body>
<header><div>
<h1>{escape(title)}</h1>
<p class="soft">{escape(subtitle)}</p>
{summary}
<nav aria-label="Contents"><ol>{contents}</ol></nav>
</div></header>
<main>
{body}
</main>
<footer class="soft">Written by <code>{escape(command)}</code>; the same inputs give the same page.</footer>
</body>
</html>
"""


def _section_html(section: Section) -> str:
    missing = f"Missing: {section.title.lower()}. Nothing was given to the report for this part."
    return "".join(_html(block) for block in section.blocks) or _paragraph(missing, "missing")


def _html(block: Block) -> str:
    if isinstance(block, str):
        return _paragraph(block)
    if isinstance(block, list):
        return "<ul>" + "".join(f"<li>{escape(item)}</li>" for item in block) + "</ul>"
    if isinstance(block, Table):
        body = (f"<h3>{escape(block.title)}</h3>" if block.title else "") + (
            html_table(block) if block.rows else _paragraph("Not measured.", "missing")
        )
        return body + (_paragraph(block.note, "soft") if block.note and block.rows else "")
    text, figure = escape(block.caption, quote=True), "<figure>"
    if block.media_type.startswith("video/"):
        figure = '<figure class="video">'
        shown = f'<video muted autoplay loop playsinline controls aria-label="{text}" src="{_data(block)}"></video>'
    else:
        kind = "wide" if block.panels > 1 else "narrow"
        shown = f'<div class="{kind}"><img alt="{text}" src="{_data(block)}"></div>'
    return f"{figure}{shown}<figcaption>{text}</figcaption></figure>"


def _data(figure: Figure) -> str:
    """The content in an address of its own, so that ids of several figures cannot clash."""
    return f"data:{figure.media_type};base64,{base64.b64encode(figure.draw()).decode()}"


def _paragraph(text: str, kind: str = "") -> str:
    """`text` as a paragraph, of the CSS class `kind`."""
    return f'<p class="{kind}">{escape(text)}</p>' if kind else f"<p>{escape(text)}</p>"


def _cards(values: Sequence[tuple[str, str]]) -> str:
    boxes = "".join(
        f'<div class="card"><b>{escape(value)}</b><span>{escape(what)}</span></div>' for value, what in values
    )
    return f'<div class="cards">{boxes}</div>'
