"""What the residual observes (Table 2b, Fig. 6b): object poses, images, images learned from a teacher; one protocol, sim and twin.

    dvc repro train_residual@cube_lift-0 finetune@cube_lift-real
    python -m benchmarks.observation_spaces train --tasks cube_lift --look realistic
    python -m benchmarks.observation_spaces measure --tasks cube_lift --look realistic
    python -m benchmarks.observation_spaces table

For each task, residuals are trained as `train_residual` does, with what `SETTINGS` changes and, as in the paper, without the base's
coming actions, at two budgets: `transitions`, the task's own `total_timesteps`, and `cpu`, in which transitions, warm-up and the
encoder's updates shrink until a training takes the CPU time of the object-centric one (a student's includes its teacher's). Each is
run from the same held-out initial states as the base. Each unit, a training or 100 episodes, is written when it is finished and is not
run again; a training that was killed goes on. Every number is of a simulator or a twin, none of a robot.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.recorded_units import PARALLEL, commit_here, outcomes_of, read_units
from benchmarks.residual import TRAINING_PARTS
from ocrrl import files
from ocrrl.datasets.transitions import read_replay_transitions
from ocrrl.interface.residual_observations import LOOKS, AnyResidual, Look
from ocrrl.interface.seeds import initial_state_seeds
from ocrrl.layout import WORK, Layout
from ocrrl.params import Params
from ocrrl.policies.checkpoint import load_vla
from ocrrl.policies.chunked_policy import ChunkedPolicy
from ocrrl.report.table import Table, markdown_table
from ocrrl.report.values import percent, points
from ocrrl.residual.learning_curve import Validation
from ocrrl.residual.residual_config import ResidualConfig
from ocrrl.residual.residual_policy import load_residual
from ocrrl.residual.train_residual import train_residual
from ocrrl.rollouts.control_loop import run_episodes
from ocrrl.rollouts.episode_outcome import EpisodeOutcome
from ocrrl.rollouts.statistics import rate_difference, success_summary
from ocrrl.stages.evaluate import VLA_OF_CELL
from ocrrl.stages.processes import BackgroundProcess
from ocrrl.tabletop.registry import slugs, tabletop_task
from ocrrl.worlds import make_environment, make_simulator

SPACES = ("objects", "images", "images+positions", "distilled")
"""`images+positions`: images, whose encoder also regresses the true positions that the simulator knows."""
FROM_IMAGES = SPACES[1:]
BUDGETS = ("transitions", "cpu")
OUT = Path("benchmarks/recorded/observation_spaces.json")
SETTINGS: dict[str, dict[str, Any]] = {
    "objects": {},
    "privileged": {},
    "images": {"critic_warmup": 300, "images": {"learning_rate": 5e-4}},
    "images+positions": {"critic_warmup": 300, "images": {"learning_rate": 5e-4, "position_loss": 1.0}},
    "distilled": {
        "offline_fraction": 0.25,
        "actor_ema": 0.01,
        "actor_lr": 1e-3,
        "images": {"learning_rate": 1e-3, "gradient_steps": 1},
    },
}
"""Over the task's parameters; `python -m benchmarks.observation_spaces_search table` prints how they were found."""

Recorded = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("train", "measure", "table"), help="train: without a held-out state")
    parser.add_argument("--tasks", nargs="+", choices=slugs(), default=["cube_lift", "pick_and_place", "close_drawer"])
    parser.add_argument("--spaces", nargs="+", choices=SPACES, default=list(SPACES))
    parser.add_argument("--budgets", nargs="+", choices=BUDGETS, default=list(BUDGETS))
    parser.add_argument("--cells", nargs="+", choices=tuple(VLA_OF_CELL), default=list(VLA_OF_CELL))
    parser.add_argument("--look", choices=LOOKS, default="plain")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--episodes", type=int, default=100)
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    recorded: Recorded = read_units(options.out)
    if options.what == "table":
        for table in tables(recorded):
            print(markdown_table(table))
        return
    for task in options.tasks:
        bench = Bench(task, options.look, options.seed, options.episodes, recorded, options.out)
        cells = options.cells if options.what == "measure" else []
        for cell in cells:
            bench.evaluated(None, cell)
        for budget in options.budgets:
            for space in options.spaces:
                if (space, budget) != ("objects", "cpu"):  # its budget of transitions is the CPU time of all
                    bench.run(space, budget, cells)


