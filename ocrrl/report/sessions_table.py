"""Evaluation sessions as a table: success, harm, the sequential verdict with its plan's hash."""

from collections.abc import Sequence

from ocrrl.report.evaluation_sessions import EvaluationSession
from ocrrl.report.json_reader import Json
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
        verdict, plan = points(entry["difference"]) + _missing(entry, "still_to_run", "left_out"), NONE
    else:
        verdict = sequential_verdict_text(sequential) + _missing(entry, "left_out")
        plan = f"{sequential['plan'][:12]}..."
    return (
        session.tabletop_task,
        cell_label(session.cell),
        session.name,
        *(rate_with_interval(entry[variant]) for variant in ("base", "residual")),
        lost_of_solved(entry["paired"]["only_base"], entry["base"]["successes"]),
        verdict,
        plan,
    )


def _missing(entry: Json, *kinds: str) -> str:
    """Which of the pairs that were planned are not compared, such as `; 40 of 100 pairs still to run`; empty where all are."""
    account = entry.get("pairs", {})
    states = {"still_to_run": account.get("still_to_run", 0), "left_out": len(account.get("left_out", []))}
    return "".join(f"; {states[k]} of {account['planned']} pairs {k.replace('_', ' ')}" for k in kinds if states[k])
