"""Harm: how many initial states that the base solves base + residual loses, net of a placebo; and what holds a residual back.

    dvc repro train_residual finetune
    python -m benchmarks.harm measure
    python -m benchmarks.harm table
    python -m benchmarks.harm ablate --tasks stack_cube stand_cup_up
    python -m benchmarks.harm calibrate --tasks stack_cube --cells sim

`measure` runs held-out states: base, placebo and base + residual of each seed, `--variants` more of benchmarks/harm_variants.py.
`ablate` runs the variants on validation states, which no checkpoint was chosen on. `calibrate` chooses the margin of a gate on others
of these (`ocrrl.residual.restraint.learn_then_test`). A unit, 100 states of one policy in one cell, is written when it is finished and
is not run again. Every number is of a simulator or a twin, none of a robot.
"""

import argparse
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harm_variants import CELLS, GATE, STRESSED, Block, Variant, run_block, trained, variant
from benchmarks.recorded_units import Units, commit_here, read_units
from ocrrl import files
from ocrrl.interface.seeds import initial_state_seeds
from ocrrl.layout import ROLLED_OUT_SEED, ROUND
from ocrrl.report.table import Table, markdown_table
from ocrrl.report.values import NONE, cell_label, percent, points
from ocrrl.residual.restraint.critic_gate import margin_of
from ocrrl.residual.restraint.learn_then_test import Course, calibrate
from ocrrl.rollouts.harm import Estimate, SolvedStates, gain, harmed_share, net_harm
from ocrrl.stages.evaluate import VLA_OF_CELL
from ocrrl.stages.processes import ahead
from ocrrl.stages.train_residual import FIRST_OF_CALIBRATION
from ocrrl.tabletop.registry import slugs

