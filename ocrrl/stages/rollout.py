"""`rollout`: collects successful episodes of base + residual in the twin, and what else is asked for."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from ocrrl import files
from ocrrl.config_builder import values_of
from ocrrl.interface.seeds import initial_state_seeds
from ocrrl.interface.tabletop_tasks import TabletopTask
from ocrrl.layout import ROLLED_OUT_SEED, Layout
from ocrrl.params import Params
from ocrrl.rollouts.rollout import (
    LABELLED,
    Attempts,
    RolloutConfig,
    RolloutSummary,
    attempt_batch,
    collect_rollouts,
    labelled_batch,
    rollout_metrics,
)
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
    summary = _collected(run_attempts, acting, config, layout, finished, unfinished)
    metrics = rollout_metrics(task.slug, layout.round_number, seed, policy, summary)
    if config.labelled:
        wanted, part = replace(config, successes=config.labelled, failures=0), unfinished.with_name(LABELLED)
        if (finished / LABELLED).is_dir():
            files.publish(finished / LABELLED, part)
        labelled = _collected(run_labelled, acting, wanted, layout, finished / LABELLED, part)
        metrics[LABELLED] = values_of(labelled)
        print(f"{LABELLED}: {labelled.recorded} episodes recorded of the VLA alone")
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


def run_attempts(acting: PolicyInCell, config: RolloutConfig, seeds: list[int], missing: int) -> Attempts:
    """A batch of them, `missing` successes of it recorded."""
    environment, base, residual = opened(acting)
    calibration, versions = environment.calibration(), package_versions()
    return attempt_batch(environment, base, residual, seeds, missing, calibration, versions, config)


def run_labelled(acting: PolicyInCell, config: RolloutConfig, seeds: list[int], missing: int) -> Attempts:
    """A batch of the VLA alone, `missing` attempts of it recorded with the labels of base + residual."""
    environment, base, residual = opened(acting)
    if residual is None:
        raise ValueError("labelled must be 0 without a residual, which gives the labels")
    calibration, versions = environment.calibration(), package_versions()
    return labelled_batch(environment, base, residual, seeds, missing, calibration, versions, config)


def _collected(
    function: Callable[[PolicyInCell, RolloutConfig, list[int], int], Attempts],
    acting: PolicyInCell,
    config: RolloutConfig,
    layout: Layout,
    out: Path,
    work: Path,
) -> RolloutSummary:
    """Attempts by `function` in several processes, published at `out`."""
    seeds = initial_state_seeds("rollout", config.max_attempts, config.first_state(layout.round_number))

    def attempt(batches: Iterable[tuple[list[int], int]]) -> Iterator[Attempts]:
        return ahead(function, ((acting, config, *batch) for batch in batches), acting.processes())

    return collect_rollouts(TWIN, attempt, out, seeds, config, work)
