"""Results of the stages that evaluate: evaluate, evaluate_retrained, evaluate_multitask, promote."""

from collections.abc import Iterable
from statistics import fmean

from tasks.markdown import NONE, difference, interval, number, paragraphs, percent, table
from tasks.results import Json, Results, cell_name, no_robot

NOT_A_CELL = ("tabletop_task", "round", "residual_seed")
ARMS = {
    "before": "VLA before",
    "retrained": "VLA retrained on corrected rollouts",
    "demonstrations_only": "control: demonstrations only",
    "base_rollouts": "control: base's own rollouts",
}
SUCCESS = ("successes", "rate", "95% interval", "steps to success")
STATEMENT = "Success is decided by the simulator's state or, on a robot, by the operator; never by a policy. Intervals are Wilson's."


def evaluated(metrics: Json, episodes: Json) -> Results:
    """Of `evaluate`: base and base + residual from the same initial states, by cell; `episodes` names the states."""
    cells = {name: metrics[name] for name in sorted(metrics, key=_order) if name not in NOT_A_CELL}
    rows, pairs, news = [], [], []
    for cell, entry in cells.items():
        for arm, name in (("base", "base"), ("residual", "base + residual")):
            rows.append((cell_name(cell), name, *_success(entry[arm])))
        paired = entry["paired"]
        counts = (paired[name] for name in ("both", "only_residual", "only_base", "neither"))
        pairs.append((cell_name(cell), *counts, difference(entry.get("difference"))))
        rates = [percent(entry[arm]["success_rate"]) for arm in ("base", "residual")]
        news.append(f"{' → '.join(rates)} in {cell_name(cell)}")
    found = episodes.get("cells", {})
    seeds = [episode["seed"] for entry in found.values() for episode in entry["episodes"]]
    return Results(
        "; ".join(reversed(news)) + ": base → base + residual",
        paragraphs(
            table(("where", "policy", *SUCCESS), rows, 2),
            "### Paired: what became of each initial state",
            table(("where", "both", "only base + residual", "only base", "neither", "difference"), pairs),
            f"{_held_out(seeds)} Residual of seed {metrics.get('residual_seed', NONE)}. {STATEMENT} "
            "Difference in percentage points with its paired 95% interval.",
            no_robot(cells),
        ),
    )


def retrained(metrics: Json) -> Results:
    """Of `evaluate_retrained` and `evaluate_multitask`: the VLA alone beside the one before and its control arms.

    A table for each tabletop task and cell; the headline is on the mean where there are several tasks.
    """
    parts, news, cells, seeds = [], [], [], []
    for tabletop_task, entries in metrics["tabletop_tasks"].items():
        for cell, entry in entries.items():
            where = f"{tabletop_task}, {cell_name(cell)}"
            against = entry.get("differences", {})
            rows = [
                (name, *_success(entry[arm]), difference(against.get(arm, {}).get("success_rate")))
                for arm, name in ARMS.items()
                if arm in entry
            ]
            parts += [f"### {where}", table(("policy, without residual", *SUCCESS, "retrained minus this"), rows)]
            rates = [percent(entry.get(arm, {}).get("success_rate")) for arm in ("before", "retrained")]
            news.append(f"{' → '.join(rates)} in {where}")
            cells.append(cell)
            arms = metrics.get("episodes", {}).get(tabletop_task, {}).get(cell, {})
            seeds += [episode["seed"] for found in arms.values() for episode in found]
    return Results(
        ("; ".join(news) if len(news) == 1 else _means(metrics["tabletop_tasks"])) + ": VLA alone, before → retrained",
        paragraphs(
            *parts,
            f"{_held_out(seeds)} {STATEMENT} Every arm was trained with as many optimiser steps. "
            "Difference in percentage points with its paired 95% interval.",
            no_robot(cells),
        ),
    )


def promoted(metrics: Json) -> Results:
    """Of `promote`: the VLA before and the retrained one on validation states, and which of them goes on."""
    rows = [(ARMS[arm], *_success(metrics[arm])) for arm in ("before", "retrained")]
    rates = [percent(metrics[arm]["success_rate"]) for arm in ("before", "retrained")]
    verdict = "promoted" if metrics["promoted"] else "not promoted: the pair of the round before goes on"
    return Results(
        f"{verdict}; {' → '.join(rates)} on validation states in {cell_name('twin')}",
        paragraphs(
            table(("policy, without residual", *SUCCESS), rows),
            f"Retrained minus before: {difference(metrics.get('difference'))} percentage points. The states are those that "
            "checkpoints are selected on, none that a result is reported on. Intervals are Wilson's.",
            no_robot(["twin"]),
        ),
    )


def _means(tabletop_tasks: Json) -> str:
    """Success before and after in each cell, averaged over the tabletop tasks that were evaluated there."""
    news = []
    for cell in dict.fromkeys(cell for entries in tabletop_tasks.values() for cell in entries):
        found = [entries[cell] for entries in tabletop_tasks.values() if cell in entries]
        rates = [_mean([entry.get(arm, {}).get("success_rate") for entry in found]) for arm in ("before", "retrained")]
        news.append(f"{' → '.join(rates)}, mean of {len(found)} tabletop tasks in {cell_name(cell)}")
    return "; ".join(news)


def _mean(rates: list[float | None]) -> str:
    known = [rate for rate in rates if rate is not None]
    return percent(fmean(known) if known and len(known) == len(rates) else None)


def _success(arm: Json) -> tuple[str, ...]:
    return (
        f"{arm['successes']} / {arm['episodes']}",
        percent(arm["success_rate"]),
        interval(arm["wilson_low"], arm["wilson_high"]),
        number(arm.get("mean_steps_success")),
    )


def _held_out(seeds: Iterable[int]) -> str:
    known = sorted(set(seeds))
    if not known:
        return "Held-out initial states."
    return f"{len(known)} held-out initial states, seeds {known[0]} to {known[-1]}."


def _order(cell: str) -> tuple[bool, str]:
    return (cell != "sim", cell)
