"""What late chunks cost: residuals trained and deployed at several delays, in the twin, from the same held-out initial states.

    dvc repro train_residual@cube_lift-0 finetune@cube_lift-real
    python -m benchmarks.late_chunks measure --task cube_lift --delays 3 6 --out benchmarks/recorded/late_chunks.json
    python -m benchmarks.late_chunks table --out benchmarks/recorded/late_chunks.json

For each delay d (control steps of 50 ms, the same for every chunk) a residual is trained as `train_residual` does, seed 0, and
deployed at d; with `--phase` another one that is also given the chunk's phase. The residual of the stage, trained at 0, is deployed at
0 and at each d. Each unit is written when it is finished and is not run again. Every number is of a twin, none of a robot.
"""

import argparse
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.recorded_units import PARALLEL, outcomes_of, read_units, record_unit
from ocrrl.datasets.transitions import read_replay_transitions
from ocrrl.interface.residual_observations import AnyResidual
from ocrrl.interface.seeds import initial_state_seeds
from ocrrl.interface.tabletop_tasks import TabletopTask
from ocrrl.layout import Layout
from ocrrl.params import Params
from ocrrl.policies.checkpoint import load_vla
from ocrrl.policies.chunk_delay import ChunkDelay
from ocrrl.policies.chunked_policy import ChunkedPolicy
from ocrrl.report.table import Table, markdown_table
from ocrrl.report.values import percent, points
from ocrrl.residual.residual_policy import load_residual
from ocrrl.residual.train_residual import train_residual
from ocrrl.rollouts.control_loop import run_episodes
from ocrrl.rollouts.statistics import average_difference, rate_difference, success_summary
from ocrrl.stages.processes import BackgroundProcess
from ocrrl.tabletop.registry import slugs, tabletop_task
from ocrrl.worlds import make_simulator, make_twin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("measure", "table"))
    parser.add_argument("--task", default="cube_lift")
    parser.add_argument("--delays", nargs="+", type=int, default=[3, 6])
    parser.add_argument(
        "--ask-every",
        type=int,
        metavar="S",
        help="control steps from one question to the next where d is not 0; the VLA's own 8",
    )
    parser.add_argument("--phase", action="store_true", help="residuals with `train_residual.chunk_phase`, too")
    parser.add_argument("--episodes", type=int, default=100)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/recorded/late_chunks.json"))
    options = parser.parse_args()
    recorded = read_units(options.out)
    if options.what == "table":
        print(markdown_table(table(recorded)), markdown_table(averages(recorded)), sep="\n")
        return
    task = tabletop_task(options.task)
    seeds = initial_state_seeds("test", options.episodes)
    for trained, deployed in [*((d, d) for d in options.delays), (0, 0), *((0, d) for d in options.delays)]:
        variants = ("base", "residual", *(["phase"] if options.phase else [])) if trained == deployed else ("residual",)
        for variant in variants:
            asked = options.ask_every if deployed else None
            unit = f"{task.slug} {variant} trained {trained} deployed {deployed}" + (f" asked {asked}" if asked else "")
            if unit in recorded:
                continue
            residual = (
                None
                if variant == "base"
                else _residual(task, trained, variant == "phase", options.ask_every if trained else None)
            )
            base = _policy(task, "real", PARALLEL, deployed, asked)
            outcomes = run_episodes(make_twin(task.slug, PARALLEL), base, residual, seeds)
            record_unit(options.out, recorded, unit, outcomes)


def table(recorded: dict[str, Any]) -> Table:
    """A row for each unit: success, and the paired difference from the residual that was trained and deployed at 0."""
    rows = []
    for unit, found in recorded.items():
        slug, variant, _, trained, _, deployed, *asked = unit.split(" ")
        summary = success_summary(outcomes_of(found))
        reference = "base" if variant == "base" else "residual"
        first = recorded.get(f"{slug} {reference} trained 0 deployed 0")
        difference = (
            points(dict(rate_difference(outcomes_of(first), outcomes_of(found))))
            if first and first is not found
            else "–"
        )
        interval = f"[{percent(summary['wilson_low'])}, {percent(summary['wilson_high'])}]"
        every = asked[1] if asked else "8"
        rows.append((slug, variant, trained, deployed, every, percent(summary["success_rate"]), interval, difference))
    return Table(
        (
            "task",
            "policy",
            "trained at d",
            "deployed at d",
            "asked every",
            "success",
            "95% interval",
            "difference from 0, 0",
        ),
        rows,
    )


def averages(recorded: dict[str, Any]) -> Table:
    """A row for what was measured in all five tabletop tasks: the average, and its paired difference from 0, 0."""
    by_kind: dict[str, dict[str, Any]] = {}
    for unit, found in recorded.items():
        slug, kind = unit.split(" ", 1)
        by_kind.setdefault(kind, {})[slug] = found
    rows = []
    for kind, by_task in by_kind.items():
        first = by_kind.get(f"{'base' if kind.startswith('base') else 'residual'} trained 0 deployed 0", {})
        if set(by_task) == set(first) == set(slugs()):
            pairs = [
                list(zip(found["seeds"], map(bool, first[slug]["success"]), map(bool, found["success"]), strict=True))
                for slug, found in by_task.items()
            ]
            average = average_difference(pairs)
            difference = "–" if by_task is first else points(dict(average))
            rows.append(
                (f"average of {len(pairs)}", kind, str(sum(map(len, pairs))), percent(average["second"]), difference)
            )
    return Table(("tasks", "policy", "pairs", "success", "difference from 0, 0"), rows)


def _policy(task: TabletopTask, domain: str, num_envs: int, delay: int, ask_every: int | None) -> ChunkedPolicy:
    shares = ChunkDelay((0.0,) * delay + (1.0,))
    return ChunkedPolicy(load_vla(Layout(task.slug).vla(domain)), task.instruction, num_envs, ask_every, shares)


def _residual(task: TabletopTask, delay: int, phase: bool, ask_every: int | None) -> AnyResidual:
    """The stage's own for 0 without phase, else one that is trained now, or was before in this folder."""
    layout = Layout(task.slug)
    own = Path(f".work/late_chunks/{task.slug}-{delay}{f'-asked-{ask_every}' * bool(ask_every)}{'-phase' * phase}")
    out = own if delay or phase else layout.residual(0)
    if not out.is_dir():
        config = replace(Params.read().config("train_residual", task.slug), chunk_phase=phase)
        with (
            tempfile.TemporaryDirectory(dir=".work") as work,
            BackgroundProcess(
                partial(success_rate, task.slug, delay, ask_every, config.validation_episodes)
            ) as validation,
        ):
            train_residual(
                config,
                make_simulator(task.slug, config.num_envs),
                _policy(task, "sim", config.num_envs, delay, ask_every),
                read_replay_transitions(layout.replay_transitions),
                Path(work),
                out,
                0,
                validation,
            )
    return load_residual(out, task)


def success_rate(slug: str, delay: int, ask_every: int | None, episodes: int, residual: AnyResidual) -> float:
    """Of base + residual in the simulator at `delay`, from the validation states."""
    task = tabletop_task(slug)
    base, world = _policy(task, "sim", PARALLEL, delay, ask_every), make_simulator(slug, PARALLEL)
    outcomes = run_episodes(world, base, residual, initial_state_seeds("validation", episodes))
    return float(np.mean([outcome.success for outcome in outcomes]))


if __name__ == "__main__":
    main()
