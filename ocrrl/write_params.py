"""`ocrrl params`: params.yaml from a preset, or what it has stages for."""

import argparse

from ocrrl import params
from ocrrl.tabletop.registry import slugs, tabletop_task


def write_params(options: argparse.Namespace) -> None:
    """Write what `options` ask for and print what was written; ValueError for options that do not go together."""
    if wrong := [entry for entry in options.episodes if "=" not in entry]:
        raise ValueError(f"--episodes must name each as TASK=FOLDER, got {wrong[0]!r}")
    named = dict(entry.split("=", 1) for entry in options.episodes)
    tasks = [tabletop_task(slug).slug for slug in options.tasks or slugs()]
    if options.preset is None:
        if options.tasks:
            raise ValueError("--tasks must come with a --preset, which has every parameter of a tabletop task")
        params.rewrite_graph(options.path, named, options.residual_seeds, options.rounds)
        print(f"{options.path}: written anew what dvc.yaml makes stages for; every other value is as it was")
        return
    if unknown := sorted(set(named) - set(tasks)):
        raise ValueError(f"--episodes must be of {', '.join(tasks)}, got {unknown[0]}")
    kept = {task: folder for task, folder in params.episodes_in(options.path).items() if task in tasks}
    seeds, rounds = (1 if n is None else n for n in (options.residual_seeds, options.rounds))
    sections = params.resolve(options.preset, tasks, seeds, rounds, kept | named)
    params.write(sections, options.preset, options.path)
    print(f"{options.path}: every parameter of the {options.preset} preset")
    for task, folder in kept.items():
        if folder != f"data/episodes/{task}/recorded" and task not in named:
            print(f"demonstrations of {task} stay {folder}")
