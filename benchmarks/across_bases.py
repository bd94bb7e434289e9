"""Residuals across base VLAs (Fig. 6a): each base alone, with its own residual, and with those trained on the other bases.

    python -m benchmarks.across_bases measure --projects compact=. act=../act diffusion=../diffusion
    python -m benchmarks.across_bases table
    python -m benchmarks.across_bases cost --projects compact=. act=../act diffusion=../diffusion

Each base is a folder where the pipeline was set up for it and has trained VLAs and residual, seed 0:

    git clone . ../act && cd ../act
    ocrrl params --preset default --base act --tasks cube_lift close_drawer && dvc repro finetune train_residual

A residual sees object poses, the robot and the base's action, no image: it fits any base, also one that takes images of another
size. Every policy starts from the same held-out initial states. A unit, 100 episodes of one policy in one cell, is written when it is
finished and is not run again; what is not trained yet is named at the end. Every number is of a simulator or a twin, none of a robot.
"""

import argparse
import itertools
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from benchmarks.recorded_units import Units, outcomes_of, read_units, record_unit
from ocrrl.interface.cameras import CameraSizes, described
from ocrrl.interface.json_file import read_json_object
from ocrrl.interface.observations import RobotState
from ocrrl.interface.protocols import VLA
from ocrrl.interface.seeds import initial_state_seeds
from ocrrl.interface.weights_file import read_weights_file
from ocrrl.layout import Layout
from ocrrl.lineage.run_record import timing_rows
from ocrrl.params import Params
from ocrrl.policies.checkpoint import load_vla
from ocrrl.policies.image_sizes import image_sizes
from ocrrl.report.table import Table, markdown_table
from ocrrl.report.values import NONE, cell_label, percent, points, rate_with_interval
from ocrrl.rollouts.episode_outcome import EpisodeOutcome
from ocrrl.rollouts.statistics import average_difference, rate_difference, success_summary
from ocrrl.stages.evaluate import VLA_OF_CELL
from ocrrl.stages.policy_in_cell import PolicyInCell, run_policies
from ocrrl.tabletop.registry import slugs, tabletop_task

OUT = Path("benchmarks/recorded/across_bases.json")
SEED = 0  # of the residual
ROBOTS = (1, 16)
TRAININGS = (("finetune", "sim"), ("train_residual", str(SEED)))

Found = Mapping["Unit", list[EpisodeOutcome]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("measure", "table", "cost"))
    parser.add_argument("--projects", nargs="+", type=_project, default=[], metavar="BASE=FOLDER")
    parser.add_argument(
        "--bases", nargs="+", help="only these of the projects' bases are run; with any of their residuals"
    )
    parser.add_argument("--tasks", nargs="+", choices=slugs(), default=["cube_lift", "close_drawer"])
    parser.add_argument("--cells", nargs="+", choices=tuple(VLA_OF_CELL), default=list(VLA_OF_CELL))
    parser.add_argument("--episodes", type=int, default=100)
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    recorded = read_units(options.out)
    if options.what == "table":
        for table in tables(recorded):
            print(markdown_table(table))
        return
    projects = dict(options.projects)
    bases = options.bases or list(projects)
    if not projects or not set(bases) <= set(projects):
        parser.error(
            f"--projects must name a folder for each base, {', '.join(bases) or 'at least one'}, got {', '.join(projects)}"
        )
    if options.what == "cost":
        print(markdown_table(costs(projects, options.tasks)))
        return
    chosen = itertools.product(options.cells, options.tasks, bases, (None, *projects))
    missing: set[str] = set()
    for unit in (Unit(slug, base, residual, cell) for cell, slug, base, residual in chosen):
        if unit.name in recorded:
            continue
        missing |= (needed := not_trained(unit, projects))
        if not needed:
            outcomes = run(unit, projects, options.episodes)
            command = f"measure --tasks {unit.task} --bases {unit.base} --cells {unit.cell}"
            record_unit(options.out, recorded, unit.name, outcomes, command=command)
    if missing:
        raise SystemExit("not run, since not trained yet: " + "; ".join(sorted(missing)))


@dataclass(frozen=True)
class Unit:
    """A policy in a cell: `base` alone, or with the residual that was trained on the base `residual`."""

    task: str
    base: str
    residual: str | None
    cell: str

    @property
    def name(self) -> str:
        """What it is recorded as."""
        return f"{self.task} {self.base} {f'residual of {self.residual}' if self.residual else 'alone'} in {self.cell}"


def unit_named(name: str) -> Unit:
    """The unit that is recorded as `name`."""
    policy, cell = name.split(" in ")
    slug, base, *rest = policy.split(" ")
    return Unit(slug, base, None if rest == ["alone"] else rest[-1], cell)


def not_trained(unit: Unit, projects: Mapping[str, Path]) -> set[str]:
    """The VLA and the residual that `unit` needs and that are not there, each with the command that trains it."""
    layout, domain = Layout(unit.task), VLA_OF_CELL[unit.cell]
    needed = {projects[unit.base] / layout.vla(domain): f"finetune@{unit.task}-{domain}"}
    if unit.residual:
        needed[projects[unit.residual] / layout.residual(SEED)] = f"train_residual@{unit.task}-{SEED}"
    return {f"{folder} (`dvc repro {stage}` there)" for folder, stage in needed.items() if not folder.is_dir()}


def run(unit: Unit, projects: Mapping[str, Path], episodes: int) -> list[EpisodeOutcome]:
    """The episodes of `unit`, with the cameras of its base."""
    layout, project = Layout(unit.task), projects[unit.base]
    params, vla = Params.read(project / "params.yaml"), project / layout.vla(VLA_OF_CELL[unit.cell])
    residual = projects[unit.residual] / layout.residual(SEED) if unit.residual else None
    config = params.config("evaluate", unit.task)
    policy = PolicyInCell.of(tabletop_task(unit.task), params, config, episodes, unit.cell, vla, residual)
    return run_policies([policy], initial_state_seeds("test", episodes))[0]


