"""Table 2a on the twin: what pose noise and dropout are worth in training, at the tracker's own errors and at larger ones;
and what randomised dynamics would add.

    dvc repro train_residual                            # the full method, every tabletop task of params.yaml
    python -m benchmarks.robustness experiments         # DVC experiments: without noise, dropout, both; randomised
    python -m benchmarks.robustness table               # all of them from the same held-out states, in Markdown
    python -m benchmarks.robustness table --only without_both

An experiment is run in a copy (`dvc exp run --temp`) and bears its name below; one that is there is not run again.
Every number is of a twin, none of a robot. `--tasks` takes some tabletop tasks only.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from ocrrl.interface.seeds import initial_state_seeds
from ocrrl.layout import ROLLED_OUT_SEED, Layout
from ocrrl.report.table import Table, markdown_table
from ocrrl.report.values import percent, points
from ocrrl.robot.twin.noisy_tracker import TrackerErrors
from ocrrl.robot.twin.twin import TwinCell
from ocrrl.rollouts.episode_outcome import EpisodeOutcome
from ocrrl.rollouts.statistics import average_difference, rate_difference
from ocrrl.tabletop.registry import slugs, tabletop_task
from ocrrl.worlds import make_scene

FULL = "full"
NO_NOISE = {"max_position_noise": 0.0, "max_rotation_noise": 0.0}
NO_DROPOUT = {"dropout": 0.0}
RANDOMISED = {
    "friction_scale": [0.5, 1.2],
    "mass_scale": [0.7, 1.3],
    "gripper_force_scale": [0.6, 1.1],
    "latency_steps": [0, 2],
}
EXPERIMENTS = {
    "without_noise": NO_NOISE,
    "without_dropout": NO_DROPOUT,
    "without_both": NO_NOISE | NO_DROPOUT,
    "randomised_dynamics": RANDOMISED,
}
PARALLEL = 25


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("experiments", "table"))
    parser.add_argument("--tasks", nargs="+", choices=slugs(), default=slugs())
    parser.add_argument("--only", nargs="+", choices=tuple(EXPERIMENTS), default=tuple(EXPERIMENTS), help="experiments")
    parser.add_argument("--episodes", type=int, default=100)
    parser.add_argument("--stress", type=float, default=3.0, help="by which the tracker's errors are multiplied")
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    if options.what == "experiments":
        for command in missing_experiments(options.tasks, existing_experiments(), options.only):
            print(" ".join(command), flush=True)
            subprocess.run(command, check=True)
        return
    with tempfile.TemporaryDirectory() as folder:
        sizes = (options.episodes, options.stress, options.processes)
        print(robustness_table(options.tasks, options.only, *sizes, Path(folder)))


def existing_experiments() -> set[str]:
    """Names of this workspace's experiments."""
    listed = subprocess.run(["dvc", "exp", "list", "--name-only"], capture_output=True, text=True, check=True)
    return set(listed.stdout.split())


def missing_experiments(
    slugs: tuple[str, ...], existing: set[str], only: tuple[str, ...] = tuple(EXPERIMENTS)
) -> list[list[str]]:
    """The `dvc exp run` of each experiment of `only` that is not there yet."""
    stages = [f"train_residual@{slug}-{ROLLED_OUT_SEED}" for slug in slugs]
    commands = []
    for name, changes in EXPERIMENTS.items():
        if name in only and name not in existing:
            sets = [
                f"--set-param=++train_residual.{s}.{k}={v}".replace(" ", "") for s in slugs for k, v in changes.items()
            ]
            commands.append(["dvc", "exp", "run", "--temp", "--name", name, *sets, *stages])
    return commands


def stressed(factor: float) -> TrackerErrors:
    """The twin's tracker with errors `factor` times as large; bursts come as many times as often, and last as long."""
    own = TrackerErrors()
    sizes = ("max_bias", "max_rotation_bias", "max_drift", "max_jitter", "max_rotation_jitter")
    return replace(
        own,
        **{name: factor * getattr(own, name) for name in sizes},
        lost_episodes=min(1.0, factor * own.lost_episodes),
        lost_for=(factor * own.lost_for[0], factor * own.lost_for[1]),
    )


