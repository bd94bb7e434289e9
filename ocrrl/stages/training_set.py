"""`training_set`: demonstrations with corrected rollouts, and with as many base rollouts as a control."""

import argparse
import json
from dataclasses import replace

from ocrrl.interface.tabletop_tasks import TabletopTask
from ocrrl.layout import Layout
from ocrrl.params import Params


def run(task: TabletopTask, params: Params, layout: Layout, options: argparse.Namespace) -> None:
    from ocrrl.datasets.ingest import ingested_files
    from ocrrl.datasets.training_set import build_training_set, episode_files

    config = params.config("training_set", task.slug)
    accepted = ingested_files(params.episodes_folder(task.slug), layout.normalised_episodes, layout.first.ingest_report)
    kept = set(json.loads(layout.first.accepted_replays.read_text()))
    demonstrations = [pair for pair in accepted if config.demonstrations == "all" or pair[0] in kept]
    corrected, base = (
        episode_files(layout.rollouts(policy), f"{task.slug}_{policy}") for policy in ("corrected", "base")
    )
    # As many of each, so that the arms differ in what was added and not in how much.
    limits = [len(corrected), len(base)] + ([config.max_rollouts] if config.max_rollouts is not None else [])
    config = replace(config, max_rollouts=min(limits))
    for name, rollouts, kind in (("retrained", corrected, "rollout"), ("base_rollouts", base, "base_rollout")):
        summary = build_training_set(demonstrations, rollouts, layout.training_set(name), task, config, kind)
        print(f"{name}: {summary.demonstrations} demonstrations and {summary.rollouts} rollouts of {summary.cells}")
