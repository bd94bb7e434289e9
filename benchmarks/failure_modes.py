"""How the base VLA fails first, in the simulator and in the twin, and how often the residual mends each (Table 6); A.9's behaviours.

    dvc repro train_residual finetune
    python -m benchmarks.failure_modes measure
    python -m benchmarks.failure_modes table
    python -m benchmarks.failure_modes strips --figures docs

Base and base + residual run from the same held-out initial states; each failed episode gets the first failure that the rules of
`ocrrl/rollouts/failure_modes.py` see, each success the behaviours of `ocrrl/rollouts/emergent_behaviours.py`. A unit, 100 episodes of
one policy in one cell, is written when it is finished and is not run again. Every number is of a simulator or a twin, none of a robot.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.failure_strips import write_strips
from benchmarks.recorded_units import PARALLEL, Units, read_units, record_unit
from ocrrl.episodes.episode_store import episode_paths, read_episode
from ocrrl.interface.seeds import initial_state_seeds
from ocrrl.layout import Layout
from ocrrl.params import Params
from ocrrl.policies.checkpoint import load_policy
from ocrrl.policies.policy_type import expected_policies
from ocrrl.report.table import Table, markdown_table
from ocrrl.report.values import NONE, VARIANT_LABELS
from ocrrl.residual.residual_policy import load_residual
from ocrrl.rollouts.approach_correction import approach_correction
from ocrrl.rollouts.control_loop import run_episodes
from ocrrl.rollouts.emergent_behaviours import EmergentBehaviour, behaviours
from ocrrl.rollouts.episode_outcome import EpisodeOutcome
from ocrrl.rollouts.evaluate import VARIANTS
from ocrrl.rollouts.failure_modes import FailureMode, first_failure
from ocrrl.rollouts.state_trace import StateRecorder, StateTrace
from ocrrl.rollouts.statistics import wilson_interval
from ocrrl.stages.evaluate import VLA_OF_CELL
from ocrrl.tabletop.registry import slugs, tabletop_task, task_module
from ocrrl.worlds import make_environment

OUT = Path("benchmarks/recorded/failure_modes.json")
SEED = 0  # of the residual
DEMONSTRATIONS = "demonstrations"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("measure", "table", "strips"))
    parser.add_argument("--tasks", nargs="+", choices=handled_tasks(), default=handled_tasks())
    parser.add_argument("--cells", nargs="+", choices=tuple(VLA_OF_CELL), default=list(VLA_OF_CELL))
    parser.add_argument("--episodes", type=int, default=100)
    parser.add_argument("--figures", type=Path, default=Path("docs"), help="where strips are written")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    units = read_units(options.out)
    if options.what == "table":
        for table in tables(units):
            print(markdown_table(table))
    elif options.what == "strips":
        cell = options.cells[0]
        found = {slug: [units[unit_name(slug, v, cell)] for v in VARIANTS] for slug in options.tasks}
        write_strips(found, cell, options.figures, partial(watched, cell=cell))
    else:
        for cell in options.cells:
            for slug in options.tasks:
                _measure(units, options.out, slug, cell, options.episodes)


def handled_tasks() -> list[str]:
    """The tabletop tasks whose file says what of their first object is grasped or pushed."""
    return [slug for slug in slugs() if hasattr(task_module(slug), "HANDLED")]


def unit_name(slug: str, variant: str, cell: str) -> str:
    """What a unit is recorded as."""
    return f"{slug} {variant} in {cell}"


def _measure(units: Units, out: Path, slug: str, cell: str, episodes: int) -> None:
    command = f"python -m benchmarks.failure_modes measure --tasks {slug} --cells {cell}"
    for variant in VARIANTS:
        if (name := unit_name(slug, variant, cell)) not in units:
            watcher = StateRecorder(make_environment(cell, slug, PARALLEL, Params.read().cameras))
            outcomes = act(slug, variant, cell, initial_state_seeds("test", episodes), watcher)
            record_unit(out, units, name, outcomes, command=command, **judged(slug, outcomes, watcher.traces))
    name = unit_name(slug, DEMONSTRATIONS, cell)
    if name not in units and VLA_OF_CELL[cell] == "real":
        traces = demonstrated(slug)
        outcomes = [EpisodeOutcome(k, True, len(trace), 0.0) for k, trace in traces.items()]
        record_unit(out, units, name, outcomes, command=command, **judged(slug, outcomes, traces))


def act(slug: str, variant: str, cell: str, seeds: Sequence[int], watcher: StateRecorder) -> list[EpisodeOutcome]:
    """Run episodes of the base, or base + residual, in the environment that `watcher` watches."""
    params, layout, task, world = Params.read(), Layout(slug), tabletop_task(slug), watcher.environment
    vla, expected = layout.vla(VLA_OF_CELL[cell]), expected_policies(params, slug)
    base = load_policy(vla, task.instruction, world.num_envs, expected=expected, cameras=params.cameras)
    residual = load_residual(layout.residual(SEED), task) if variant == "residual" else None
    return run_episodes(world, base, residual, seeds, watcher)


def judged(slug: str, outcomes: Sequence[EpisodeOutcome], traces: dict[int, StateTrace]) -> dict[str, Any]:
    """Of each episode its first failure, None for a success, the behaviours that a success shows, the residual's sums [mm]."""
    handled = task_module(slug).HANDLED
    corrections = [approach_correction(traces[o.seed], handled) for o in outcomes]
    return {
        "corrections": [[round(1000 * c.ahead, 1), round(1000 * c.aside, 1)] for c in corrections],
        "failures": [None if o.success else first_failure(traces[o.seed], handled) for o in outcomes],
        "behaviours": [sorted(behaviours(traces[o.seed], handled)) if o.success else [] for o in outcomes],
    }


