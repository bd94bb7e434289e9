"""`train_residual`: Algorithm 1 on the frozen sim VLA, validated on seeds of their own."""

import argparse
import shutil

import numpy as np
from tqdm import tqdm

from ocrrl import files
from ocrrl.interface.seeds import initial_state_seeds
from ocrrl.interface.tabletop_tasks import TabletopTask
from ocrrl.layout import Layout
from ocrrl.params import Params
from ocrrl.worlds import make_simulator


def run(task: TabletopTask, params: Params, layout: Layout, options: argparse.Namespace) -> None:
    from ocrrl.datasets.transitions import read_replay_transitions
    from ocrrl.policies.checkpoint import load_vla
    from ocrrl.policies.chunked_policy import ChunkedPolicy
    from ocrrl.residual.residual_config import RANDOMISED
    from ocrrl.residual.train_residual import train_residual as train
    from ocrrl.rollouts.control_loop import run_episodes

    config = params.config("train_residual", task.slug)
    vla = load_vla(layout.vla("sim"), config.device)
    parallel = min(25, config.validation_episodes)
    validation = make_simulator(task.slug, parallel)
    seeds = initial_state_seeds("validation", config.validation_episodes)

    def success_rate(residual) -> float:
        base = ChunkedPolicy(vla, task.instruction, parallel)
        outcomes = run_episodes(validation, base, residual, seeds)
        return float(np.mean([outcome.success for outcome in outcomes]))

    inputs = files.fingerprint(files.code_fingerprint(), config, layout.vla("sim"), layout.replay_transitions)
    work = layout.work(f"train_residual-{options.seed}-{inputs}")
    with tqdm(total=config.total_transitions, desc=f"train_residual seed {options.seed}", unit="transition") as bar:

        def progress(transitions: int, point: dict) -> None:
            bar.update(transitions - bar.n)
            bar.set_postfix(validated=point["validation_success"], refresh=False)

        train(
            config,
            make_simulator(task.slug, config.num_envs, {name: getattr(config, name) for name in RANDOMISED}),
            ChunkedPolicy(vla, task.instruction, config.num_envs),
            read_replay_transitions(layout.replay_transitions),
            work,
            layout.residual(options.seed),
            options.seed,
            success_rate,
            progress,
        )
    shutil.rmtree(work)
