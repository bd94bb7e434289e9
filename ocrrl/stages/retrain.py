"""`retrain`: the real VLA trained on, from the same weights and with as many optimiser steps, on three training sets."""

import argparse
import json
from pathlib import Path

from ocrrl import files
from ocrrl.interface.tabletop_tasks import TabletopTask
from ocrrl.layout import Layout
from ocrrl.params import Params
from ocrrl.policies.finetune import FinetuneConfig
from ocrrl.stages.processes import side_by_side

ARMS = ("retrained", "demonstrations_only", "base_rollouts")


def run(task: TabletopTask, params: Params, layout: Layout, options: argparse.Namespace) -> None:
    config = params.config("retrain", task.slug)
    inputs = files.fingerprint(
        files.code_fingerprint(), config, layout.vla("real"), *(_dataset(layout, arm) for arm in ARMS)
    )
    work = layout.work(f"retrain-{inputs}")
    calls = [(layout, arm, config, work) for arm in ARMS]
    if config.device == "cpu":
        side_by_side(train_arm, calls)
    else:  # one accelerator, one arm after the other
        for call in calls:
            train_arm(*call)
    # All at the end: DVC deletes a stage's outputs before it runs it again, also those of an arm that was finished.
    for arm in ARMS:
        files.publish(work / arm, layout.vla(arm))


def train_arm(layout: Layout, arm: str, config: FinetuneConfig, work: Path) -> None:
    """One arm, into `work/<arm>`; nothing is left to do where an interrupted run has finished it."""
    from ocrrl.policies.finetune import finetune

    if (work / arm).is_dir():
        return
    finetune(
        _dataset(layout, arm),
        work / arm,
        work / f"{arm}-unfinished",
        config,
        episodes=_demonstrations(layout, config) if arm == "demonstrations_only" else None,
        init_from=layout.vla("real"),
        progress=arm == "retrained",
    )


def _demonstrations(layout: Layout, config: FinetuneConfig) -> list[str] | None:
    """Names of those that the VLA before was trained on; None for all."""
    return json.loads(layout.replay_report.read_text())["kept"] if config.real_episodes == "replayed" else None


def _dataset(layout: Layout, arm: str) -> Path:
    return layout.dataset("real") if arm == "demonstrations_only" else layout.training_set(arm)
