"""Results of the stages that collect and check episodes: record, ingest, replay, rollout, training_set."""

from collections import Counter
from collections.abc import Iterable
from statistics import median

from tasks.markdown import interval, millimetres, number, paragraphs, percent, table
from tasks.results import Json, Results, cell_name, no_robot

ERRORS = {
    "gripper_error_median": ("gripper error (episode's median)", "max_gripper_error"),
    "object_error_median": ("object error (episode's median)", "max_object_error"),
    "slip": ("slip of the object in the gripper", "max_slip"),
}
POLICIES = {"corrected": "base + residual", "base": "base alone"}
KINDS = {
    "demonstration": "demonstrations",
    "rollout": "rollouts of base + residual",
    "base_rollout": "rollouts of the base alone",
}


def recordings(rows: list[Json]) -> Results:
    """Of `record`: `rows` as `episode_files.py list` gives them."""
    unreadable = [row for row in rows if row.get("error")]
    cells: dict[str, list[Json]] = {}
    for row in rows:
        if not row.get("error"):
            cells.setdefault(row["cell"], []).append(row)
    body = table(
        ("cell", "episodes", "successes", "shortest", "median", "longest"),
        [
            (
                cell_name(cell),
                len(found),
                sum(1 for row in found if row["success"]),
                *(number(f(row["steps"] for row in found)) for f in (min, median, max)),
            )
            for cell, found in cells.items()
        ],
    )
    return Results(
        f"{len(rows) - len(unreadable)} episodes recorded" + _and_not(len(unreadable), "unreadable"),
        paragraphs(
            body,
            "Lengths in control steps.",
            "### Unreadable" if unreadable else None,
            table(("episode", "why"), [(row["source"], row["error"]) for row in unreadable], 2) if unreadable else None,
            no_robot(cells),
        ),
    )


def ingested(report: Json, episodes: list[Json]) -> Results:
    """Of `ingest`: what was accepted, what was refused and why; `episodes` are the dataset's, from its sidecar."""
    accepted, rejected = report["counts"]["accepted"], report["counts"]["rejected"]
    steps = sum(episode["length"] for episode in report["accepted"])
    cells = sorted({episode["cell"] for episode in episodes})
    return Results(
        f"{accepted} of {accepted + rejected} recordings accepted" + _and_not(rejected, "refused"),
        paragraphs(
            table(
                ("quality control", "recordings"),
                [
                    ("accepted", accepted),
                    ("refused", rejected),
                    ("steps accepted", number(steps)),
                    ("format", report.get("source_format")),
                    ("cell", ", ".join(cell_name(cell) for cell in cells)),
                ],
            ),
            *_reasons("refused", report["rejected"]),
            no_robot(cells),
        ),
    )


def replayed(report: Json) -> Results:
    """Of `replay`: what was kept, what was dropped and why, the thresholds, and how closely the replays followed."""
    counts, limits = report["counts"], report.get("config", {})
    errors = []
    for name, (label, limit) in ERRORS.items():
        values = [row[name] for row in report.get("quality", []) if row.get(name) is not None]
        spread = (median(values), max(values)) if values else (None, None)
        errors.append((label, len(values), *(millimetres(value) for value in (*spread, limits.get(limit)))))
    return Results(
        f"{counts['kept']} of {counts['episodes']} episodes kept, {counts['successes']} of {counts['replayed']} replays "
        "succeeded",
        paragraphs(
            table(
                ("quality control", "episodes"),
                [
                    ("ingested", counts["episodes"]),
                    ("replayed", counts["replayed"]),
                    ("replay succeeded", counts["successes"]),
                    ("kept", counts["kept"]),
                    ("dropped", counts["dropped"]),
                ],
            ),
            *_reasons("dropped", report["dropped"]),
            "### How closely the replays followed the recordings",
            table(("error", "episodes", "median", "worst", "kept up to"), errors),
            "A replay that did not succeed is dropped." if limits.get("require_success") else None,
        ),
    )


def rolled_out(report: Json) -> Results:
    """Of `rollout` or `rollout_base`: attempts and successes."""
    rows, cells = [], []
    for policy, name in POLICIES.items():
        if arm := report.get(policy):
            tried = arm["attempts"]
            cells.append(arm["cell"])
            rows.append(
                (
                    name,
                    cell_name(arm["cell"]),
                    tried["episodes"],
                    tried["successes"],
                    percent(tried["success_rate"]),
                    interval(tried["wilson_low"], tried["wilson_high"]),
                    f"{arm['recorded']} of {arm['wanted']}",
                )
            )
    header = ("policy", "cell", "attempts", "successes", "rate", "95% interval", "kept of wanted")
    return Results(
        "; ".join(f"{row[3]} of {row[2]} attempts succeeded with {row[0]}" for row in rows) or "no rollouts",
        paragraphs(
            table(header, rows, 2),
            f"Residual of seed {report['residual_seed']}." if "residual_seed" in report else None,
            "Only successful episodes are kept.",
            no_robot(cells),
        ),
    )


def training_sets(episodes: dict[str, list[Json]]) -> Results:
    """Of `training_set`: each set's episodes by kind and cell."""
    rows, cells = [], set()
    for name, found in episodes.items():
        counted = Counter((row["kind"], row["cell"]) for row in found)
        for (kind, cell), count in sorted(counted.items()):
            steps = sum(row["length"] for row in found if (row["kind"], row["cell"]) == (kind, cell))
            rows.append((name, KINDS.get(kind, kind), cell_name(cell), count, number(steps)))
            cells.add(cell)
    return Results(
        "; ".join(f"{len(found)} episodes in {name}" for name, found in episodes.items()),
        paragraphs(table(("training set", "of", "cell", "episodes", "steps"), rows, 3), no_robot(cells)),
    )


def _reasons(what: str, entries: Iterable[Json]) -> tuple[str, ...]:
    rows = [(entry["source"], entry["reason"]) for entry in entries]
    return (f"### Why episodes were {what}", table(("episode", "why"), rows, 2)) if rows else (f"None was {what}.",)


def _and_not(count: int, how: str) -> str:
    return f", {count} {how}" if count else ""
