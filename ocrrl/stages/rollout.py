"""`rollout`: successful episodes of the real VLA in the twin cell, corrected by the residual and, as a control, not."""

import argparse
from pathlib import Path

from ocrrl import files
from ocrrl.interface.seeds import initial_state_seeds
from ocrrl.interface.tabletop_tasks import TabletopTask, tabletop_task
from ocrrl.layout import ROLLED_OUT_SEED, Layout
from ocrrl.params import Params
from ocrrl.rollouts.rollout import RolloutConfig, RolloutSummary, collect_rollouts, rollout_metrics
from ocrrl.stages.processes import side_by_side
from ocrrl.stages.versions import package_versions
from ocrrl.worlds import make_twin

POLICIES = ("corrected", "base")


def run(task: TabletopTask, params: Params, layout: Layout, options: argparse.Namespace) -> None:
    config = params.config("rollout", task.slug)
    inputs = files.fingerprint(files.code_fingerprint(), config, layout.vla("real"), layout.residual(ROLLED_OUT_SEED))
    work = layout.work(f"rollout-{inputs}")
    results = side_by_side(collect, [(task.slug, layout, policy, config, work) for policy in POLICIES])
    summaries: dict[str, RolloutSummary] = dict(zip(POLICIES, results, strict=True))
    # Both at the end: DVC deletes a stage's outputs before it runs it again, also those that were finished.
    for policy in POLICIES:
        files.publish(work / policy, layout.rollouts(policy))
    files.write_json(layout.rollout_report, rollout_metrics(task.slug, layout.round_number, ROLLED_OUT_SEED, summaries))
    for policy, summary in summaries.items():
        attempts = summary.attempts
        print(
            f"{policy}: {summary.recorded} episodes recorded, {attempts['successes']} of {attempts['episodes']} succeeded"
        )


def collect(slug: str, layout: Layout, policy: str, config: RolloutConfig, work: Path) -> RolloutSummary:
    """The episodes of one policy, into `work/<policy>`; an interrupted collection goes on where it was."""
    from ocrrl.policies.checkpoint import load_vla
    from ocrrl.policies.chunked_policy import ChunkedPolicy
    from ocrrl.residual.residual_policy import load_residual

    task, cell = tabletop_task(slug), make_twin(slug, config.num_envs)
    unfinished = work / f"{policy}-unfinished"
    if (work / policy).is_dir():
        files.publish(work / policy, unfinished)
    residual = load_residual(layout.residual(ROLLED_OUT_SEED), task) if policy == "corrected" else None
    return collect_rollouts(
        cell,
        ChunkedPolicy(load_vla(layout.vla("real"), config.device), task.instruction, config.num_envs),
        residual,
        work / policy,
        initial_state_seeds("rollout", config.max_attempts),
        config,
        unfinished,
        calibration=cell.calibration(),
        versions=package_versions(),
    )
