"""`rollout`: successful episodes of the real VLA in the twin cell, corrected by the residual and, as a control, not."""

import argparse

from ocrrl import files
from ocrrl.interface.seeds import initial_state_seeds
from ocrrl.interface.tabletop_tasks import TabletopTask, tabletop_task
from ocrrl.layout import Layout
from ocrrl.params import Params
from ocrrl.rollouts.rollout import RolloutConfig, RolloutSummary, collect_rollouts, rollout_metrics
from ocrrl.stages.processes import side_by_side
from ocrrl.stages.versions import package_versions
from ocrrl.worlds import make_twin

RESIDUAL_SEED = 0  # fixed beforehand, not chosen on results
POLICIES = ("corrected", "base")


def run(task: TabletopTask, params: Params, layout: Layout, options: argparse.Namespace) -> None:
    config = params.config("rollout", task.slug)
    results = side_by_side(collect, [(task.slug, layout, policy, config) for policy in POLICIES])
    summaries: dict[str, RolloutSummary] = dict(zip(POLICIES, results, strict=True))
    files.write_json(layout.rollout_report, rollout_metrics(task.slug, layout.round_number, RESIDUAL_SEED, summaries))
    for policy, summary in summaries.items():
        attempts = summary.attempts
        print(
            f"{policy}: {summary.recorded} episodes recorded, {attempts['successes']} of {attempts['episodes']} succeeded"
        )


def collect(slug: str, layout: Layout, policy: str, config: RolloutConfig) -> RolloutSummary:
    """The episodes of one policy; an interrupted collection goes on where it was."""
    from ocrrl.policies.checkpoint import load_vla
    from ocrrl.policies.chunked_policy import ChunkedPolicy
    from ocrrl.residual.residual_policy import load_residual

    task, cell = tabletop_task(slug), make_twin(slug, config.num_envs)
    inputs = files.fingerprint(config, layout.vla("real"), layout.residual(RESIDUAL_SEED))
    residual = load_residual(layout.residual(RESIDUAL_SEED), task).residual if policy == "corrected" else None
    return collect_rollouts(
        cell,
        ChunkedPolicy(load_vla(layout.vla("real")), task.instruction, config.num_envs),
        residual,
        layout.rollouts(policy),
        initial_state_seeds("rollout", config.max_attempts),
        config,
        layout.work(f"rollout-{policy}-{inputs}"),
        calibration=cell.calibration(),
        versions=package_versions(),
    )
