"""`report`: one page of tables, figures and videos of a tabletop task, and its tables in Markdown."""

from ocrrl import files
from ocrrl.interface.tabletop_tasks import TabletopTask
from ocrrl.layout import ROLLED_OUT_SEED, Layout
from ocrrl.params import Params
from ocrrl.report.build_report import PAGE, build_report
from ocrrl.report.inputs import ReportInputs, TaskInputs, read_inputs


def run(task: TabletopTask, params: Params, layout: Layout) -> None:
    work = files.fresh_folder(layout.work("report"))
    sessions = params.tabletop_tasks[task.slug].evaluations
    build_report(read_inputs(report_inputs(layout, sessions)), work, "ocrrl report")
    files.publish(work, layout.report)
    print(layout.report / PAGE)


def report_inputs(layout: Layout, sessions: tuple[str, ...] = ()) -> ReportInputs:
    """Where the parts of the report on a tabletop task lie, of the residual that is rolled out, and its evaluation `sessions`."""
    task = TaskInputs(
        tabletop_task=layout.tabletop_task,
        evaluations=(layout.evaluation(ROLLED_OUT_SEED),),
        evaluation_episodes=(layout.evaluation_episodes(ROLLED_OUT_SEED),),
        residuals=(layout.residual(ROLLED_OUT_SEED),),
        ingest_report=layout.ingest_report,
        replay_report=layout.replay_report,
        rollout_reports=(layout.rollout_report("corrected"), layout.rollout_report("base")),
        sessions=sessions,
    )
    return ReportInputs((task,), layout.round_number, layout.retrained_evaluation)
