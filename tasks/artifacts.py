"""Sends artifacts to the Prefect UI: a stage's results, lineage, progress, and the end of a failed stage's log.

Results are what `ocrrl show` prints, lineage is what `ocrrl lineage` prints. An artifact never makes a stage fail: what goes
wrong is a warning in the run's log.
"""

import re
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from textwrap import TextWrapper
from uuid import UUID

from prefect import get_run_logger
from prefect.artifacts import create_markdown_artifact, create_progress_artifact, update_progress_artifact

from tasks.child_process import Outcome, ask
from tasks.failures import explain
from tasks.graph import Stage
from tasks.markdown import code, fitting, inline_code, paragraphs, shown_as_text, unbroken

CHILD_TIMEOUT = 120.0  # seconds
UPDATE_EVERY = 5.0  # seconds
LINE = 68  # characters of a failed stage's log
BOX = re.compile(r'^\s*(\w+)\["(.*)"\]$', re.MULTILINE)
ARROW = re.compile(r'^\s*(\w+) -->\|"(.*)"\| (\w+)$', re.MULTILINE)


@dataclass(frozen=True)
class Results:
    """`headline` is one sentence, also shown on the artifact's card; `body` is Markdown."""

    headline: str
    body: str


@contextmanager
def without_failing(what: str) -> Iterator[None]:
    """Whatever error comes from within is logged as a warning."""
    try:
        yield
    except Exception as error:
        get_run_logger().warning("%s could not be shown: %s: %s", what, type(error).__name__, error)


class Progress:
    """A progress artifact that follows a stage's progress bar; made when the first percentage is seen."""

    def __init__(self, stage: Stage) -> None:
        self._stage, self._artifact, self._last = stage, None, 0.0

    def update(self, text: str) -> None:
        """`text` is the bar as it stands, such as `replay:  40%|####  | 12/30`."""
        found = re.search(r"(\d{1,3})%\|", text)
        if not found or time.monotonic() - self._last < UPDATE_EVERY:
            return
        self._last = time.monotonic()
        self._show(float(found.group(1)))

    def finish(self) -> None:
        if self._artifact is not None:
            self._show(100.0)

    def _show(self, percent: float) -> None:
        with without_failing(f"progress of {self._stage.title}"):
            if self._artifact is None:
                answer = create_progress_artifact(
                    percent, key=key(self._stage, "progress"), description=self._stage.title
                )
                self._artifact = answer if isinstance(answer, UUID) else None
            else:
                update_progress_artifact(self._artifact, percent)


def show_results(stage: Stage, workspace: Path) -> None:
    """Artifacts from what `stage` wrote: its results and, of a retrained VLA, its lineage."""
    for what, page_of in (("results", results_page), ("lineage", lineage_page)):
        with without_failing(f"{what} of {stage.title}"):
            if page := page_of(stage, workspace):
                send(page, key(stage, what))


def results_page(stage: Stage, workspace: Path) -> Results | None:
    """What `ocrrl show` prints of `stage`; None for a stage that is none of ocrrl's. What is missing is said on the page."""
    if not stage.command.startswith(f"ocrrl {stage.kind} "):
        return None
    options = stage.options
    item = "-".join(filter(None, map(options.get, ("tabletop_task", "domain", "seed"))))
    name = f"{stage.kind}@{item}" if item else stage.kind
    try:
        shown = _child(["ocrrl", "show", name, "--round", stage.round, "--images"], workspace)
        headline = shown.split("\n\n", 2)[1]
    except RuntimeError as error:
        headline = f"nothing to show: {error}"
        shown = f"## {stage.title}\n\n{headline}"
    written = ", ".join(inline_code(path) for path in stage.outputs)
    return Results(headline, paragraphs(unbroken(shown.strip()), f"Written: {written}"))


