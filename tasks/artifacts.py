"""What the Prefect UI shows of a stage: tables, figures, progress, and the end of a failed stage's log."""

import re
import time
from pathlib import Path
from uuid import UUID

from prefect.artifacts import create_markdown_artifact, create_progress_artifact, update_progress_artifact

from tasks.child_process import Outcome
from tasks.graph import Stage

UPDATE_EVERY = 5.0  # seconds


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
        if self._artifact is None:
            answer = create_progress_artifact(percent, key=key(self._stage, "progress"), description=self._stage.title)
            self._artifact = answer if isinstance(answer, UUID) else None
        else:
            update_progress_artifact(self._artifact, percent)


def show_results(stage: Stage, workspace: Path) -> None:
    """Artifacts from what `stage` wrote."""


def show_failure(stage: Stage, outcome: Outcome) -> None:
    """The end of a failed stage's log."""
    create_markdown_artifact(
        f"# {stage.title}\n\n```\n{outcome.tail()}\n```\n\nWhole log: `{outcome.log}`",
        key=key(stage, "failure"),
        description=f"{stage.title} failed",
    )


def key(stage: Stage, what: str) -> str:
    """An artifact's key, of lower case letters, digits and dashes: `evaluate-cube-lift-0-results`."""
    return re.sub(r"[^a-z0-9]+", "-", f"{stage.name}-{stage.round}-{what}".lower()).strip("-")
