"""Evaluation sessions as a table: success, harm, the sequential verdict with its plan's hash."""

from collections.abc import Sequence

from ocrrl.report.evaluation_sessions import EvaluationSession
from ocrrl.report.table import Table
from ocrrl.report.values import NONE, cell_label, lost_of_solved, points, rate_with_interval, sequential_verdict_text

_NOTE = (
    "Initial states, order and stopping rule of a blind session were fixed and hashed before its first episode; its interval holds at "
    "every look. Others had a number of episodes that was fixed beforehand."
)


def sessions_table(sessions: Sequence[EvaluationSession]) -> Table:
    """Base and base + residual of each session, with its verdict and its plan's hash."""
    header = ("tabletop task", "where", "session", "base", "base + residual", "lost", "verdict", "plan (SHA-256)")
    return Table(header, [_row(session) for session in sessions], 8, note=_NOTE)


def _row(session: EvaluationSession) -> tuple[str, ...]:
    entry, sequential = session.entry, session.entry.get("sequential")
    if sequential is None:
        verdict, plan = points(entry["difference"]), NONE
    else:
        verdict, plan = sequential_verdict_text(sequential), f"{sequential['plan'][:12]}..."
    return (
        session.tabletop_task,
        cell_label(session.cell),
        session.name,
        *(rate_with_interval(entry[variant]) for variant in ("base", "residual")),
        lost_of_solved(entry["paired"]["only_base"], entry["base"]["successes"]),
        verdict,
        plan,
    )
