"""Sessions of `ocrrl evaluate` in a report: those that params.yaml names under `tabletop_tasks.<task>.evaluations`.

A session that somebody chose to show is shown whatever it says; a blind one that is not over is refused, since nobody may look
at it before.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ocrrl.interface.json_file import read_json_object
from ocrrl.report.json_reader import Json


@dataclass(frozen=True)
class EvaluationSession:
    """What a session measured."""

    tabletop_task: str
    name: str
    cell: str
    entry: Json
    """Of its cell in `evaluation.json`, as `rollouts.evaluate.PairedEvaluation.metrics` has it."""


def read_sessions(slug: str, round_name: str, folders: Sequence[str]) -> list[EvaluationSession]:
    """The sessions in `folders` that evaluated the round; ValueError or FileNotFoundError that names the folder of another kind."""
    found = [_read(slug, Path(folder)) for folder in folders]
    return [session for evaluated, session in found if evaluated == round_name]


def _read(slug: str, folder: Path) -> tuple[str, EvaluationSession]:
    """A session, after the round that it evaluated."""
    where, step = f"tabletop_tasks.{slug}.evaluations: {folder}", "name the folder of a session of `ocrrl evaluate`"
    if not (folder / "session.json").is_file():
        raise FileNotFoundError(f"{where} must hold session.json, which is missing; {step}")
    session = read_json_object(folder / "session.json", step)
    for name, required in (("purpose", "evaluate"), ("tabletop_task", slug)):
        if session.get(name) != required:
            raise ValueError(f"{where}: {name} of session.json must be {required!r}, got {session.get(name)!r}; {step}")
    if not (folder / "evaluation.json").is_file():
        raise FileNotFoundError(
            f"{where} must hold evaluation.json, which a session gets that has ended; go on with it, or end it by "
            f"`ocrrl unlock {folder} --early`"
        )
    evaluation, cell = read_json_object(folder / "evaluation.json", step), str(session.get("cell"))
    if not isinstance(evaluation.get(cell), dict):
        raise ValueError(
            f"{where}: evaluation.json must have measured {cell}, the cell of session.json; restore the session"
        )
    return str(session.get("round")), EvaluationSession(slug, folder.name, cell, evaluation[cell])