def residual_of(slug: str, variant: str, folder: Path) -> Path:
    """Where the residual of `variant` lies: the workspace's, or an experiment's, fetched from DVC's cache."""
    model = Layout(slug).residual(ROLLED_OUT_SEED)
    if variant == FULL:
        return model
    fetched = folder / variant / slug
    fetched.parent.mkdir(parents=True, exist_ok=True)
    command = ["dvc", "get", ".", str(model), "--rev", variant, "--out", str(fetched)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{model} of experiment {variant} is not there ({done.stderr.strip()}): run `experiments` first")
    require_trained_so(variant, slug, json.loads((fetched / "config.json").read_text())["config"])
    return fetched


def require_trained_so(variant: str, slug: str, config: dict[str, Any]) -> None:
    """Exit where a residual of `slug` is not the experiment's: one run for some tabletop tasks has the full method's of the others."""
    for name, value in EXPERIMENTS[variant].items():
        if config[name] != value:
            sys.exit(
                f"{slug} in experiment {variant} must have been trained with {name} {value}, got {config[name]}: remove the "
                f"experiment (`dvc exp remove {variant}`), then run `experiments` for every tabletop task"
            )


def outcomes(slug: str, residual: Path, episodes: int, factor: float) -> list[EpisodeOutcome]:
    """Held-out episodes of base + residual in the twin whose tracker errs `factor` times as much."""
    from ocrrl.policies.checkpoint import load_policy
    from ocrrl.residual.residual_policy import load_residual
    from ocrrl.rollouts.control_loop import run_episodes

    task, parallel = tabletop_task(slug), min(PARALLEL, episodes)
    world = TwinCell(make_scene(slug), parallel, errors=stressed(factor))
    base = load_policy(Layout(slug).vla("real"), task.instruction, parallel)
    seeds = initial_state_seeds("test", episodes)
    return run_episodes(world, base, load_residual(residual, task), seeds)


def robustness_table(
    slugs: tuple[str, ...], experiments: tuple[str, ...], episodes: int, stress: float, processes: int, folder: Path
) -> str:
    """Successes of the full method and of every experiment, and its difference from the full method, by tabletop task and in all."""
    variants = (FULL, *experiments)
    calls = [
        (slug, residual_of(slug, variant, folder), episodes, factor)
        for factor in (1.0, stress)
        for variant in variants
        for slug in slugs
    ]
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        found = iter(list(pool.map(outcomes, *zip(*calls, strict=True))))
    rows = []
    for factor in (1.0, stress):
        by_variant = {variant: {slug: next(found) for slug in slugs} for variant in variants}
        for variant, of_task in by_variant.items():
            rows.append((f"x {factor:g}", variant, *_columns(by_variant[FULL], of_task)))
    header = ("tracker's errors", "trained", *slugs, "average", "minus full")
    return markdown_table(Table(header, rows, text_columns=2))


def _columns(full: dict[str, list[EpisodeOutcome]], of_task: dict[str, list[EpisodeOutcome]]) -> tuple[str, ...]:
    rates = [percent(sum(o.success for o in episodes) / len(episodes)) for episodes in of_task.values()]
    if of_task is full:
        total = average_difference([[(o.seed, o.success, o.success) for o in e] for e in full.values()])
        return (*rates, percent(total["second"]), "–")
    paired = [[(a.seed, a.success, b.success) for a, b in zip(full[s], of_task[s], strict=True)] for s in full]
    total = average_difference(paired)
    cells = [
        f"{rate} ({points(dict(rate_difference(full[s], of_task[s])))})" for rate, s in zip(rates, full, strict=True)
    ]
    return (*cells, percent(total["second"]), points(dict(total)))


if __name__ == "__main__":
    main()
