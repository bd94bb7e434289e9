"""Which rollouts keep later rounds improving: the VLA alone, retrained on each kind, in the twin.

    dvc repro train_residual finetune
    python -m benchmarks.rounds choose --tasks cube_lift --paths plain plain/plain plain/fresh plain/fresh+labels
    python -m benchmarks.rounds measure --tasks cube_lift --paths plain/plain plain/fresh+labels
    python -m benchmarks.rounds table

A path names what each round did (`benchmarks.round_variants.PARTS`): `plain/fresh+labels` is a first round as the pipeline's, and a
second one on fresh initial states with labels besides. `choose` runs each VLA from validation states that nothing else is chosen on,
`measure` from held-out ones. One VLA is trained on all of `--tasks`. Each unit is written when it is finished and is not run again;
rollouts, VLAs and residuals stay in `.work/rounds`. Every number is of a twin, none of a robot.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from benchmarks.recorded_units import PARALLEL, Units, outcomes_of, read_units, record_unit
from benchmarks.round_variants import Rounds, next_pair, retrained
from ocrrl.interface.seeds import initial_state_seeds
from ocrrl.params import Params
from ocrrl.policies.checkpoint import load_policy
from ocrrl.report.table import Table, markdown_table
from ocrrl.report.values import percent, points
from ocrrl.rollouts.control_loop import run_episodes
from ocrrl.rollouts.episode_outcome import EpisodeOutcome
from ocrrl.rollouts.statistics import average_difference, rate_difference, success_summary
from ocrrl.tabletop.registry import slugs, tabletop_task
from ocrrl.worlds import make_twin

OUT = Path("benchmarks/recorded/rounds.json")
STATES = {"choose": ("validation", 20_000), "measure": ("test", 0)}
"""The range of initial states and the first of it: no checkpoint, no setting of a residual is chosen on these validation states."""
BEFORE = "before"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=(*STATES, "table"))
    parser.add_argument("--tasks", nargs="+", choices=slugs(), default=["cube_lift"])
    parser.add_argument("--paths", nargs="+", default=["plain", "plain/plain"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0], help="of the VLA's training in the last round")
    parser.add_argument("--episodes", type=int, default=200, help="initial states a task")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    recorded = read_units(options.out)
    if options.what == "table":
        print(*(markdown_table(table(recorded, states)) for states in STATES), sep="\n")
        return
    chosen = [Rounds(tuple(options.tasks), tuple(path.split("/")), s) for path in options.paths for s in options.seeds]
    for rounds in chosen:
        run(rounds, options.what, options.episodes, recorded, options.out)


def run(rounds: Rounds, states: str, episodes: int, recorded: Units, out: Path) -> None:
    """Make the VLA of `rounds` and whatever that needs; record what `recorded` lacks of it and of the VLAs before."""
    if rounds.path:
        run(rounds.before, "choose", episodes, recorded, out)
        begun, before = time.process_time(), rounds.before
        next_pair(before)
        usual = {task: usual_steps(outcomes_of(recorded[unit(before, task, "choose")])) for task in rounds.tasks}
        retrained(rounds, usual)
        print(f"{'/'.join(rounds.path)}: {time.process_time() - begun:.0f} s of processor time", flush=True)
    purpose, first = STATES[states]
    for task in rounds.tasks:
        if (name := unit(rounds, task, states)) in recorded:
            continue
        base = load_policy(rounds.vla("real", task), tabletop_task(task).instruction, PARALLEL)
        twin = make_twin(task, PARALLEL, Params.read().cameras)
        outcomes = run_episodes(twin, base, None, initial_state_seeds(purpose, episodes, first))
        record_unit(out, recorded, name, outcomes)


def unit(rounds: Rounds, task: str, states: str) -> str:
    """The name under which the episodes of `task` are recorded."""
    return f"{states} {'+'.join(rounds.tasks)} {task} {'/'.join(rounds.path) or BEFORE} {rounds.seed}"


def usual_steps(outcomes: Sequence[EpisodeOutcome]) -> int:
    """The median length of successes; the longest episode without one."""
    return int(median([o.steps for o in outcomes if o.success] or [max(o.steps for o in outcomes)]))


def table(recorded: Units, states: str) -> Table:
    """A row for each VLA and tabletop task, and one of their average; differences over the same initial states and training seeds."""
    found: dict[tuple[str, str], dict[str, dict[str, list[EpisodeOutcome]]]] = {}
    for name, entry in recorded.items():
        kind, tasks, task, path, seed = name.split(" ")
        if kind == states:
            found.setdefault((tasks, path), {}).setdefault(task, {})[seed] = outcomes_of(entry)
    rows = []
    for (tasks, path), by_task in sorted(
        found.items(), key=lambda item: (item[0][0], item[0][1].count("/"), item[0][1] != BEFORE)
    ):
        first, last = path.rpartition("/")[::2]
        before = found.get((tasks, first or BEFORE), {}) if path != BEFORE else {}
        plain = found.get((tasks, f"{first}/plain".lstrip("/")), {}) if last not in ("plain", BEFORE) else {}
        for task in [*by_task, *(["average"] if len(by_task) > 1 else [])]:
            chosen = list(by_task) if task == "average" else [task]
            pooled = [outcome for slug in chosen for episodes in by_task[slug].values() for outcome in episodes]
            summary = success_summary(pooled)
            rows.append(
                (
                    *(tasks, task, path, str(max(len(by_task[slug]) for slug in chosen)), str(len(pooled))),
                    percent(summary["success_rate"]),
                    f"[{percent(summary['wilson_low'])}, {percent(summary['wilson_high'])}]"
                    if task != "average"
                    else "–",
                    *(_difference(by_task, other, chosen) for other in (before, plain)),
                )
            )
    header = (
        "VLA of",
        "task",
        "rounds",
        "trainings",
        "states",
        "success",
        "95% interval",
        "minus the round before",
        "minus plain",
    )
    return Table(header, rows, 3)


def _difference(
    mine: dict[str, dict[str, list[EpisodeOutcome]]],
    other: dict[str, dict[str, list[EpisodeOutcome]]],
    tasks: list[str],
) -> str:
    """Paired over initial states and, where both have several, training seeds; the one of a VLA before stands for all."""
    pairs = []
    for task in tasks:
        theirs = other.get(task, {})
        both = [(outcomes, theirs.get(seed) or theirs.get("0")) for seed, outcomes in mine[task].items()]
        if any(reference is None or len(reference) != len(outcomes) for outcomes, reference in both):
            return "–"
        pairs.append([(a, b) for outcomes, reference in both for a, b in zip(reference or [], outcomes, strict=True)])
    if len(tasks) == 1:
        return points(dict(rate_difference(*map(list, zip(*pairs[0], strict=True)))))
    return points(dict(average_difference([[(a.seed, a.success, b.success) for a, b in of_task] for of_task in pairs])))


if __name__ == "__main__":
    main()
