"""What goes wrong first in the states that the base solves and another policy loses, as `python -m benchmarks.harm` recorded them.

    python -m benchmarks.harmed_states --tasks stand_cup_up --cells twin
    python -m benchmarks.harmed_states --recorded benchmarks/recorded/harm_ablations.json --purpose validation --variants always

The lockstep batches that hold such a state are run again, so that each episode is the one that was recorded; first failures are those
of `ocrrl/rollouts/failure_modes.py`. Every number is of a simulator or a twin, none of a robot.
"""

import argparse
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.harm import OUT, first_states, unit_name
from benchmarks.harm_variants import Block, policy_of, variant
from benchmarks.recorded_units import PARALLEL, read_units
from ocrrl.layout import ROUND
from ocrrl.report.table import Table, markdown_table
from ocrrl.rollouts.control_loop import run_episodes
from ocrrl.rollouts.failure_modes import FailureMode, first_failure
from ocrrl.rollouts.state_trace import StateRecorder
from ocrrl.stages.evaluate import VLA_OF_CELL
from ocrrl.tabletop.registry import slugs, task_module


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", choices=slugs(), default=slugs())
    parser.add_argument("--cells", nargs="+", choices=tuple(VLA_OF_CELL), default=list(VLA_OF_CELL))
    parser.add_argument("--variants", nargs="+", default=["placebo", "residual"])
    parser.add_argument("--seed", type=int, default=0, help="of the residual")
    parser.add_argument("--purpose", choices=("test", "validation"), default="test")
    parser.add_argument("--recorded", type=Path, default=OUT)
    options = parser.parse_args()
    units, rows = read_units(options.recorded), []
    for slug in options.tasks:
        for cell in options.cells:
            for name in options.variants:
                made = variant(name)
                seed = options.seed if made.corrects else None
                base, found = (
                    units.get(unit_name(slug, policy, of_seed, cell, ROUND, options.purpose))
                    for policy, of_seed in (("base", None), (name, seed))
                )
                if base is not None and found is not None:
                    modes = harmed(Block(slug, ROUND, made, options.seed, cell, ()), base, found, options.purpose)
                    rows += [(slug, cell, name, mode, str(count)) for mode, count in modes.most_common()]
    print(markdown_table(Table(("task", "where", "policy", "first failure", "states"), rows, text_columns=4)))


def harmed(block: Block, base: dict[str, Any], found: dict[str, Any], purpose: str) -> Counter[str]:
    """How often each failure comes first in the states that `base` solves and the policy of `block` loses."""
    count = min(len(base["success"]), len(found["success"]))
    lost = {i for i in range(count) if base["success"][i] == "1" and found["success"][i] == "0"}
    states, modes = first_states(purpose, len(found["success"])), Counter[str]()
    world, policy, residual = policy_of(block)
    for first in sorted({i - i % PARALLEL for i in lost}):
        watcher = StateRecorder(world)
        batch = states[first : first + PARALLEL]
        outcomes = run_episodes(world, policy, residual, batch, watcher)
        for k in (i - first for i in lost if first <= i < first + PARALLEL):
            modes[_mode(outcomes[k].success, watcher, batch[k], block.slug)] += 1
    return modes


def _mode(success: bool, watcher: StateRecorder, state: int, slug: str) -> FailureMode | str:
    return "none this time" if success else first_failure(watcher.traces[state], task_module(slug).HANDLED)


if __name__ == "__main__":
    main()
