"""Units of a comparison: a policy's episodes from held-out initial states, kept one by one in a JSON file of `benchmarks/recorded/`.

A unit is written when it is finished and is not run again, so that a comparison that was stopped goes on where it was.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ocrrl import files
from ocrrl.lineage.reading.revision import git
from ocrrl.rollouts.episode_outcome import EpisodeOutcome

PARALLEL = 25
"""Environments that units are run in."""

Units = dict[str, dict[str, Any]]


def read_units(path: Path) -> Units:
    """What is recorded in `path`; nothing where there is no such file yet."""
    return json.loads(path.read_text()) if path.is_file() else {}


def record_unit(path: Path, units: Units, name: str, outcomes: Sequence[EpisodeOutcome], **more: Any) -> None:
    """Add `name` to `units` and `path`: the commit, `more`, and of each episode its seed, success and steps."""
    units[name] = {
        "commit": commit_here(),
        **more,
        "seeds": [outcome.seed for outcome in outcomes],
        "success": [int(outcome.success) for outcome in outcomes],
        "steps": [outcome.steps for outcome in outcomes],
    }
    files.write_json(path, units)
    print(f"{name}: {sum(outcome.success for outcome in outcomes)} of {len(outcomes)}", flush=True)


def commit_here() -> str:
    """The commit that is checked out."""
    return (git(Path(), "rev-parse", "HEAD") or "unknown").strip()


def outcomes_of(found: Mapping[str, Any]) -> list[EpisodeOutcome]:
    """The episodes of a unit; their returns are not recorded and are 0."""
    columns = zip(found["seeds"], found["success"], found["steps"], strict=True)
    return [EpisodeOutcome(seed, bool(success), steps, 0.0) for seed, success, steps in columns]
