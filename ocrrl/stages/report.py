"""`report`: one page of tables, figures and films, and the result table in Markdown."""

import argparse

from ocrrl import files
from ocrrl.interface.tabletop_tasks import TabletopTask
from ocrrl.layout import ROLLED_OUT_SEED, Layout
from ocrrl.params import Params
from ocrrl.report.build_report import build_report
from ocrrl.report.inputs import ReportInputs


def run(task: TabletopTask, params: Params, layout: Layout, options: argparse.Namespace) -> None:
    work = files.fresh_folder(layout.work("report"))
    build_report(report_inputs(layout), work)
    files.publish(work, layout.report)
    print(f"{layout.report / 'index.html'}")


def report_inputs(layout: Layout) -> ReportInputs:
    """Where the parts of the report on a tabletop task lie, of the residual that is rolled out."""
    return ReportInputs(
        tabletop_task=layout.tabletop_task,
        round=layout.round_number,
        evaluations=(layout.evaluation(ROLLED_OUT_SEED),),
        evaluation_episodes=(layout.evaluation_episodes(ROLLED_OUT_SEED),),
        residuals=(layout.residual(ROLLED_OUT_SEED),),
        retrained_evaluation=layout.retrained_evaluation,
        ingest_report=layout.ingest_report,
        replay_report=layout.replay_report,
        rollout_reports=(layout.rollout_report("corrected"), layout.rollout_report("base")),
    )
