"""`retrain`: trains the real VLA from the same weights with equal optimiser steps on three training sets."""

import json
from pathlib import Path

from ocrrl import files
from ocrrl.datasets.image_sizes import require_datasets_of
from ocrrl.interface.devices import chosen_device
from ocrrl.interface.tabletop_tasks import TabletopTask
from ocrrl.layout import Layout
from ocrrl.params import Params
from ocrrl.policies.finetune import FinetuneConfig
from ocrrl.policies.training_data import TrainingData
from ocrrl.stages.processes import side_by_side

VARIANTS = ("retrained", "demonstrations_only", "base_rollouts")


def run(task: TabletopTask, params: Params, layout: Layout) -> None:
    config = params.config("retrain", task.slug)
    require_datasets_of([dataset(layout, variant) for variant in VARIANTS], params.cameras)
    inputs = files.fingerprint(
        files.code_fingerprint(), config, layout.vla("real"), *(dataset(layout, variant) for variant in VARIANTS)
    )
    work, latency = layout.work(f"retrain-{inputs}"), params.latency(task.slug)
    train_variants([layout], config, work, layout, latency, init_from=layout.vla("real"))


def train_variants(
    parts: list[Layout],
    config: FinetuneConfig,
    work: Path,
    layout: Layout,
    latency: Path | None,
    init_from: Path | None = None,
) -> None:
    """Train the variants on what they have in each of `parts`, and publish them where `layout` says."""
    calls = [(parts, variant, config, work, latency, init_from) for variant in VARIANTS]
    if chosen_device(config.device) == "cpu":
        side_by_side(train_variant, calls)
    else:  # one accelerator, one variant after the other
        for call in calls:
            train_variant(*call)
    # All at the end: DVC deletes a stage's outputs before it runs it again, also those of a variant that was finished.
    for variant in VARIANTS:
        files.publish(work / variant, layout.vla(variant))


def train_variant(
    parts: list[Layout], variant: str, config: FinetuneConfig, work: Path, latency: Path | None, init_from: Path | None
) -> None:
    """One variant, into `work/<variant>`; nothing is left to do where an interrupted run has finished it."""
    from ocrrl.policies.finetune import finetune

    if (work / variant).is_dir():
        return
    finetune(
        [training_data(part, variant, config) for part in parts],
        work / variant,
        work / f"{variant}-unfinished",
        config,
        init_from=init_from,
        latency=latency,
        vla=variant,
        progress=variant == "retrained",
    )


def training_data(layout: Layout, variant: str, config: FinetuneConfig) -> TrainingData:
    """What a variant is trained on; `demonstrations_only`: those that the VLA before was trained on."""
    if variant != "demonstrations_only" or config.real_episodes != "replayed":
        return TrainingData(dataset(layout, variant))
    return TrainingData(dataset(layout, variant), json.loads(layout.first.accepted_replays.read_text()))


def dataset(layout: Layout, variant: str) -> Path:
    return layout.first.dataset("real") if variant == "demonstrations_only" else layout.training_set(variant)