def demonstrated(slug: str) -> dict[int, StateTrace]:
    """The courses of the recorded demonstrations, objects where the tracker saw them."""
    names = [field.name for field in fields(StateTrace) if field.name != "residual"]
    traces = {}
    for k, path in enumerate(episode_paths(Layout(slug).recorded_episodes)):
        episode = read_episode(path, with_images=False)
        columns = {name: np.asarray(getattr(episode, name), np.float32) for name in names}
        traces[k] = StateTrace(**columns, residual=np.zeros_like(columns["action"]))
    return traces


def tables(units: Units) -> Iterator[Table]:
    """First failures of the base and how many the residual mends; how alike sim and twin are; behaviours of successes."""
    cells = [cell for cell in VLA_OF_CELL if any(name.endswith(f" in {cell}") for name in units)]
    columns = (f"{cell}: {what}" for cell in cells for what in ("base", "mended", "base + residual"))
    rows = []
    for judged_together in (*([slug] for slug in handled_tasks()), handled_tasks()):
        task = judged_together[0] if len(judged_together) == 1 else "all"
        for mode in (*FailureMode, None):
            texts = [text for cell in cells for text in _failure_columns(units, judged_together, cell, mode)]
            if any(text != NONE and not text.startswith("0 ") for text in texts):
                rows.append((task, mode or "any", *texts))
    yield Table(("task", "first failure", *columns), rows, text_columns=2)
    yield _fixes(units, cells)
    if len(cells) > 1:
        yield Table(("task", "base fails in sim and twin", "the same way"), list(_shared(units)))
    columns = [(cell, variant) for cell in cells for variant in (*VARIANTS, DEMONSTRATIONS)]
    columns = [
        (cell, variant)
        for cell, variant in columns
        if any(unit_name(s, variant, cell) in units for s in handled_tasks())
    ]
    header = [f"{cell}: {VARIANT_LABELS.get(variant, variant)}" for cell, variant in columns]
    rows = []
    for slug in handled_tasks():
        for behaviour in EmergentBehaviour:
            texts = [_shown(units.get(unit_name(slug, variant, cell)), behaviour) for cell, variant in columns]
            if any(text != NONE and not text.startswith("0 ") for text in texts):
                rows.append((slug, behaviour, *texts))
    yield Table(("task", "behaviour, of successes", *header), rows, text_columns=2)


