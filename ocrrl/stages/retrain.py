"""`retrain`: the real VLA trained on, from the same weights and with as many optimiser steps, on three training sets."""

import argparse

from ocrrl.interface.tabletop_tasks import TabletopTask
from ocrrl.layout import Layout
from ocrrl.params import Params
from ocrrl.policies.finetune import FinetuneConfig
from ocrrl.stages.processes import side_by_side

ARMS = ("retrained", "demonstrations_only", "base_rollouts")


def run(task: TabletopTask, params: Params, layout: Layout, options: argparse.Namespace) -> None:
    config = params.config("retrain", task.slug)
    side_by_side(train_arm, [(layout, arm, config) for arm in ARMS])


def train_arm(layout: Layout, arm: str, config: FinetuneConfig) -> None:
    """One arm: demonstrations with corrected rollouts, demonstrations alone, or demonstrations with base rollouts."""
    from ocrrl.policies.finetune import finetune

    dataset = layout.dataset("real") if arm == "demonstrations_only" else layout.training_set(arm)
    finetune(
        dataset,
        layout.vla(arm),
        layout.work(f"retrain-{arm}"),
        config,
        init_from=layout.vla("real"),
        progress=arm == "retrained",
    )
