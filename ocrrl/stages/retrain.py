"""`retrain`: trains the real VLA from the same weights with equal optimiser steps on three training sets."""

import argparse
import json
from pathlib import Path

from ocrrl import files
from ocrrl.interface.devices import chosen_device
from ocrrl.interface.tabletop_tasks import TabletopTask
from ocrrl.layout import Layout
from ocrrl.params import Params
from ocrrl.policies.finetune import FinetuneConfig, TrainingData
from ocrrl.stages.processes import side_by_side

ARMS = ("retrained", "demonstrations_only", "base_rollouts")


def run(task: TabletopTask, params: Params, layout: Layout, options: argparse.Namespace) -> None:
    config = params.config("retrain", task.slug)
    inputs = files.fingerprint(
        files.code_fingerprint(), config, layout.vla("real"), *(dataset(layout, arm) for arm in ARMS)
    )
    train_arms([layout], config, layout.work(f"retrain-{inputs}"), layout, init_from=layout.vla("real"))


def train_arms(
    parts: list[Layout], config: FinetuneConfig, work: Path, layout: Layout, init_from: Path | None = None
) -> None:
    """Train the arms on what they have in each of `parts`, and publish them where `layout` says."""
    calls = [(parts, arm, config, work, init_from) for arm in ARMS]
    if chosen_device(config.device) == "cpu":
        side_by_side(train_arm, calls)
    else:  # one accelerator, one arm after the other
        for call in calls:
            train_arm(*call)
    # All at the end: DVC deletes a stage's outputs before it runs it again, also those of an arm that was finished.
    for arm in ARMS:
        files.publish(work / arm, layout.vla(arm))


def train_arm(parts: list[Layout], arm: str, config: FinetuneConfig, work: Path, init_from: Path | None) -> None:
    """One arm, into `work/<arm>`; nothing is left to do where an interrupted run has finished it."""
    from ocrrl.policies.finetune import finetune

    if (work / arm).is_dir():
        return
    finetune(
        [training_data(part, arm, config) for part in parts],
        work / arm,
        work / f"{arm}-unfinished",
        config,
        init_from=init_from,
        progress=arm == "retrained",
    )


def training_data(layout: Layout, arm: str, config: FinetuneConfig) -> TrainingData:
    """What an arm is trained on; `demonstrations_only`: those that the VLA before was trained on."""
    if arm != "demonstrations_only" or config.real_episodes != "replayed":
        return TrainingData(dataset(layout, arm))
    return TrainingData(dataset(layout, arm), json.loads(layout.first.accepted_replays.read_text()))


def dataset(layout: Layout, arm: str) -> Path:
    return layout.first.dataset("real") if arm == "demonstrations_only" else layout.training_set(arm)