class Bench:
    """The units of one task and seed; what is recorded is not run again."""

    def __init__(self, slug: str, look: Look, seed: int, episodes: int, recorded: Recorded, out: Path) -> None:
        self._slug, self._seed, self._episodes = slug, seed, episodes
        self._look: Look = look
        self._recorded, self._out = recorded, out
        self._commit = commit_here()

    def run(self, space: str, budget: str, cells: Sequence[str]) -> None:
        """Train with this observation and evaluate it in `cells`, as far as it is not done."""
        name = self._name(space, budget)
        if name in self._recorded and all(f"{name} in {cell}" in self._recorded for cell in cells):
            return
        self.trained(space, budget)
        for cell in cells:
            self.evaluated(name, cell)

    def trained(self, space: str, budget: str) -> str:
        """Train with this observation, unless what was trained is still there; the unit's name."""
        name = self._name(space, budget)
        if name in self._recorded and self._folder(name).is_dir():
            return name
        config = replace(Params.read().config("train_residual", self._slug), **self._changes(space, budget))
        if budget == "cpu":
            config = shrunk(config, self._share(space))
        judge = partial(success_rate, self._slug, config.images.look, config.validation_episodes)
        with BackgroundProcess(judge) as validation:
            self._record(name, train(self._slug, config, self._folder(name), self._seed, validation))
        return name

    def evaluated(self, trained: str | None, cell: str) -> None:
        """Run the base, or base + what was `trained`, from the held-out initial states in `cell`, unless it is done."""
        unit = f"{trained or f'{self._slug} base'} in {cell}"
        if unit in self._recorded:
            return
        residual = None if trained is None else load_residual(self._folder(trained), tabletop_task(self._slug))
        seeds = initial_state_seeds("test", self._episodes)
        world = make_environment(cell, self._slug, PARALLEL, look=self._look)
        outcomes = run_episodes(world, base_policy(self._slug, VLA_OF_CELL[cell], PARALLEL), residual, seeds)
        success, steps = [int(o.success) for o in outcomes], [o.steps for o in outcomes]
        self._record(unit, {"seeds": list(seeds), "success": success, "steps": steps})

    def _changes(self, space: str, budget: str) -> dict[str, Any]:
        changes: dict[str, Any] = SETTINGS[space] | {"observation": space.split("+")[0], "coming_actions": 0}
        images = Params.read().config("train_residual", self._slug).images
        if space in FROM_IMAGES:
            changes["images"] = replace(images, look=self._look, **changes.get("images", {}))
        if space == "distilled":
            changes["teacher"] = str(self._folder(self.trained("privileged", budget)))
        return changes

    def _share(self, space: str) -> float:
        """Of its full budget, what takes the CPU time of the object-centric residual's."""
        students = ("distilled", "privileged")
        spent = sum(self._cpu(name) for name in (students if space in students else (space,)))
        return min(1.0, self._cpu("objects") / spent)

    def _cpu(self, space: str) -> float:
        name = self._name(space, "transitions")
        return self._recorded[name if name in self._recorded else self.trained(space, "transitions")]["cpu_s"]

    def _name(self, space: str, budget: str) -> str:
        look = self._look if space in FROM_IMAGES else "poses"
        return f"{self._slug} {space} {budget} {look} seed {self._seed}"

    def _folder(self, name: str) -> Path:
        return WORK / "observation_spaces" / name.replace(" ", "-")

    def _record(self, unit: str, found: dict[str, Any]) -> None:
        self._recorded[unit] = {"commit": self._commit, **found}
        files.write_json(self._out, self._recorded)
        told = (
            f"{np.mean(found['success']):.2f}"
            if "success" in found
            else f"{found['cpu_s']} CPU-s, {found['validation']}"
        )
        print(f"{unit}: {told}", flush=True)


def train(slug: str, config: ResidualConfig, folder: Path, seed: int, validation: Validation) -> Recorded:
    """Train as `config` says, into `folder`; its cost and its success on validation states. A training that was killed goes on."""
    work = folder.with_name(f"{folder.name}-work")
    train_residual(
        config,
        make_simulator(slug, config.num_envs, look=config.images.look),
        base_policy(slug, "sim", config.num_envs),
        read_replay_transitions(Layout(slug).replay_transitions),
        work,
        folder,
        seed,
        validation,
    )
    curve = json.loads((folder / "curve.json").read_text())["points"]
    spent = json.loads((work / "timings.json").read_text())[-1]
    files.remove(work)
    cpu_s = {part: round(spent.get(part, 0.0), 1) for part in TRAINING_PARTS}
    counts = {name: curve[-1][name] for name in ("transitions", "updates")}
    validation_successes = [point["validation_success"] for point in curve]
    return {"cpu_s": round(sum(cpu_s.values()), 1), "cpu_s_of": cpu_s, **counts, "validation": validation_successes}


