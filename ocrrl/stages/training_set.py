"""`training_set`: demonstrations with corrected rollouts, and with as many base rollouts as a control."""

import argparse
import json
from dataclasses import replace

from ocrrl.interface.tabletop_tasks import TabletopTask
from ocrrl.layout import Layout
from ocrrl.params import Params


def run(task: TabletopTask, params: Params, layout: Layout, options: argparse.Namespace) -> None:
    from ocrrl.datasets.training_set import build_training_set, episode_files

    config = params.config("training_set", task.slug)
    report = json.loads(layout.ingest_report.read_text())
    folder = params.episodes_folder(task.slug) if report["source_format"] == "ocrrl" else layout.normalised_episodes
    demonstrations = [(entry["source"], folder / entry["source"]) for entry in report["accepted"]]
    corrected, base = (episode_files(layout.rollouts(policy)) for policy in ("corrected", "base"))
    # As many of each, so that the arms differ in what was added and not in how much.
    limits = [len(corrected), len(base)] + ([config.max_rollouts] if config.max_rollouts is not None else [])
    config = replace(config, max_rollouts=min(limits))
    for name, rollouts, kind in (("retrained", corrected, "rollout"), ("base_rollouts", base, "base_rollout")):
        summary = build_training_set(demonstrations, rollouts, layout.training_set(name), task, config, kind)
        print(f"{name}: {summary.demonstrations} demonstrations and {summary.rollouts} rollouts of {summary.cells}")
