"""`training_set`: demonstrations with corrected rollouts, and with equally many base rollouts as a control."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ocrrl.interface.tabletop_tasks import TabletopTask
from ocrrl.layout import Layout
from ocrrl.params import Params
from ocrrl.stages.processes import side_by_side


def run(task: TabletopTask, params: Params, layout: Layout) -> None:
    build(task, params, layout, [Path(folder) for folder in params.tabletop_tasks[task.slug].rollouts])


def build(task: TabletopTask, params: Params, layout: Layout, sessions: Sequence[Path] = ()) -> None:
    """Both sets; the retrained VLA's takes all successful rollouts of the folders `sessions` too, and the control as many more."""
    from ocrrl.episodes.episode_store import part_files
    from ocrrl.episodes.ingested import ingested_files
    from ocrrl.recordings.training_set import build_training_set, session_rollouts

    config = params.config("training_set", task.slug)
    accepted = ingested_files(params.episodes_folder(task.slug), layout.normalised_episodes, layout.first.ingest_report)
    kept = set(json.loads(layout.first.accepted_replays.read_text()))
    demonstrations = [pair for pair in accepted if config.demonstrations == "all" or pair[0] in kept]
    corrected, base = (part_files(layout.rollouts(policy), f"{task.slug}_{policy}") for policy in ("corrected", "base"))
    labelled, failures = (
        part_files(layout.rollouts("corrected"), f"{task.slug}_corrected", part) for part in ("labelled", "failures")
    )
    if config.failures == "left_out":
        failures = []
    # As many of each, so that the variants differ in what was added and not in how much; all of the one if the other has none.
    most = min(len(corrected), len(base) or len(corrected))
    limits = [most] + ([config.max_rollouts] if config.max_rollouts is not None else [])
    recorded = [session_rollouts(folder, task) for folder in sessions]
    more = sum(len(session.episodes) for session in recorded) + len(labelled) + len(failures)
    sets = {
        "retrained": (corrected, min(limits), "rollout", recorded, labelled, failures),
        "base_rollouts": (base, min(limits) + more, "base_rollout", (), (), ()),
    }
    calls = [
        (
            *(demonstrations, rollouts, layout.training_set(name), task, replace(config, max_rollouts=count), kind),
            *(added, params.cameras, labels, failed),
        )
        for name, (rollouts, count, kind, added, labels, failed) in sets.items()
    ]
    summaries = side_by_side(build_training_set, calls)
    for name, summary in zip(sets, summaries, strict=True):
        print(f"{name}: {summary.demonstrations} demonstrations and {summary.rollouts} rollouts of {summary.cells}")
    if not corrected and not more:
        print(
            f"training_set {task.slug}, {layout.round}: no rollout succeeded, so the retrained VLA is trained on demonstrations "
            "alone and learns nothing new in this round; see the line of `ocrrl rollout`"
        )
    elif not base:
        print(
            f"training_set {task.slug}, {layout.round}: the VLA alone succeeded in no rollout, so the control base_rollouts is "
            "trained on demonstrations alone"
        )
