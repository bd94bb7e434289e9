"""`train_residual`: Algorithm 1 on the frozen sim VLA, with validation in a background process."""

import shutil
from functools import cache, partial
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from ocrrl import files
from ocrrl.interface.seeds import initial_state_seeds
from ocrrl.interface.tabletop_tasks import TabletopTask
from ocrrl.layout import Layout
from ocrrl.params import Params
from ocrrl.stages.processes import BackgroundProcess
from ocrrl.tabletop.registry import tabletop_task
from ocrrl.worlds import make_simulator

if TYPE_CHECKING:
    from ocrrl.interface.protocols import Environment, Policy
    from ocrrl.residual.residual_config import ResidualConfig
    from ocrrl.residual.residual_policy import ResidualPolicy

VALIDATED_AT_ONCE = 25  # environments
Expected = tuple[tuple[str, bool], ...]
"""`checkpoint.expected_policies` as pairs, which a cache takes."""
Cameras = tuple[tuple[str, tuple[int, int]], ...]
"""`params.cameras` likewise."""


def run(task: TabletopTask, params: Params, layout: Layout, seed: int) -> None:
    from ocrrl.datasets.transitions import read_replay_transitions
    from ocrrl.policies.checkpoint import expected_policies
    from ocrrl.residual.residual_config import RANDOMISED
    from ocrrl.residual.train_residual import train_residual as train

    config = params.config("train_residual", task.slug)
    expected = tuple(sorted(expected_policies(params, task.slug).items()))
    cameras = tuple(params.cameras.items())
    inputs = files.fingerprint(files.code_fingerprint(), config, cameras, layout.vla("sim"), layout.replay_transitions)
    work = layout.work(f"train_residual-{seed}-{inputs}")
    with (
        BackgroundProcess(partial(success_rate, task.slug, layout, config, expected, cameras)) as validation,
        tqdm(total=config.total_timesteps, desc=f"train_residual seed {seed}", unit="transition") as bar,
    ):

        def progress(transitions: int, point: dict | None) -> None:
            bar.update(transitions - bar.n)
            bar.set_postfix(validated=point and point["validation_success"], refresh=False)

        train(
            config,
            make_simulator(task.slug, config.num_envs, {k: getattr(config, k) for k in RANDOMISED}, params.cameras),
            _base(task.slug, layout, expected, cameras, config.device, config.num_envs),
            read_replay_transitions(layout.replay_transitions),
            work,
            layout.residual(seed),
            seed,
            validation,
            progress,
        )
    shutil.rmtree(work)


def success_rate(
    slug: str,
    layout: Layout,
    config: "ResidualConfig",
    expected: Expected,
    cameras: Cameras,
    residual: "ResidualPolicy",
) -> float:
    """Of base + residual in the simulator, from the validation states."""
    from ocrrl.rollouts.control_loop import run_episodes

    simulator, base = _validation(slug, layout, config, expected, cameras)
    outcomes = run_episodes(simulator, base, residual, initial_state_seeds("validation", config.validation_episodes))
    return float(np.mean([outcome.success for outcome in outcomes]))


@cache
def _validation(
    slug: str, layout: Layout, config: "ResidualConfig", expected: Expected, cameras: Cameras
) -> tuple["Environment", "Policy"]:
    parallel = min(VALIDATED_AT_ONCE, config.validation_episodes)
    simulator = make_simulator(slug, parallel, cameras=dict(cameras))
    return simulator, _base(slug, layout, expected, cameras, config.device, parallel)


def _base(slug: str, layout: Layout, expected: Expected, cameras: Cameras, device: str, num_envs: int) -> "Policy":
    from ocrrl.policies.checkpoint import load_policy

    return load_policy(
        layout.vla("sim"), tabletop_task(slug).instruction, num_envs, device, dict(expected), dict(cameras)
    )
