"""How many rollouts of base + residual the training simulator reproduces, by what a replay acts and how often it is tried.

    dvc repro rollout
    python -m benchmarks.replayed_rollouts measure --tasks stand_cup_up
    python -m benchmarks.replayed_rollouts table

`replay_rollouts` makes the next round's sim data so. A task's replays are recorded when they are finished. Of a simulator and a twin,
none of a robot.
"""

import argparse
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.recorded_units import Units, commit_here, read_units
from ocrrl import files
from ocrrl.episodes.episode_store import part_files, read_episode
from ocrrl.interface.episode import Episode
from ocrrl.layout import ROUND, Layout
from ocrrl.params import Params
from ocrrl.replay.replay import PlaceableEnvironment, ReplayConfig, replays
from ocrrl.report.table import Table, markdown_table
from ocrrl.tabletop.registry import slugs
from ocrrl.worlds import make_simulator

OUT = Path("benchmarks/recorded/replayed_rollouts.json")
SETTINGS = (("actions", 1), ("actions", 8), ("commands", 1), ("commands", 8))
"""`replay.follow` and `replay.tries`."""
PARALLEL = 10
_SAID = {"replay": "no success"}  # the requirement on the replay as a whole is that it succeeds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("measure", "table"))
    parser.add_argument("--tasks", nargs="+", choices=slugs(), default=slugs())
    parser.add_argument("--round", default=ROUND)
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    units = read_units(options.out)
    for slug in options.tasks if options.what == "measure" else ():
        found = part_files(Layout(slug, options.round).rollouts("corrected"), f"{slug}_corrected", "")
        if not found:
            raise SystemExit(f"{slug}: rollouts must be there; `dvc repro rollout@{slug}` makes them")
        rollouts = [(source, read_episode(path, with_images=False)) for source, path in found]
        world = make_simulator(slug, min(PARALLEL, len(rollouts)), cameras={})
        config = Params.read().config("replay", slug)
        for follow, tries in SETTINGS:
            name = f"{slug} {options.round} {follow} {tries}"
            if name not in units:
                units[name] = reproduced(rollouts, world, replace(config, follow=follow, tries=tries))
                files.write_json(options.out, units)
                print(f"{name}: {units[name]['kept']} of {units[name]['rollouts']}", flush=True)
    print(markdown_table(table(units)))


def reproduced(
    rollouts: Sequence[tuple[str, Episode]], world: PlaceableEnvironment, config: ReplayConfig
) -> dict[str, Any]:
    """How many of `rollouts` are kept, and which requirement others missed first."""
    found = list(replays(rollouts, world, config))
    reasons = Counter(replay.dropped.partition(" must ")[0] for replay in found if replay.dropped is not None)
    return {
        "commit": commit_here(),
        "follow": config.follow,
        "tries": config.tries,
        "rollouts": len(rollouts),
        "kept": sum(replay.dropped is None for replay in found),
        "dropped": dict(sorted(reasons.items())),
    }


def table(units: Units) -> Table:
    """A row for each task and setting."""
    header = ("task", "round", "`follow`", "dropped for", "`tries`", "rollouts", "kept", "share")
    rows = [
        (
            *(name.split()[:2]),
            unit["follow"],
            ", ".join(f"{_SAID.get(reason, reason)} ({count})" for reason, count in unit["dropped"].items()) or "–",
            *(str(unit[key]) for key in ("tries", "rollouts", "kept")),
            f"{unit['kept'] / unit['rollouts']:.0%}",
        )
        for name, unit in sorted(units.items())
    ]
    return Table(header, rows, text_columns=4)


if __name__ == "__main__":
    main()
