"""`retrain_multitask`: one VLA for every tabletop task, and two control arms from the same start with as many steps."""

import argparse
from pathlib import Path

from ocrrl import files
from ocrrl.interface.tabletop_tasks import TabletopTask
from ocrrl.layout import Layout
from ocrrl.params import Params
from ocrrl.policies.finetune import FinetuneConfig
from ocrrl.stages.processes import side_by_side
from ocrrl.stages.retrain import ARMS, dataset, training_data


def run(tasks: list[TabletopTask], params: Params, layout: Layout, options: argparse.Namespace) -> None:
    config = params.multitask_config("retrain_multitask")
    parts = [Layout(task.slug, layout.round) for task in tasks]
    inputs = files.fingerprint(files.code_fingerprint(), config, *(dataset(p, arm) for arm in ARMS for p in parts))
    work = layout.work(f"retrain_multitask-{inputs}")
    calls = [(parts, arm, config, work) for arm in ARMS]
    if config.device == "cpu":
        side_by_side(train_arm, calls)
    else:  # one accelerator, one arm after the other
        for call in calls:
            train_arm(*call)
    # All at the end: DVC deletes a stage's outputs before it runs it again, also those of an arm that was finished.
    for arm in ARMS:
        files.publish(work / arm, layout.vla(arm))


def train_arm(parts: list[Layout], arm: str, config: FinetuneConfig, work: Path) -> None:
    """One arm, into `work/<arm>`; nothing is left to do where an interrupted run has finished it."""
    from ocrrl.policies.finetune import finetune

    if (work / arm).is_dir():
        return
    finetune(
        [training_data(part, arm, config) for part in parts],
        work / arm,
        work / f"{arm}-unfinished",
        config,
        progress=arm == "retrained",
    )
