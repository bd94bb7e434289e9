"""Verdicts on a model of the evaluations until decided that DVC tracks (`ocrrl evaluate --until decided`)."""

from dataclasses import dataclass
from typing import Any

from ocrrl.files import fingerprint
from ocrrl.lineage.datasets import read_json_in
from ocrrl.lineage.project import Project
from ocrrl.lineage.reading.places import place_of

_NEEDED = {"decision", "decided_after", "pairs", "difference", "low", "high", "p_value", "plan", "unlocked_early"}


@dataclass(frozen=True)
class SessionVerdict:
    """What one session says of the model."""

    session: str
    """The path of its folder."""
    tabletop_task: str
    cell: str
    sequential: dict[str, Any]
    """Decision, pairs, difference with its confidence sequence, p-value and the plan's hash, as `evaluation.json` has them."""


def session_verdicts(project: Project, path: str) -> tuple[SessionVerdict, ...]:
    """Of the tracked sessions whose models were those at `path` as they are here; a session that is blind says nothing."""
    model, verdicts = project.root / path, []
    if not model.is_dir():
        return ()
    for owner_path, (_, out) in sorted(project.files.outs.items()):
        if place_of(owner_path).kind != "session":
            continue
        session, evaluation = (
            read_json_in(project.contents, out, f"{name}.json") for name in ("session", "evaluation")
        )
        if not isinstance(session, dict) or not isinstance(evaluation, dict):
            continue
        cell, models = str(session.get("cell")), session.get("models")
        sequential = (evaluation.get(cell) or {}).get("sequential")
        if not isinstance(sequential, dict) or not set(sequential) >= _NEEDED or not isinstance(models, dict):
            continue
        if models.get(path) == fingerprint(model):
            verdicts.append(SessionVerdict(owner_path, str(session.get("tabletop_task")), cell, sequential))
    return tuple(verdicts)
