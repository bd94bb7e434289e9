"""`rollout`: collects successful episodes of base + residual in the twin."""

from pathlib import Path

from ocrrl import files
from ocrrl.interface.seeds import initial_state_seeds
from ocrrl.interface.tabletop_tasks import TabletopTask
from ocrrl.layout import ROLLED_OUT_SEED, Layout
from ocrrl.params import Params
from ocrrl.rollouts.rollout import Attempts, RolloutConfig, attempt_batch, collect_rollouts, rollout_metrics
from ocrrl.rollouts.rollout_recorder import package_versions
from ocrrl.stages.policy_in_cell import TWIN, PolicyInCell, opened
from ocrrl.stages.processes import ahead

_NO_SUCCESS = {
    "corrected": (
        "rollout",
        "the round goes on without rollouts. Next: `ocrrl show TASK` says whether the residual helps; train it longer "
        "(train_residual.total_timesteps), or allow more attempts (rollout.max_attempts)",
    ),
    "base": ("rollout_base", "the control variant goes on without rollouts, which says nothing of the residual"),
}
"""The stage of a policy, and what to do where it never succeeds."""


def run(task: TabletopTask, params: Params, layout: Layout) -> None:
    config, residual = params.config("rollout", task.slug), layout.residual(ROLLED_OUT_SEED)
    inputs = files.fingerprint(files.code_fingerprint(), config, params.cameras, layout.vla("real"), residual)
    collect(task, params, layout, config, residual, inputs)


def collect(
    task: TabletopTask, params: Params, layout: Layout, config: RolloutConfig, residual: Path | None, inputs: str
) -> None:
    """Episodes with or without a residual, and their metrics; a collection of the same `inputs` that was killed goes on."""
    policy, seed = ("base", None) if residual is None else ("corrected", ROLLED_OUT_SEED)
    acting = PolicyInCell.of(task, params, config, config.max_attempts, TWIN, layout.vla("real"), residual)
    work = layout.work(f"rollout-{policy}-{inputs}")
    finished, unfinished = work / "finished", work / "unfinished"
    if finished.is_dir():
        files.publish(finished, unfinished)
    summary = collect_rollouts(
        TWIN,
        lambda batches: ahead(run_attempts, ((acting, *batch) for batch in batches), acting.processes()),
        finished,
        initial_state_seeds("rollout", config.max_attempts),
        config,
        unfinished,
    )
    metrics = rollout_metrics(task.slug, layout.round_number, seed, policy, summary)
    files.write_json(layout.rollout_report(policy), metrics)
    # The episodes last: DVC deletes a stage's outputs before it runs it again, also those that were finished.
    files.publish(finished, layout.rollouts(policy))
    attempts = summary.attempts
    print(
        f"{policy}: {summary.recorded} episodes recorded, {attempts['successes']} of {attempts['episodes']} succeeded"
    )
    if not attempts["successes"]:
        stage, remedy = _NO_SUCCESS[policy]
        print(f"{stage} {task.slug}, {layout.round}: no success in {attempts['episodes']} attempts; {remedy}")


def run_attempts(acting: PolicyInCell, seeds: list[int], missing: int) -> Attempts:
    """A batch of them, `missing` successes of it recorded."""
    environment, base, residual = opened(acting)
    return attempt_batch(environment, base, residual, seeds, missing, environment.calibration(), package_versions())
