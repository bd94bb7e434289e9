"""What each stage puts together: its parameters, its inputs' and outputs' places, and the library's functions.

Every stage does its work under `.work/` and publishes at the end; heavy packages are imported by the stage that needs
them.
"""

import argparse
import json
import shutil
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ocrrl import files
from ocrrl.interface.seeds import initial_state_seeds
from ocrrl.interface.tabletop_tasks import TabletopTask, tabletop_task
from ocrrl.layout import Layout
from ocrrl.params import Params
from ocrrl.timings import timed
from ocrrl.worlds import make_environment, make_teleoperator


def run_stage(options: argparse.Namespace) -> int:
    """Run the stage that `options.command` names; the exit code."""
    task = tabletop_task(options.tabletop_task)
    params, layout = Params.read(), Layout(task.slug)
    variant = "".join(f"-{value}" for value in (getattr(options, "domain", None), getattr(options, "seed", None)) if value is not None)
    with timed(f"{options.command}@{task.slug}{variant}"):
        return _STAGES[options.command](task, params, layout, options) or 0


def record(task: TabletopTask, params: Params, layout: Layout, options: argparse.Namespace) -> None:
    from ocrrl.datasets.record import record_episodes

    config = params.config("record", task.slug)
    cell = make_environment("twin", task.slug, min(10, config.episodes))
    work = _fresh(layout.work("record"))
    with tqdm(total=config.episodes, desc="record", unit="episode") as bar:
        summary = record_episodes(
            cell,
            make_teleoperator(task.slug, cell),
            work,
            initial_state_seeds("record", config.max_attempts),
            config,
            calibration=cell.calibration(),
            versions=_versions(),
            progress=lambda written, _: bar.update(written - bar.n),
        )
    files.publish(work, layout.recorded_episodes)
    print(f"{summary.written} episodes recorded in the twin cell, {summary.attempts} attempts")


def ingest(task: TabletopTask, params: Params, layout: Layout, options: argparse.Namespace) -> int:
    from ocrrl.datasets.ingest import ingest as ingest_folder

    config = params.config("ingest", task.slug)
    with tqdm(desc="ingest", unit="episode") as bar:
        summary = ingest_folder(
            params.episodes_folder(task.slug),
            task,
            layout.dataset("real"),
            layout.normalised_episodes,
            layout.ingest_report,
            config,
            progress=lambda *_: bar.update(),
        )
    print(summary.describe())
    return summary.exit_code


def replay(task: TabletopTask, params: Params, layout: Layout, options: argparse.Namespace) -> None:
    from ocrrl.datasets.ingest import ingested_episodes
    from ocrrl.datasets.replay import replay_episodes

    episodes = list(
        ingested_episodes(params.episodes_folder(task.slug), layout.normalised_episodes, layout.ingest_report)
    )
    with tqdm(total=len(episodes), desc="replay", unit="episode") as bar:
        summary = replay_episodes(
            episodes,
            make_environment("sim", task.slug, min(10, len(episodes))),
            layout.dataset("sim"),
            layout.replay_transitions,
            layout.replay_report,
            params.config("replay", task.slug),
            progress=lambda done, _: bar.update(done - bar.n),
        )
    print(f"{len(summary.kept)} of {len(episodes)} replays kept")
    for source, reason in summary.dropped.items():
        print(f"  dropped {source}: {reason}")


def finetune(task: TabletopTask, params: Params, layout: Layout, options: argparse.Namespace) -> None:
    from ocrrl.policies.finetune import finetune as train

    config = params.config("finetune", task.slug)
    domain = options.domain
    kept = json.loads(layout.replay_report.read_text())["kept"] if getattr(config, "real_episodes", "replayed") == "replayed" else None
    train(
        layout.dataset(domain),
        layout.vla(domain),
        layout.work(f"finetune-{domain}"),
        config,
        episodes=kept if domain == "real" else None,
    )


def train_residual(task: TabletopTask, params: Params, layout: Layout, options: argparse.Namespace) -> None:
    from ocrrl.datasets.transitions import read_replay_transitions
    from ocrrl.policies.checkpoint import load_vla
    from ocrrl.policies.chunked_policy import ChunkedPolicy
    from ocrrl.residual.train_residual import train_residual as train
    from ocrrl.rollouts.control_loop import run_episodes

    config = params.config("train_residual", task.slug)
    vla = load_vla(layout.vla("sim"))
    parallel = min(25, config.validation_episodes)
    validation = make_environment("sim", task.slug, parallel)
    seeds = initial_state_seeds("validation", config.validation_episodes)

    def success_rate(residual) -> float:
        base = ChunkedPolicy(vla, task.instruction, parallel)
        outcomes = run_episodes(validation, base, residual.residual, seeds)
        return float(np.mean([outcome.success for outcome in outcomes]))

    inputs = files.fingerprint(config, options.seed, layout.vla("sim"), layout.replay_transitions)
    with tqdm(total=config.total_transitions, desc=f"train_residual seed {options.seed}", unit="transition") as bar:

        def progress(transitions: int, point: dict) -> None:
            bar.update(transitions - bar.n)
            bar.set_postfix(validated=point["validation_success"], refresh=False)

        train(
            config,
            make_environment("sim", task.slug, config.num_envs),
            ChunkedPolicy(vla, task.instruction, config.num_envs),
            read_replay_transitions(layout.replay_transitions),
            layout.work(f"train_residual-{options.seed}-{inputs}"),
            layout.residual(options.seed),
            options.seed,
            success_rate,
            progress,
        )


def _fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _versions() -> dict[str, str]:
    return {name: version(name) for name in ("ocrrl", "mujoco", "numpy", "franky-sim")}


_STAGES: dict[str, Callable[[TabletopTask, Params, Layout, argparse.Namespace], int | None]] = {
    function.__name__: function for function in (record, ingest, replay, finetune, train_residual)
}
