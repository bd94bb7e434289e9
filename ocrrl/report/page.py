"""The page itself: HTML and CSS around tables, figures and videos, with nothing loaded from elsewhere."""

import base64
from dataclasses import dataclass
from html import escape

_CSS = """
:root { --ink: #1f2937; --soft: #5b6674; --line: #e2e6eb; --accent: #0b6fb8; --tint: #f5f8fb; }
* { box-sizing: border-box; }
body { margin: 0; background: #fff; color: var(--ink);
  font: 16px/1.6 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main, header > div { max-width: 62rem; margin: 0 auto; padding: 0 1.25rem; }
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
th.text, td.text { text-align: left; }
td.text:last-child, table.words td { white-space: normal; }
tbody tr:hover { background: var(--tint); }
figure { margin: 1rem 0 1.6rem; }
figure img { display: block; max-width: 100%; height: auto; }
.wide { overflow-x: auto; }
@media (max-width: 40rem) { .wide img { max-width: none; width: 36rem; } }
.videos { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); gap: 1.2rem; }
video { display: block; width: 100%; max-width: 34rem; background: #fff;
  border: 1px solid var(--line); border-radius: 8px; }
ul { padding-left: 1.2rem; margin: .4rem 0 1rem; max-width: 50rem; } li { margin: .25rem 0; }
.missing { color: #92400e; }
footer { margin: 3rem auto 2rem; max-width: 62rem; padding: 0 1.25rem; }
@media print { video, nav { display: none; } }
"""


@dataclass(frozen=True)
class Section:
    """One part of the page; `body` is HTML."""

    anchor: str
    title: str
    body: str


def render_page(title: str, subtitle: str, summary: str, sections: list[Section], command: str) -> str:
    """The whole page; `summary` is HTML for the top, before the table of contents; `command` wrote it."""
    contents = "".join(f'<li><a href="#{section.anchor}">{escape(section.title)}</a></li>' for section in sections)
    body = "\n".join(
        f'<section id="{section.anchor}"><h2>{escape(section.title)}</h2>\n{section.body}</section>'
        for section in sections
    )
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


def paragraph(text: str, kind: str = "") -> str:
    """`text` as a paragraph, of the CSS class `kind`."""
    return f'<p class="{kind}">{escape(text)}</p>' if kind else f"<p>{escape(text)}</p>"


def bullets(items: list[str]) -> str:
    """`items` as a list."""
    return "<ul>" + "".join(f"<li>{escape(item)}</li>" for item in items) + "</ul>"


def missing(what: str) -> str:
    """Says that a part of the report could not be made."""
    return paragraph(f"Missing: {what}. Nothing was given to the report for this part.", "missing")


def cards(values: list[tuple[str, str]]) -> str:
    """Pairs of a large figure and what it is."""
    boxes = "".join(
        f'<div class="card"><b>{escape(value)}</b><span>{escape(what)}</span></div>' for value, what in values
    )
    return f'<div class="cards">{boxes}</div>'


def svg_figure(svg: str, caption: str, panels: int = 1) -> str:
    """`svg` as an image of its own, so that ids of several figures cannot clash; `caption` is also read aloud.

    One of several `panels` scrolls sideways on a narrow screen instead of shrinking.
    """
    return _figure("image/svg+xml", svg.encode(), caption, "wide" if panels > 1 else "narrow")


def picture(jpeg: bytes, caption: str) -> str:
    """`jpeg` as an image, scrolling sideways on a narrow screen; `caption` is also read aloud."""
    return _figure("image/jpeg", jpeg, caption, "wide")


def _figure(media_type: str, content: bytes, caption: str, kind: str) -> str:
    """An image with its caption, in a box of the CSS class `kind`."""
    encoded = base64.b64encode(content).decode()
    text = escape(caption, quote=True)
    image = f'<img alt="{text}" src="data:{media_type};base64,{encoded}">'
    return f'<figure><div class="{kind}">{image}</div><figcaption>{text}</figcaption></figure>'


def video(mp4: bytes, caption: str) -> str:
    """`mp4` as a silent looping video with controls."""
    encoded = base64.b64encode(mp4).decode()
    text = escape(caption, quote=True)
    return (
        f'<figure><video muted autoplay loop playsinline controls aria-label="{text}" '
        f'src="data:video/mp4;base64,{encoded}"></video><figcaption>{text}</figcaption></figure>'
    )
