"""`evaluate_multitask`: one VLA on every tabletop task, with the VLAs before and the control variants (Fig. 6c, d)."""

import argparse

from ocrrl.interface.tabletop_tasks import TabletopTask
from ocrrl.layout import Layout
from ocrrl.params import Params
from ocrrl.rollouts.evaluate_retrained import ArmsEvaluation, write_retrained_evaluation
from ocrrl.stages.evaluate_retrained import CELL, VLA_OF_ARM, evaluate_arm
from ocrrl.stages.processes import side_by_side


def run(tasks: list[TabletopTask], params: Params, layout: Layout, options: argparse.Namespace) -> None:
    """The arm `before` is each tabletop task's own VLA; the others are trained on all of them."""
    from ocrrl.policies.checkpoint import expected_policies

    config = params.multitask_config("evaluate_multitask")
    calls = [
        (
            task.slug,
            Layout(task.slug, layout.round) if arm == "before" else layout,
            vla,
            config,
            expected_policies(params, task.slug),
        )
        for task in tasks
        for arm, vla in VLA_OF_ARM.items()
    ]
    outcomes = iter(side_by_side(evaluate_arm, calls))
    evaluations = [ArmsEvaluation(task.slug, CELL, {arm: next(outcomes) for arm in VLA_OF_ARM}) for task in tasks]
    write_retrained_evaluation(layout.retrained_evaluation, layout.tabletop_task, layout.round_number, evaluations)
    for evaluation in evaluations:
        rates = {arm: sum(o.success for o in episodes) / len(episodes) for arm, episodes in evaluation.arms.items()}
        print(f"{evaluation.tabletop_task}: " + ", ".join(f"{arm} {rate:.2f}" for arm, rate in rates.items()))
