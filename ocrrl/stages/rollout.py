"""`rollout`: collects successful episodes of base + residual in the twin."""

from ocrrl import files
from ocrrl.interface.cameras import CameraSizes
from ocrrl.interface.residual_observations import AnyResidual
from ocrrl.interface.seeds import initial_state_seeds
from ocrrl.interface.tabletop_tasks import TabletopTask
from ocrrl.layout import ROLLED_OUT_SEED, Layout
from ocrrl.params import Params
from ocrrl.rollouts.rollout import RolloutConfig, collect_rollouts, rollout_metrics
from ocrrl.rollouts.rollout_recorder import package_versions
from ocrrl.worlds import make_twin

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
    from ocrrl.policies.checkpoint import expected_policies
    from ocrrl.residual.residual_policy import load_residual

    config, path = params.config("rollout", task.slug), layout.residual(ROLLED_OUT_SEED)
    inputs = files.fingerprint(files.code_fingerprint(), config, params.cameras, layout.vla("real"), path)
    expected, residual = expected_policies(params, task.slug), load_residual(path, task)
    collect(task, layout, config, expected, residual, inputs, params.cameras)


def collect(
    task: TabletopTask,
    layout: Layout,
    config: RolloutConfig,
    expected: dict[str, bool],
    residual: AnyResidual | None,
    inputs: str,
    cameras: CameraSizes,
) -> None:
    """Episodes with or without a residual, and their metrics; a collection of the same `inputs` that was killed goes on.

    The VLA is of a policy type in `expected`.
    """
    from ocrrl.policies.checkpoint import load_policy

    policy, seed = ("base", None) if residual is None else ("corrected", ROLLED_OUT_SEED)
    base = load_policy(layout.vla("real"), task.instruction, config.num_envs, config.device, expected, cameras)
    cell, work = make_twin(task.slug, config.num_envs, cameras), layout.work(f"rollout-{policy}-{inputs}")
    finished, unfinished = work / "finished", work / "unfinished"
    if finished.is_dir():
        files.publish(finished, unfinished)
    summary = collect_rollouts(
        cell,
        base,
        residual,
        finished,
        initial_state_seeds("rollout", config.max_attempts),
        config,
        unfinished,
        calibration=cell.calibration(),
        versions=package_versions(),
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