def costs(projects: Mapping[str, Path], tasks: Sequence[str]) -> Table:
    """For each base what its sim VLA and residual took to train, by the run record, and processor time of a chunk, side by side."""
    torch.set_num_threads(1)
    rows = []
    for base, project in projects.items():
        folder = project / Layout(tasks[0]).vla("sim")
        stored = read_weights_file(folder / "model.safetensors").tensors.values()
        sizes = image_sizes(read_json_object(folder / "config.json"))
        spent = {row.stage: f"{row.cpu_s:.0f} s" for row in timing_rows(project)}
        stages = [f"{stage}@{slug}-{kind}" for slug in tasks for stage, kind in TRAININGS]
        vla = load_vla(folder)
        chunks = (f"{1000 * _chunk_seconds(vla, sizes, tasks[0], robots):.0f} ms" for robots in ROBOTS)
        weights = sum(math.prod(weight.shape) for weight in stored)
        rows.append(
            (base, described(sizes), f"{weights / 1e6:.1f} M", *(spent.get(stage, NONE) for stage in stages), *chunks)
        )
    trainings = (f"{slug}: {what}" for slug in tasks for what in ("sim VLA", "residual"))
    return Table(
        ("base", "images", "weights", *trainings, *(f"a chunk for {robots}" for robots in ROBOTS)), rows, text_columns=2
    )


def _chunk_seconds(vla: VLA, sizes: CameraSizes, slug: str, robots: int, repeats: int = 5) -> float:
    """Processor time of one answer to so many robots, after one that is not counted."""
    images = {camera: np.zeros((robots, *size, 3), np.uint8) for camera, size in sizes.items()}
    state = RobotState.at_rest(np.zeros((robots, 8), np.float32))
    vla.predict_chunk(images, state, tabletop_task(slug).instruction)
    begun = time.process_time()
    for _ in range(repeats):
        vla.predict_chunk(images, state, tabletop_task(slug).instruction)
    return (time.process_time() - begun) / repeats


def tables(recorded: Units) -> Iterator[Table]:
    """For each task and cell a row a base, with a column for each residual; then bases' own residuals against other bases'."""
    found = {unit_named(name): outcomes_of(unit) for name, unit in recorded.items()}
    bases = list(dict.fromkeys(unit.base for unit in found))
    places = [(slug, cell) for cell in VLA_OF_CELL for slug in slugs()]
    alone = [Unit(slug, base, None, cell) for slug, cell in places for base in bases]
    rows = [_row(found, unit, bases) for unit in alone if unit in found]
    yield Table(("task", "where", "base", "alone", *(f"+ residual of {base}" for base in bases)), rows, text_columns=3)
    averages = [_own_and_others(found, [slug], bases, cell) for slug, cell in places]
    averages += [_own_and_others(found, slugs(), bases, cell) for cell in VLA_OF_CELL]
    header = ("tasks", "where", "alone", "own residual", "another base's residual", "minus alone", "minus own")
    yield Table(header, list(filter(None, averages)), text_columns=2)


def _row(found: Found, alone: Unit, bases: Sequence[str]) -> tuple[str, ...]:
    """A base's success, and with each residual its success and the paired difference from the base alone."""
    texts = []
    for base in bases:
        corrected = found.get(replace(alone, residual=base))
        difference = corrected and points(dict(rate_difference(found[alone], corrected)))
        texts.append(f"{percent(success_summary(corrected)['success_rate'])}, {difference}" if corrected else NONE)
    own = rate_with_interval(dict(success_summary(found[alone])))
    return alone.task, cell_label(alone.cell), alone.base, own, *texts


def _own_and_others(found: Found, tasks: Sequence[str], bases: Sequence[str], cell: str) -> tuple[str, ...] | None:
    """Averages over tasks, bases and other bases' residuals, each counted alike, as far as all three policies ran."""
    from_alone, from_own = [], []
    for slug in tasks:
        others = itertools.permutations(bases, 2)
        triples = [[Unit(slug, base, residual, cell) for residual in (None, base, other)] for base, other in others]
        ran = [[found[unit] for unit in triple] for triple in triples if set(triple) <= set(found)]
        if ran:
            from_alone.append([pair for alone, _, other in ran for pair in _pairs(alone, other)])
            from_own.append([pair for _, own, other in ran for pair in _pairs(own, other)])
    if not from_alone or len(tasks) > 1 == len(from_alone):  # nothing to average, or the row of one task again
        return None
    alone, own = average_difference(from_alone), average_difference(from_own)
    rates = (percent(rate) for rate in (alone["first"], own["first"], own["second"]))
    named = tasks[0] if len(tasks) == 1 else f"average of {len(from_alone)}"
    return named, cell_label(cell), *rates, points(dict(alone)), points(dict(own))


def _pairs(first: Sequence[EpisodeOutcome], second: Sequence[EpisodeOutcome]) -> list[tuple[int, bool, bool]]:
    return [(a.seed, a.success, b.success) for a, b in zip(first, second, strict=True)]


def _project(text: str) -> tuple[str, Path]:
    base, _, folder = text.partition("=")
    if not base or not (Path(folder) / "params.yaml").is_file():
        raise argparse.ArgumentTypeError(f"must be BASE=FOLDER, a folder with a params.yaml, got {text!r}")
    return base, Path(folder)


if __name__ == "__main__":
    main()