OUT = Path("benchmarks/recorded/harm.json")
ABLATIONS = Path("benchmarks/recorded/harm_ablations.json")
STATES = {"test": 0, "validation": 200_000, "calibration": FIRST_OF_CALIBRATION}
"""First state of each purpose in its range of seeds; those of calibration and of ablations are validation states."""
UNIT = 100  # states
EPISODES, EPISODES_OF_OTHERS = 300, 100
"""Held-out states of the residual seed that `rollout` uses, and of others."""
ABLATED = (
    *("base", "placebo", "always", "veto=0.5", "veto=0.0", "veto=-0.5", "veto=-1.0", "scaled=0.0"),
    *("fade_in=60", "fade_in=100", "missed=100", "coming_actions=0", "chunk_phase"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("measure", "table", "ablate", "calibrate"))
    parser.add_argument("--tasks", nargs="+", choices=slugs(), default=slugs())
    parser.add_argument("--cells", nargs="+", choices=CELLS, default=list(VLA_OF_CELL))
    parser.add_argument("--seeds", nargs="+", type=int, default=None, help="of the residual; measure: 0 1 2")
    parser.add_argument("--variants", nargs="+", default=None, help="of benchmarks/harm_variants.py")
    parser.add_argument("--episodes", type=int, default=None, help="initial states; measure: 300, others 100")
    parser.add_argument("--round", default=ROUND)
    parser.add_argument("--gross", action="store_true", help="calibrate: bound the harm with what a placebo loses")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--out", type=Path, default=None)
    options = parser.parse_args()
    out = options.out or (OUT if options.what in ("measure", "table") else ABLATIONS)
    units = read_units(out)
    if options.what == "table":
        for table in tables(units):
            print(markdown_table(table))
        return
    seeds = options.seeds or ([0, 1, 2] if options.what == "measure" else [0])
    bench = Bench(units, out, options.round, options.processes)
    if options.what == "calibrate":
        for slug in options.tasks:
            for cell in options.cells:
                bench.calibrate(slug, cell, seeds[0], options.episodes or GATE.episodes, not options.gross)
        return
    purpose = "test" if options.what == "measure" else "validation"
    default = ("base", "placebo", "residual") if options.what == "measure" else ABLATED
    for slug in options.tasks:
        for cell in options.cells:
            for name in options.variants or default:
                bench.run(slug, cell, name, seeds, purpose, options.episodes)
    for table in tables({name: units[name] for name in units if units[name].get("purpose") == purpose}):
        print(markdown_table(table))


def unit_name(slug: str, name: str, seed: int | None, cell: str, round_name: str, purpose: str) -> str:
    """What a policy's states are recorded as."""
    policy = name if seed is None else f"{name} seed {seed}"
    return f"{slug} {policy} in {cell}, {round_name}, {purpose}"


def first_states(purpose: str, count: int) -> list[int]:
    """The first initial states of a purpose."""
    return initial_state_seeds("test" if purpose == "test" else "validation", count, first=STATES[purpose])


class Bench:
    """Runs what is not recorded yet."""

    def __init__(self, units: Units, out: Path, round_name: str, processes: int) -> None:
        self._units, self._out, self._round, self._processes = units, out, round_name, processes

    def run(self, slug: str, cell: str, name: str, seeds: Sequence[int], purpose: str, episodes: int | None) -> None:
        """Each seed of a variant; of the base and the placebo, which have none, once."""
        made = self._variant(slug, cell, name, seeds[0])
        for seed in seeds if made.corrects else seeds[:1]:
            others = purpose != "test" or (made.corrects and seed != ROLLED_OUT_SEED)
            count = episodes or (EPISODES_OF_OTHERS if others else EPISODES)
            self.states(slug, cell, made, seed, purpose, count)

    def states(self, slug: str, cell: str, made: Variant, seed: int, purpose: str, count: int) -> dict[str, Any]:
        """At least the first `count` initial states of `purpose`; what is recorded of them."""
        cell = cell if made.corrects else _of_bases(cell)
        name = unit_name(slug, made.name, seed if made.corrects else None, cell, self._round, purpose)
        facts = {"task": slug, "cell": cell, "round": self._round, "purpose": purpose, "variant": made.name}
        empty = {"success": "", "steps": 0, "acting_steps": 0, "commit": commit_here(), **facts}
        found = self._units.get(name, empty | ({"seed": seed} if made.corrects else {}))
        done = len(found["success"])
        if done >= count:
            return found
        if made.corrects and (costs := trained(slug, self._round, made, seed)) is not None:
            self._record(f"{slug} training {made.trained_as} seed {seed}, {self._round}", costs)
        states = first_states(purpose, count)[done:]
        blocks = [
            (Block(slug, self._round, made, seed, cell, tuple(states[k : k + UNIT])),)
            for k in range(0, len(states), UNIT)
        ]
        for part in ahead(run_block, blocks, self._processes):
            found = found | {key: found[key] + part[key] for key in part}
            self._record(name, found)
        return found

    def calibrate(self, slug: str, cell: str, seed: int, count: int, net: bool) -> None:
        """Choose a gate's margin on validation states, by base and by base + residual with each margin that has to be tried."""
        settings = replace(GATE, episodes=count, net=net)
        alone, disturbed = (
            [s == "1" for s in self.states(slug, cell, variant(n), seed, "calibration", count)["success"][:count]]
            for n in ("base", "placebo")
        )

        def courses(margin: float) -> list[Course]:
            made = variant("always" if margin == -math.inf else f"veto={margin}")
            found = self.states(slug, cell, made, seed, "calibration", count)
            acting = found["acting_steps"] / found["steps"]
            return [Course(solved == "1", acting) for solved in found["success"][:count]]

        found = calibrate(settings, alone, disturbed, courses, cell)
        self._record(_calibration_name(slug, cell, seed, self._round), {"chosen": found.described()})
        print(f"{slug} seed {seed} in {cell}: {found.statement}")
        print(markdown_table(_calibration_table(found.described())))

    def _variant(self, slug: str, cell: str, name: str, seed: int) -> Variant:
        recorded = self._units.get(_calibration_name(slug, cell, seed, self._round))
        return variant(name, None if recorded is None else margin_of(recorded["chosen"]["margin"]))

    def _record(self, name: str, found: dict[str, Any]) -> None:
        self._units[name] = found
        files.write_json(self._out, self._units)
        if "success" in found:
            states = len(found["success"])
            print(f"{name}: {found['success'].count('1')} of {states}", flush=True)


def _calibration_name(slug: str, cell: str, seed: int, round_name: str) -> str:
    return f"{slug} calibration seed {seed} in {cell}, {round_name}"


def _calibration_table(described: dict[str, Any]) -> Table:
    rows = [
        (
            str(row["margin"]),
            f"{row['lost']} of {row['base_solved']}",
            NONE if row["lost_by_placebo"] is None else str(row["lost_by_placebo"]),
            f"{row['p']:.3f}",
            percent(row["success_rate"]),
            percent(row["acting"]),
            "yes" if i < described["certified"] else "no",
        )
        for i, row in enumerate(described["tested"])
    ]
    return Table(("margin", "lost", "by the placebo", "p", "success", "steps acting", "certified"), rows)


def tables(units: Units) -> Iterator[Table]:
    """A row for each policy in each cell, an average over tasks where all of several were run."""
    header = ("task", "where", "policy", "seed", "states", "base", "success", "gain")
    header = (*header, "lost", "harmed share", "net of placebo", "minus residual", "steps acting")
    groups: Groups = {}
    for found in units.values():
        if "success" in found:
            key = (found["cell"], found["round"], found["purpose"], found["variant"], found.get("seed"))
            groups.setdefault(key, {})[found["task"]] = found
    groups |= _over_seeds(groups)
    rows = []
    for (cell, round_name, purpose, name, seed), of_tasks in sorted(groups.items(), key=str):
        if name == "base":
            continue
        bases, placebos = (
            groups.get((_of_bases(cell), round_name, purpose, plain, None), {}) for plain in ("base", "placebo")
        )
        together = [list(of_tasks)] if len(of_tasks) > 1 else []
        for names in (*([slug] for slug in of_tasks), *together):
            if all(slug in bases for slug in names):
                states = [_states(bases[s], of_tasks[s], placebos.get(s), name == "placebo") for s in names]
                where = cell_label(_of_bases(cell)) + (", errors x 3" if cell == STRESSED else "")
                where = where if round_name == ROUND else f"{where}, {round_name}"
                task = names[0] if len(names) == 1 else f"all {len(names)}"
                published = groups.get((cell, round_name, purpose, "residual", seed), {})
                others = [_states(published[s], of_tasks[s]) for s in names if s in published and name != "residual"]
                better = points(gain(others).as_difference()) if len(others) == len(names) else NONE
                numbers = _numbers(states, of_tasks, names, better, corrects=seed is not None)
                rows.append((task, where, name, NONE if seed is None else str(seed), *numbers))
    yield Table(header, sorted(rows, key=lambda row: row[:2]), text_columns=3)


def _of_bases(cell: str) -> str:
    """The cell whose base and placebo are those of `cell`: they are given no poses, so a tracker's errors change nothing."""
    return "twin" if cell == STRESSED else cell


Groups = dict[tuple[Any, ...], dict[str, dict[str, Any]]]
"""Units by cell, round, purpose, variant and seed, then by task."""


def _over_seeds(groups: Groups) -> Groups:
    """For each policy of several residual seeds one that solves a state as often as they do, on the states that all of them ran."""
    several: dict[tuple[Any, ...], dict[str, list[dict[str, Any]]]] = {}
    for (*key, seed), of_tasks in groups.items():
        for slug, found in of_tasks.items():
            if seed is not None:
                several.setdefault((*key, "all"), {}).setdefault(slug, []).append(found)
    return {
        key: {
            slug: {
                "rates": np.mean([_solved(f)[: min(len(g["success"]) for g in of_seeds)] for f in of_seeds], axis=0),
                **{name: sum(found[name] for found in of_seeds) for name in ("steps", "acting_steps")},
            }
            for slug, of_seeds in of_tasks.items()
        }
        for key, of_tasks in several.items()
        if all(len(of_seeds) > 1 for of_seeds in of_tasks.values())
    }


def _solved(found: dict[str, Any]) -> np.ndarray:
    """How often each state was solved, in [0, 1]."""
    return found["rates"] if "rates" in found else np.array([solved == "1" for solved in found["success"]], float)


def _states(
    base: dict[str, Any], policy: dict[str, Any], placebo: dict[str, Any] | None = None, is_placebo: bool = False
) -> SolvedStates:
    """The states that all of them ran, which are the first."""
    ran = [_solved(found) for found in (base, policy, placebo) if found is not None]
    columns = [solved[: min(map(len, ran))] for solved in ran]
    return SolvedStates(*(columns[:2] if is_placebo else columns))


def _numbers(
    states: Sequence[SolvedStates],
    of_tasks: dict[str, dict[str, Any]],
    names: Iterable[str],
    better: str,
    corrects: bool,
) -> tuple[str, ...]:
    lost = sum(float((task.base * (1.0 - task.policy)).sum()) for task in states)
    acting = np.mean([of_tasks[slug]["acting_steps"] / of_tasks[slug]["steps"] for slug in names])
    return (
        str(sum(len(task.base) for task in states)),
        percent(float(np.mean([task.base.mean() for task in states]))),
        percent(float(np.mean([task.policy.mean() for task in states]))),
        points(gain(states).as_difference()),
        f"{lost:.0f} of {sum(task.solved for task in states):.0f}",
        _share(harmed_share(states)),
        _difference(net_harm(states)),
        better,
        percent(float(acting)) if corrects else NONE,
    )


def _share(found: Estimate | None) -> str:
    return NONE if found is None else f"{100 * found.value:.1f} [{100 * found.low:.1f}, {100 * found.high:.1f}]%"


def _difference(found: Estimate | None) -> str:
    if found is None:
        return NONE
    return f"{100 * found.value:+.1f} [{100 * found.low:+.1f}, {100 * found.high:+.1f}] points"


if __name__ == "__main__":
    main()
