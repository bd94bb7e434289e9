"""`report_multitask`: all tabletop tasks and the multi-task VLA on one page, and the result tables in Markdown."""

import argparse
from collections.abc import Sequence

from ocrrl import files
from ocrrl.interface.tabletop_tasks import TabletopTask
from ocrrl.layout import MULTITASK, ROLLED_OUT_SEED, Layout
from ocrrl.params import Params
from ocrrl.report.build_multitask_report import build_multitask_report
from ocrrl.report.inputs import ReportInputs
from ocrrl.report.multitask_inputs import MultitaskInputs, MultitaskMeasured, read_multitask_inputs
from ocrrl.rollouts.statistics import average_difference


def run(tasks: list[TabletopTask], params: Params, layout: Layout, options: argparse.Namespace) -> None:
    """Of the residual that is rolled out alone, since dvc.yaml names its files; `benchmarks.table1` takes every seed."""
    work = files.fresh_folder(layout.work("report_multitask"))
    measured = read_round([task.slug for task in tasks], layout.round, [ROLLED_OUT_SEED])
    build_multitask_report(measured, work, "ocrrl report_multitask")
    files.publish(work, layout.report)
    print(f"{layout.report / 'index.html'}")


def read_round(slugs: Sequence[str], round_name: str, residual_seeds: Sequence[int]) -> MultitaskMeasured:
    """What is there of a round on the tabletop tasks `slugs`, with the residuals of `residual_seeds`."""
    together = Layout(MULTITASK, round_name)
    tasks = tuple(_inputs(Layout(slug, round_name), residual_seeds) for slug in slugs)
    inputs = MultitaskInputs(tasks, together.retrained_evaluation, together.round_number)
    return read_multitask_inputs(inputs, average_difference)


def _inputs(layout: Layout, residual_seeds: Sequence[int]) -> ReportInputs:
    return ReportInputs(
        tabletop_task=layout.tabletop_task,
        round=layout.round_number,
        evaluations=tuple(layout.evaluation(seed) for seed in residual_seeds),
        evaluation_episodes=tuple(layout.evaluation_episodes(seed) for seed in residual_seeds),
        residuals=tuple(layout.residual(seed) for seed in residual_seeds),
        replay_report=layout.replay_report,
    )
