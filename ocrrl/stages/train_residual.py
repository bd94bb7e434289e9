"""`train_residual`: Algorithm 1 on the frozen sim VLA, with validation in a background process."""

import shutil
from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from ocrrl import files
from ocrrl.interface.cameras import CameraSizes
from ocrrl.interface.seeds import initial_state_seeds
from ocrrl.interface.tabletop_tasks import TabletopTask
from ocrrl.layout import Layout
from ocrrl.loggers.run_logger import curve
from ocrrl.params import Params
from ocrrl.stages.processes import BackgroundProcess
from ocrrl.tabletop.registry import tabletop_task
from ocrrl.worlds import make_simulator

if TYPE_CHECKING:
    from ocrrl.datasets.transitions import ReplayEpisode
    from ocrrl.interface.protocols import Environment, Policy
    from ocrrl.interface.residual_observations import AnyResidual
    from ocrrl.residual.residual_config import ResidualConfig
    from ocrrl.residual.residual_policy import ResidualPolicy
    from ocrrl.residual.restraint.learn_then_test import Calibration

VALIDATED_AT_ONCE = 25  # environments
FIRST_OF_CALIBRATION = 100_000  # in the validation range: no checkpoint is chosen on these states
Expected = tuple[tuple[str, bool], ...]
"""`policy_type.expected_policies` as pairs, which a cache takes."""
Cameras = tuple[tuple[str, tuple[int, int]], ...]
"""`params.cameras` likewise."""


def run(task: TabletopTask, params: Params, layout: Layout, seed: int) -> None:
    from ocrrl.datasets.transitions import read_replay_transitions
    from ocrrl.policies.policy_type import expected_policies
    from ocrrl.residual.residual_config import RANDOMISED
    from ocrrl.residual.train_residual import train_residual as train

    config = params.config("train_residual", task.slug)
    expected = tuple(sorted(expected_policies(params, task.slug).items()))
    cameras = tuple(params.cameras.items())
    inputs = files.fingerprint(files.code_fingerprint(), config, cameras, layout.vla("sim"), layout.replay_transitions)
    if config.teacher:
        inputs = files.fingerprint(inputs, Path(config.teacher))
    work = layout.work(f"train_residual-{seed}-{inputs}")
    replayed = read_replay_transitions(layout.replay_transitions)
    if config.observation in ("images", "distilled"):
        print(f"train_residual {task.slug}: {frames_told(config, params.cameras, replayed, work)}")
    with (
        BackgroundProcess(partial(success_rate, task.slug, layout, config, expected, cameras)) as validation,
        tqdm(total=config.total_timesteps, desc=f"train_residual seed {seed}", unit="transition") as bar,
    ):
        log = curve(f"residual/{seed}")

        def progress(transitions: int, point: dict | None) -> None:
            bar.update(transitions - bar.n)
            bar.set_postfix(validated=point and point["validation_success"], refresh=False)
            if log is not None and point is not None:
                log(point["transitions"], {key: value for key, value in point.items() if key != "transitions"})

        train(
            config,
            make_simulator(
                task.slug,
                config.num_envs,
                {k: getattr(config, k) for k in RANDOMISED},
                params.cameras,
                config.images.look,
            ),
            _base(task.slug, layout, expected, cameras, config.device, config.num_envs),
            replayed,
            work,
            layout.residual(seed),
            seed,
            validation,
            progress,
            partial(calibration, task.slug, layout, config, expected, cameras),
        )
    shutil.rmtree(work)


def frames_told(config: "ResidualConfig", cameras: CameraSizes, replayed: Sequence["ReplayEpisode"], work: Path) -> str:
    """What the frames of a training from images take: one a decision, and one a demonstrated step."""
    from ocrrl.residual.images.frames import frame_bytes

    size, steps = config.images.size, sum(len(episode.action) + 1 for episode in replayed)
    frames = config.total_timesteps // config.action_repeat + steps
    needed = frames * frame_bytes(dict.fromkeys(cameras, (size, size)))
    files.require_room(work, needed, "the frames of a training from images")
    return f"about {frames} frames of {len(cameras)} cameras, {size} x {size}, {needed / 1e6:.0f} MB of disk and page cache in {work}"


def success_rate(
    slug: str,
    layout: Layout,
    config: "ResidualConfig",
    expected: Expected,
    cameras: Cameras,
    residual: "AnyResidual",
) -> float:
    """Of base + residual in the simulator, from the validation states."""
    from ocrrl.rollouts.control_loop import run_episodes

    simulator, base = _validation(slug, layout, config, expected, cameras)
    outcomes = run_episodes(simulator, base, residual, initial_state_seeds("validation", config.validation_episodes))
    return float(np.mean([outcome.success for outcome in outcomes]))


def calibration(
    slug: str,
    layout: Layout,
    config: "ResidualConfig",
    expected: Expected,
    cameras: Cameras,
    residual: "ResidualPolicy",
) -> "Calibration":
    """`margin_in` the simulator that validates; prints its statement."""
    found = margin_in(*_validation(slug, layout, config, expected, cameras), config, residual)
    print(f"train_residual {slug}: {found.statement}")
    return found


def margin_in(
    simulator: "Environment", base: "Policy", config: "ResidualConfig", residual: "ResidualPolicy"
) -> "Calibration":
    """The margin of `residual`'s gate, on validation states of which none chose the checkpoint."""
    from ocrrl.residual.residual_config import in_action_units
    from ocrrl.residual.restraint.learn_then_test import Course, calibrate
    from ocrrl.residual.restraint.placebo import PLACEBO_SHARE, Placebo
    from ocrrl.rollouts.control_loop import run_episodes

    settings, gate = config.gate, residual.gate
    assert settings is not None and gate is not None
    seeds = initial_state_seeds("validation", settings.episodes, first=FIRST_OF_CALIBRATION)
    amplitude = PLACEBO_SHARE * in_action_units(config.residual_scale)
    placebo = Placebo(base, simulator.num_envs, amplitude, config.action_repeat)
    alone, disturbed = (
        [outcome.success for outcome in run_episodes(simulator, policy, None, seeds)] for policy in (base, placebo)
    )

    def run(margin: float) -> list[Course]:
        tried = copy(residual)
        tried.gate = replace(gate, margin=margin)
        outcomes = run_episodes(simulator, base, tried, seeds, keep_traces=True)
        return [Course(outcome.success, outcome.trace.acting) for outcome in outcomes if outcome.trace is not None]

    return calibrate(settings, alone, disturbed, run, simulator.cell)


@cache
def _validation(
    slug: str, layout: Layout, config: "ResidualConfig", expected: Expected, cameras: Cameras
) -> tuple["Environment", "Policy"]:
    parallel = min(VALIDATED_AT_ONCE, config.validation_episodes)
    simulator = make_simulator(slug, parallel, cameras=dict(cameras), look=config.images.look)
    return simulator, _base(slug, layout, expected, cameras, config.device, parallel)


def _base(slug: str, layout: Layout, expected: Expected, cameras: Cameras, device: str, num_envs: int) -> "Policy":
    from ocrrl.policies.checkpoint import load_policy

    return load_policy(
        layout.vla("sim"), tabletop_task(slug).instruction, num_envs, device, dict(expected), dict(cameras)
    )
