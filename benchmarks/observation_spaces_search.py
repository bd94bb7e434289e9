r"""The search for the settings of residuals of images: one training a row, judged on validation states only.

    python -m benchmarks.observation_spaces_search try --task cube_lift --name "realistic" \
        --set '{observation: images, images: {look: realistic}}'
    python -m benchmarks.observation_spaces_search table

`--set` is laid over the task's parameters. A training is written to `benchmarks/recorded/observation_spaces_search.json` when it is
finished, and its folder is kept under `.work/observation_spaces_search`.
"""

import argparse
import json
from collections.abc import Iterable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from benchmarks.observation_spaces import success_rate, train
from benchmarks.recorded_units import commit_here
from ocrrl import files
from ocrrl.config_builder import build
from ocrrl.layout import WORK
from ocrrl.params import Params
from ocrrl.report.table import Table, markdown_table
from ocrrl.residual.learning_curve import BlockingValidation
from ocrrl.residual.residual_config import ImageConfig, ResidualConfig
from ocrrl.tabletop.registry import slugs

OBJECT_CENTRIC = Path("benchmarks/recorded/object_centric_search.json")
"""Trainings that the object-centric residual's settings rest on: rows of "One change at a time" and settings of "During development"
in docs/paper_differences.md, and those of the prototypes before (6, 1, 1, 5 and 0)."""
OUT = Path("benchmarks/recorded/observation_spaces_search.json")

Trial = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("try", "table"))
    parser.add_argument("--task", choices=slugs(), default="cube_lift")
    parser.add_argument("--name", help="what was changed, in a few words")
    parser.add_argument("--set", type=yaml.safe_load, default={}, help="over the task's train_residual, as YAML")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    trials: list[Trial] = json.loads(options.out.read_text()) if options.out.is_file() else []
    if options.what == "table":
        for table in tables(trials):
            print(markdown_table(table))
        return
    if not options.name:
        parser.error("try must be given --name, which says what is changed")
    config = changed(Params.read().config("train_residual", options.task), options.set)
    folder = (
        WORK / "observation_spaces_search" / f"{options.task}-{config.observation}-{options.name.replace(' ', '-')}"
    )
    judge = partial(success_rate, options.task, config.images.look, config.validation_episodes)
    commit = commit_here()
    found = train(options.task, config, folder, options.seed, BlockingValidation(judge))
    said = {"task": options.task, "space": config.observation, "name": options.name, "set": options.set}
    trials = json.loads(options.out.read_text()) if options.out.is_file() else []
    files.write_json(options.out, [*trials, {**said, "commit": commit, **found}])
    print(
        f"{options.task}, {config.observation}, {options.name}: {found['cpu_s']} CPU-s, {found['validation']}",
        flush=True,
    )


def changed(config: ResidualConfig, changes: dict[str, Any]) -> ResidualConfig:
    """`config` with `changes` in it, those of `images` one by one."""
    images = build(ImageConfig, asdict(config.images) | changes.get("images", {}), "--set: images", complete=False)
    rest = {name: value for name, value in changes.items() if name != "images"}
    student = {"teacher": "none"} if rest.get("observation") == "distilled" else {}
    checked = build(ResidualConfig, student | rest, "--set", complete=False)
    return replace(config, images=images, **{name: getattr(checked, name) for name in rest})


def tables(trials: Iterable[Trial]) -> Iterable[Table]:
    """One row a training, task by task and space by space; then how many there were, and how many for the object-centric residual."""
    columns = ("task", "observation", "what was changed", "transitions", "CPU-s", "validation: first, best, last")
    rows = []
    for trial in sorted(trials, key=lambda trial: (trial["task"], trial["space"])):
        curve = [success for success in trial["validation"] if success is not None]
        shown = f"{curve[0]:.2f}, {max(curve):.2f}, {curve[-1]:.2f}"
        rows.append(
            (trial["task"], trial["space"], trial["name"], f"{trial['transitions']:,}", f"{trial['cpu_s']:.0f}", shown)
        )
    yield Table(columns, rows)
    spaces = ("images", "distilled", "privileged")
    counted, ours = [], json.loads(OBJECT_CENTRIC.read_text())
    for task in (name for name in slugs() if any(trial["task"] == name for trial in trials)):
        counts = [sum((trial["task"], trial["space"]) == (task, space) for trial in trials) for space in spaces]
        counted.append((task, *map(str, counts), str(ours[task])))
    yield Table(("task: trainings tried", *spaces, "objects"), counted)


if __name__ == "__main__":
    main()