def lineage_page(stage: Stage, workspace: Path) -> Results | None:
    """What the VLA that `stage` wrote was made from, as a drawing; None for other stages. RuntimeError where it fails."""
    if stage.kind not in ("retrain", "retrain_multitask", "publish"):
        return None
    path = stage.outputs[0]
    drawing = _child(["ocrrl", "lineage", path, "--format", "mermaid"], workspace)
    return Results(
        f"{path}: what it was made from",
        paragraphs(
            f"## What `{path}` was made from",
            code(drawing, "mermaid"),
            "Boxes are data and models with their hash, arrows the stages that made one from the other. The same as text:",
            code(lineage_tree(drawing)),
            "Parameters, code and runs too, and whether every file is still the same, in a terminal:",
            code(f"ocrrl lineage {path}\nocrrl lineage {path} --verify"),
        ),
    )


def _child(command: Sequence[str], workspace: Path) -> str:
    """What `command` prints; raises RuntimeError with the last line it said."""
    try:
        done = ask(command, workspace, timeout=CHILD_TIMEOUT)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RuntimeError(f"{command[0]}: {error}") from error
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise RuntimeError(f"`{' '.join(command[:2])}` failed: {said[-1][:600]}")
    return done.stdout


def show_failure(stage: Stage, outcome: Outcome) -> None:
    """The end of a failed stage's log, how it ended and what to do."""
    with without_failing(f"the failure of {stage.title}"):
        send(failure_page(stage, outcome), key(stage, "failure"))


def failure_page(stage: Stage, outcome: Outcome) -> Results:
    """As `explain` says it, long lines of the log broken, since its reason often stands far to the right."""
    tail = outcome.tail()
    before, _, after = explain(stage, outcome).partition(tail or "\n")
    headline = before.partition(". Its last lines")[0]
    after = re.sub(r"\n+", "\n\n", after.strip()).replace(str(outcome.log), inline_code(outcome.log))
    return Results(headline, paragraphs(f"## {headline}", code(broken(tail) or "(the log is empty)"), after))


def broken(text: str) -> str:
    """`text` in lines of at most `LINE` characters, continued ones set in."""
    wrapper = TextWrapper(LINE, subsequent_indent="    ", break_on_hyphens=False, replace_whitespace=False)
    return "\n".join(piece for line in text.splitlines() for piece in (wrapper.wrap(line) or [""]))


def send(page: Results, key: str) -> None:
    """One Markdown artifact; those of the same key are its history."""
    create_markdown_artifact(shown_as_text(fitting(page.body)), key=key, description=shown_as_text(page.headline))


def key(stage: Stage, what: str) -> str:
    """The key of a stage's artifact, the same in every run: `evaluate-cube-lift-0-round0-results`."""
    return as_key(stage.name, stage.round, what)


def as_key(*parts: str) -> str:
    """What Prefect takes as a key: lower case letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", "-".join(parts).lower()).strip("-")


def lineage_tree(flowchart: str) -> str:
    """What nothing else was made from on top, below each what it was made from and by which stage; told once each."""
    boxes = {name: _words(label) for name, label in BOX.findall(flowchart)}
    made_from: dict[str, list[tuple[str, str]]] = {}
    for source, stage, made in ARROW.findall(flowchart):
        made_from.setdefault(made, []).append((_words(stage), source))
    sources = {source for found in made_from.values() for _, source in found}
    told: set[str] = set()
    lines = []

    def tell(box: str, first: str, rest: str) -> None:
        text = boxes.get(box, box)
        again = box in told and box in made_from
        lines.append(f"{first}{text.partition('  ')[0]}, see above" if again else first + text)
        if again:
            return
        told.add(box)
        below = made_from.get(box, [])
        for k, (stage, source) in enumerate(below):
            last = k == len(below) - 1
            tell(source, f"{rest}{'└' if last else '├'}─ {stage}: ", rest + ("   " if last else "│  "))

    for box in [box for box in boxes if box not in sources] or list(boxes)[
        :1
    ]:  # rounds that share a box may go in circles
        tell(box, "", "")
    return "\n".join(lines)


def _words(label: str) -> str:
    text = label.replace("<br/>", "  ")
    for sign, name in (('"', "quot"), ("<", "lt"), (">", "gt"), ("`", "96"), ("#", "35")):
        text = text.replace(f"#{name};", sign)
    return text
