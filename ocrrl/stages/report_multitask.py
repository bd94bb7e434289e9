"""`report_multitask`: all tabletop tasks and the multi-task VLA on one page, and the result tables in Markdown."""

from collections.abc import Mapping, Sequence

from ocrrl import files
from ocrrl.interface.tabletop_tasks import TabletopTask
from ocrrl.layout import MULTITASK, ROLLED_OUT_SEED, Layout
from ocrrl.params import Params
from ocrrl.report.build_report import PAGE, ROUNDS, build_report
from ocrrl.report.inputs import Measured, ReportInputs, TaskInputs, read_inputs
from ocrrl.rollouts.statistics import average_difference


def run(tasks: list[TabletopTask], params: Params, layout: Layout) -> None:
    """Of the residual that is rolled out alone, since dvc.yaml names its files; `benchmarks.table1` takes every seed."""
    work = files.fresh_folder(layout.work("report_multitask"))
    sessions = {task.slug: params.tabletop_tasks[task.slug].evaluations for task in tasks}
    measured = read_round([task.slug for task in tasks], layout.round, [ROLLED_OUT_SEED], sessions)
    build_report(measured, work, "ocrrl report_multitask")
    files.publish(work, layout.report)
    print(layout.report / PAGE)


def read_round(
    slugs: Sequence[str],
    round_name: str,
    residual_seeds: Sequence[int],
    sessions: Mapping[str, tuple[str, ...]] | None = None,
) -> Measured:
    """What is there of a round on the tabletop tasks `slugs`, with the residuals of `residual_seeds`; `sessions` by task."""
    together, sessions = Layout(MULTITASK, round_name), sessions or {}
    tasks = tuple(_inputs(Layout(slug, round_name), residual_seeds, sessions.get(slug, ())) for slug in slugs)
    earlier = together.previous.report / ROUNDS if together.round_number else None
    inputs = ReportInputs(tasks, together.round_number, together.retrained_evaluation, earlier)
    return read_inputs(inputs, average_difference)


def _inputs(layout: Layout, residual_seeds: Sequence[int], sessions: tuple[str, ...]) -> TaskInputs:
    return TaskInputs(
        tabletop_task=layout.tabletop_task,
        evaluations=tuple(layout.evaluation(seed) for seed in residual_seeds),
        evaluation_episodes=tuple(layout.evaluation_episodes(seed) for seed in residual_seeds),
        residuals=tuple(layout.residual(seed) for seed in residual_seeds),
        replay_report=layout.replay_report,
        sessions=sessions,
    )
