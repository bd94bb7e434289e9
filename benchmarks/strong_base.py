"""Weak and strong bases (Table 7): Pick and Place with the default base, and with one of more demonstrations and longer training.

    git clone . ../strong && cd ../strong
    ocrrl params --preset default --tasks pick_and_place
    # in params.yaml: record.pick_and_place {episodes: 150, max_attempts: 450}, finetune.pick_and_place {steps: 9600}; what is recorded
    # was trained with train_residual.shared.coming_actions 0, in both projects
    dvc repro train_residual finetune && cd -
    python -m benchmarks.strong_base measure --projects weak=. strong=../strong
    python -m benchmarks.strong_base table

Base and base + residual (seed 0) run from the same held-out initial states. A unit, 100 episodes of one policy in one cell, is written
when it is finished and is not run again. Every number is of a simulator or a twin, none of a robot.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

from benchmarks.recorded_units import Units, outcomes_of, read_units, record_unit
from ocrrl.interface.seeds import initial_state_seeds
from ocrrl.layout import Layout
from ocrrl.params import Params
from ocrrl.report.table import Table, markdown_table
from ocrrl.report.values import NONE, cell_label, percent, points, rate_with_interval
from ocrrl.rollouts.evaluate import VARIANTS, PairedEvaluation
from ocrrl.rollouts.statistics import rate_difference, success_summary
from ocrrl.stages.evaluate import VLA_OF_CELL
from ocrrl.stages.policy_in_cell import PolicyInCell, run_policies
from ocrrl.tabletop.registry import tabletop_task

OUT = Path("benchmarks/recorded/strong_base.json")
TASK = "pick_and_place"
SEED = 0  # of the residual
BASES = ("weak", "strong")
PAPER = {
    ("weak", "sim"): "7 to 17",
    ("weak", "twin"): "9 to 16",
    ("strong", "sim"): "18 to 19",
    ("strong", "twin"): "17 to 17",
}
"""Successes of 20, base to base + residual; beside a twin those of the paper's robot."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("measure", "table"))
    parser.add_argument("--projects", nargs="+", type=_project, default=[], metavar="BASE=FOLDER")
    parser.add_argument("--cells", nargs="+", choices=tuple(VLA_OF_CELL), default=list(VLA_OF_CELL))
    parser.add_argument("--episodes", type=int, default=100)
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    units = read_units(options.out)
    if options.what == "table":
        print(markdown_table(table(units)))
        return
    for cell in options.cells:
        for base, project in options.projects:
            for variant in VARIANTS:
                if unit_name(base, variant, cell) not in units:
                    _measure(units, options.out, base, project, variant, cell, options.episodes)


def unit_name(base: str, variant: str, cell: str) -> str:
    """What a unit is recorded as."""
    return f"{base} {variant} in {cell}"


def _measure(units: Units, out: Path, base: str, project: Path, variant: str, cell: str, episodes: int) -> None:
    layout, params = Layout(TASK), Params.read(project / "params.yaml")
    residual = project / layout.residual(SEED) if variant == "residual" else None
    config, vla = params.config("evaluate", TASK), project / layout.vla(VLA_OF_CELL[cell])
    policy = PolicyInCell.of(tabletop_task(TASK), params, config, episodes, cell, vla, residual)
    (outcomes,) = run_policies([policy], initial_state_seeds("test", episodes))
    recorded, trained = params.config("record", TASK), params.config("finetune", TASK)
    recipe = {"demonstrations": recorded.episodes, "steps": trained.steps, "policy": dict(trained.policy)}
    command = f"python -m benchmarks.strong_base measure --projects {base}={project} --cells {cell}"
    record_unit(out, units, unit_name(base, variant, cell), outcomes, command=command, recipe=recipe)


def table(units: Units) -> Table:
    """A row for each base and cell: success, paired difference, and what of the base's successes base + residual lost."""
    header = ("base", "where", "demonstrations", "steps", "base VLA", "base + residual", "difference")
    return Table((*header, "lost", "share lost", "paper, not ours"), list(_rows(units)), text_columns=2)


def _rows(units: Units) -> Iterator[tuple[str, ...]]:
    for base in BASES:
        for cell in VLA_OF_CELL:
            names = [unit_name(base, variant, cell) for variant in VARIANTS]
            if not all(name in units for name in names):
                continue
            alone, corrected = (outcomes_of(units[name]) for name in names)
            lost, recipe = PairedEvaluation(cell, alone, corrected).do_no_harm(), units[names[0]]["recipe"]
            solved = success_summary(alone)["successes"]
            yield (
                base,
                cell_label(cell),
                str(recipe["demonstrations"]),
                str(recipe["steps"]),
                *(rate_with_interval(dict(success_summary(outcomes))) for outcomes in (alone, corrected)),
                points(dict(rate_difference(alone, corrected))),
                f"{len(lost)} of {solved}",
                percent(len(lost) / solved) if solved else NONE,
                PAPER[base, cell],
            )


def _project(text: str) -> tuple[str, Path]:
    base, _, folder = text.partition("=")
    if base not in BASES or not (Path(folder) / "params.yaml").is_file():
        names = ", ".join(BASES)
        raise argparse.ArgumentTypeError(
            f"must be BASE=FOLDER, BASE one of {names}, FOLDER with a params.yaml, got {text!r}"
        )
    return base, Path(folder)


if __name__ == "__main__":
    main()
