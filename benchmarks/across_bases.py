"""Residuals across base VLAs (Fig. 6a): each base alone, with its own residual, and with those trained on the other bases.

    python -m benchmarks.across_bases measure --projects compact=. act=../act diffusion=../diffusion
    python -m benchmarks.across_bases table

Each base is a folder where the pipeline was set up for it and has trained VLAs and residual, seed 0:

    git clone . ../act && cd ../act
    ocrrl params --preset default --base act --tasks cube_lift close_drawer && dvc repro finetune train_residual

A residual sees object poses, the robot and the base's action, no image: it fits any base, also one that takes images of another
size. Every policy starts from the same held-out initial states. A unit, 100 episodes of one policy in one cell, is written when it is
finished and is not run again; what is not trained yet is named at the end. Every number is of a simulator or a twin, none of a robot.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks.recorded_units import PARALLEL, Units, outcomes_of, read_units, record_unit
from ocrrl.interface.seeds import initial_state_seeds
from ocrrl.layout import Layout
from ocrrl.params import Params
from ocrrl.policies.checkpoint import expected_policies, load_policy
from ocrrl.report.table import Table, markdown_table
from ocrrl.report.values import NONE, cell_label, percent, points, rate_with_interval
from ocrrl.residual.residual_policy import load_residual
from ocrrl.rollouts.control_loop import run_episodes
from ocrrl.rollouts.episode_outcome import EpisodeOutcome
from ocrrl.rollouts.statistics import average_difference, rate_difference, success_summary
from ocrrl.stages.evaluate import VLA_OF_CELL
from ocrrl.tabletop.registry import slugs, tabletop_task
from ocrrl.worlds import make_environment

OUT = Path("benchmarks/recorded/across_bases.json")
SEED = 0  # of the residual

Found = Mapping[tuple[str, str, str, str], list[EpisodeOutcome]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("measure", "table"))
    parser.add_argument("--projects", nargs="+", type=_project, default=[], metavar="BASE=FOLDER")
    parser.add_argument(
        "--bases", nargs="+", help="only these of the projects' bases are run; with any of their residuals"
    )
    parser.add_argument("--tasks", nargs="+", choices=slugs(), default=["cube_lift", "close_drawer"])
    parser.add_argument("--cells", nargs="+", choices=tuple(VLA_OF_CELL), default=list(VLA_OF_CELL))
    parser.add_argument("--episodes", type=int, default=100)
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    units = read_units(options.out)
    if options.what == "table":
        for table in tables(units):
            print(markdown_table(table))
        return
    projects = dict(options.projects)
    missing = set[str]()
    for cell in options.cells:
        for slug in options.tasks:
            for base in options.bases or projects:
                for trained_on in (None, *projects):
                    name = unit_name(slug, base, trained_on, cell)
                    if name in units:
                        continue
                    if needed := not_trained(projects, slug, base, trained_on, cell):
                        missing |= needed
                        continue
                    _measure(units, options.out, projects, slug, base, trained_on, cell, options.episodes)
    if missing:
        raise SystemExit("not run, since not trained yet: " + "; ".join(sorted(missing)))


def unit_name(slug: str, base: str, trained_on: str | None, cell: str) -> str:
    """What a unit is recorded as; the residual is the one `trained_on` that base, or none."""
    return f"{slug} {base} {f'residual of {trained_on}' if trained_on else 'alone'} in {cell}"


def not_trained(projects: Mapping[str, Path], slug: str, base: str, trained_on: str | None, cell: str) -> set[str]:
    """The VLA and the residual that a unit needs and that are not there, each with the command that trains it."""
    layout, domain = Layout(slug), VLA_OF_CELL[cell]
    needed = {projects[base] / layout.vla(domain): f"finetune@{slug}-{domain}"}
    if trained_on:
        needed[projects[trained_on] / layout.residual(SEED)] = f"train_residual@{slug}-{SEED}"
    return {f"{folder} (`dvc repro {stage}` there)" for folder, stage in needed.items() if not folder.is_dir()}


def _measure(
    units: Units,
    out: Path,
    projects: Mapping[str, Path],
    slug: str,
    base: str,
    trained_on: str | None,
    cell: str,
    episodes: int,
) -> None:
    layout, task = Layout(slug), tabletop_task(slug)
    params = Params.read(projects[base] / "params.yaml")
    vla = projects[base] / layout.vla(VLA_OF_CELL[cell])
    expected = expected_policies(params, slug)
    policy = load_policy(vla, task.instruction, PARALLEL, expected=expected, cameras=params.cameras)
    residual = load_residual(projects[trained_on] / layout.residual(SEED), task) if trained_on else None
    world = make_environment(cell, slug, PARALLEL, params.cameras)
    outcomes = run_episodes(world, policy, residual, initial_state_seeds("test", episodes))
    command = f"measure --tasks {slug} --bases {base} --cells {cell}"
    record_unit(out, units, unit_name(slug, base, trained_on, cell), outcomes, command=command)


def tables(units: Units) -> Iterator[Table]:
    """For each task and cell a row a base, with a column for each residual; then bases' own residuals against other bases'."""
    found = {_described(name): outcomes_of(unit) for name, unit in units.items()}
    bases = list(dict.fromkeys(base for _, base, _, _ in found))
    of_cells = [(cell, slug) for cell in VLA_OF_CELL for slug in slugs()]
    rows = [
        (slug, cell_label(cell), base, rate_with_interval(dict(success_summary(alone))), *texts)
        for cell, slug in of_cells
        for base in bases
        if (alone := found.get((slug, base, "", cell)))
        for texts in [[_beside(alone, found.get((slug, base, residual, cell))) for residual in bases]]
    ]
    yield Table(("task", "where", "base", "alone", *(f"+ residual of {base}" for base in bases)), rows, text_columns=3)
    averages = [_own_and_others(found, [slug], bases, cell) for cell, slug in of_cells] + [
        _own_and_others(found, slugs(), bases, cell) for cell in VLA_OF_CELL
    ]
    header = ("tasks", "where", "alone", "own residual", "another base's residual", "minus alone", "minus own")
    yield Table(header, list(dict.fromkeys(filter(None, averages))), text_columns=2)


def _beside(alone: Sequence[EpisodeOutcome], corrected: Sequence[EpisodeOutcome] | None) -> str:
    """Success of base + residual, and the paired difference from the base alone."""
    if corrected is None:
        return NONE
    return f"{percent(success_summary(corrected)['success_rate'])}, {points(dict(rate_difference(alone, corrected)))}"


def _own_and_others(found: Found, tasks: Sequence[str], bases: Sequence[str], cell: str) -> tuple[str, ...] | None:
    """Averages over tasks, bases and other bases' residuals, each counted alike, as far as all three policies ran."""
    from_alone, from_own = [], []
    for slug in tasks:
        triples = [
            (found[slug, base, "", cell], found[slug, base, base, cell], found[slug, base, residual, cell])
            for base in bases
            for residual in bases
            if base != residual and all((slug, base, r, cell) in found for r in ("", base, residual))
        ]
        if triples:
            from_alone.append([pair for alone, _, other in triples for pair in _pairs(alone, other)])
            from_own.append([pair for _, own, other in triples for pair in _pairs(own, other)])
    if not from_alone:
        return None
    alone, own = average_difference(from_alone), average_difference(from_own)
    rates = (percent(rate) for rate in (alone["first"], own["first"], own["second"]))
    named = tasks[0] if len(tasks) == 1 else f"average of {len(from_alone)}"
    return named, cell_label(cell), *rates, points(dict(alone)), points(dict(own))


def _pairs(first: Sequence[EpisodeOutcome], second: Sequence[EpisodeOutcome]) -> list[tuple[int, bool, bool]]:
    return [(a.seed, a.success, b.success) for a, b in zip(first, second, strict=True)]


def _described(name: str) -> tuple[str, str, str, str]:
    """Task, base, the base that the residual was trained on (or nothing) and cell of a unit's name."""
    policy, cell = name.split(" in ")
    slug, base, *rest = policy.split(" ")
    return slug, base, rest[-1] if rest != ["alone"] else "", cell


def _project(text: str) -> tuple[str, Path]:
    base, _, folder = text.partition("=")
    if not base or not (Path(folder) / "params.yaml").is_file():
        raise argparse.ArgumentTypeError(f"must be BASE=FOLDER, a folder with a params.yaml, got {text!r}")
    return base, Path(folder)


if __name__ == "__main__":
    main()