def shrunk(config: ResidualConfig, share: float) -> ResidualConfig:
    """`config` with this share of its transitions, warm-up and updates of the encoder, validated as many times."""
    names = ("total_timesteps", "validation_every", "learning_starts", "critic_warmup")
    smaller = {name: max(1, round(share * getattr(config, name))) for name in names}
    images = replace(config.images, encoder_updates=round(share * config.images.encoder_updates))
    return replace(config, images=images, **smaller)


def success_rate(slug: str, look: Look, episodes: int, residual: AnyResidual) -> float:
    """Of base + residual in the simulator, from the validation states."""
    world, base = _validation(slug, look)
    outcomes = run_episodes(world, base, residual, initial_state_seeds("validation", episodes))
    return float(np.mean([outcome.success for outcome in outcomes]))


@cache
def _validation(slug: str, look: Look) -> tuple[Any, ChunkedPolicy]:
    return make_simulator(slug, PARALLEL, look=look), base_policy(slug, "sim", PARALLEL)


def base_policy(slug: str, domain: str, num_envs: int) -> ChunkedPolicy:
    return ChunkedPolicy(load_vla(Layout(slug).vla(domain)), tabletop_task(slug).instruction, num_envs)


def tables(recorded: Recorded) -> Iterator[Table]:
    """Success of each, its paired difference from the base, and that of the object-centric residual from it; then the trainings."""
    columns = ("task", "cell", "residual", "budget", "success", "95% interval", "minus base", "object-centric minus it")
    rows, groups = [], dict[tuple[str, ...], dict[str, list[EpisodeOutcome]]]()
    for unit, found in recorded.items():
        if "success" in found:
            slug, residual, budget, cell = _described(unit)
            groups.setdefault((cell, budget, residual), {})[slug] = outcomes_of(found)
    for (cell, budget, residual), of_tasks in sorted(groups.items(), key=str):
        bases, objects = groups.get((cell, "", "base"), {}), groups.get((cell, "transitions", "objects"), {})
        for names in (*([slug] for slug in of_tasks), *([list(of_tasks)] if len(of_tasks) > 1 else [])):
            rows.append(_row(names, cell, residual, budget, of_tasks, bases, objects))
    yield Table(columns, rows)
    trainings = [
        (
            unit,
            f"{found['cpu_s']:.0f}",
            f"{found['transitions']:,}",
            f"{found['updates']:,}",
            _curve(found["validation"]),
        )
        for unit, found in recorded.items()
        if "cpu_s" in found
    ]
    yield Table(("training", "CPU-s", "transitions", "updates", "validation"), trainings)


def _row(
    names: Sequence[str],
    cell: str,
    residual: str,
    budget: str,
    of_tasks: dict[str, list[EpisodeOutcome]],
    bases: dict[str, list[EpisodeOutcome]],
    objects: dict[str, list[EpisodeOutcome]],
) -> tuple[str, ...]:
    mine = [outcome for name in names for outcome in of_tasks[name]]
    summary = success_summary(mine)
    interval = f"[{percent(summary['wilson_low'])}, {percent(summary['wilson_high'])}]"

    def difference(of: dict[str, list[EpisodeOutcome]], reverse: bool) -> str:
        if residual == "base" or of is of_tasks or any(name not in of for name in names):
            return "–"
        other = [outcome for name in names for outcome in of[name]]
        first, second = (mine, other) if reverse else (other, mine)
        return points(dict(rate_difference(first, second)))

    task = names[0] if len(names) == 1 else f"all {len(names)}"
    success = percent(summary["success_rate"])
    return task, cell, residual, budget or "–", success, interval, difference(bases, False), difference(objects, True)


def _described(unit: str) -> tuple[str, str, str, str]:
    """Task, residual, budget and cell of a unit's name."""
    policy, cell = unit.split(" in ")
    slug, space, *rest = policy.split(" ")
    if space == "base":
        return slug, "base", "", cell
    return slug, space if rest[1] == "poses" else f"{space}, {rest[1]}", rest[0], cell


def _curve(successes: Sequence[float | None]) -> str:
    return " ".join("–" if success is None else f"{success:.2f}" for success in successes)


if __name__ == "__main__":
    main()