def _failure_columns(units: Units, slugs: Sequence[str], cell: str, mode: FailureMode | None) -> tuple[str, str, str]:
    """Failures of the base alone, how many of them the residual mends, and its own; of any mode for None."""
    names = [[unit_name(slug, variant, cell) for slug in slugs] for variant in VARIANTS]
    if not all(name in units for of_variant in names for name in of_variant):
        return NONE, NONE, NONE
    alone, corrected = ([found for name in of_variant for found in units[name]["failures"]] for of_variant in names)
    fits: Callable[[str | None], bool] = (
        (lambda found: found is not None) if mode is None else (lambda found: found == mode)
    )
    failed = [after for before, after in zip(alone, corrected, strict=True) if fits(before)]
    mended = share(failed.count(None), len(failed))
    return share(len(failed), len(alone)), mended, share(sum(map(fits, corrected)), len(corrected))


def _fixes(units: Units, cells: Sequence[str]) -> Table:
    """What the residual adds on the way to the object where it mends a failure of the base, and where there was none."""
    rows = []
    for slug in handled_tasks():
        for mode in (*FailureMode, None):
            texts = [text for cell in cells for text in _fix(units, slug, cell, mode)]
            if any(text != NONE for text in texts):
                rows.append((slug, mode or "none", *texts))
    columns = (f"{cell}: {what}" for cell in cells for what in ("episodes", "ahead", "aside"))
    return Table(("task", "base's failure, mended", *columns), rows, text_columns=2)


def _fix(units: Units, slug: str, cell: str, mode: FailureMode | None) -> tuple[str, str, str]:
    """How many episodes, at least two, and mean and standard error of both sums [mm]; of those that both solve for None."""
    base, residual = (units.get(unit_name(slug, variant, cell)) for variant in VARIANTS)
    if base is None or residual is None:
        return NONE, NONE, NONE
    columns = zip(base["failures"], residual["success"], residual["corrections"], strict=True)
    sums = np.array([correction for failure, solved, correction in columns if solved and failure == mode], float)
    if len(sums) < 2:
        return NONE, NONE, NONE
    error = sums.std(axis=0, ddof=1) / np.sqrt(len(sums))
    ahead, aside = (f"{m:+.0f} ± {e:.0f} mm" for m, e in zip(sums.mean(axis=0), error, strict=True))
    return str(len(sums)), ahead, aside


def _shared(units: Units) -> Iterator[tuple[str, str, str]]:
    """In how many initial states the base fails in both cells, and in how many of them in the same way first."""
    for slug in handled_tasks():
        found = [units.get(unit_name(slug, "base", cell)) for cell in VLA_OF_CELL]
        if all(found):
            both = [pair for pair in zip(*(unit["failures"] for unit in found if unit), strict=True) if all(pair)]
            yield slug, str(len(both)), share(sum(sim == twin for sim, twin in both), len(both))


def _shown(unit: dict[str, Any] | None, behaviour: EmergentBehaviour) -> str:
    if unit is None:
        return NONE
    return share(sum(behaviour in found for found in unit["behaviours"]), sum(unit["success"]))


def share(count: int, of: int) -> str:
    """`27 / 100 [19, 36]%`: with Wilson's 95% interval."""
    if not of:
        return NONE
    low, high = wilson_interval(count, of)
    return f"{count} / {of} [{100 * low:.0f}, {100 * high:.0f}]%"


def watched(slug: str, variant: str, seed: int, watcher: StateRecorder, cell: str) -> tuple[bool, FailureMode | None]:
    """Run one episode again before `watcher`: whether it succeeds, else its first failure."""
    (outcome,) = act(slug, variant, cell, [seed], watcher)
    return outcome.success, judged(slug, [outcome], watcher.traces)["failures"][0]


if __name__ == "__main__":
    main()
