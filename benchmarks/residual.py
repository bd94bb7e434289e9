"""What residual training costs: `python -m benchmarks.residual [--seeds 3] [--task cube_lift]`, after `make demo`.

Prints, for each seed, the CPU-seconds (environment, base VLA, actor, updates; validation is left out) until the validated
success first reaches 0.95, and the success on held-out seeds; then transitions a CPU-second, the environment's time over
that of bare `mj_step` on the same model, and one TD3 update beside Stable-Baselines3's.
"""

# pyright: reportAttributeAccessIssue=false
import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import td3_update
from ocrrl.datasets.transitions import read_replay_transitions
from ocrrl.interface.seeds import initial_state_seeds
from ocrrl.layout import Layout
from ocrrl.params import Params
from ocrrl.policies.checkpoint import load_vla
from ocrrl.policies.chunked_policy import ChunkedPolicy
from ocrrl.residual.learning_curve import BlockingValidation
from ocrrl.residual.train_residual import train_residual
from ocrrl.rollouts.control_loop import run_episodes
from ocrrl.rollouts.statistics import success_summary
from ocrrl.sim.scene import SUBSTEPS
from ocrrl.tabletop.registry import tabletop_task
from ocrrl.worlds import make_simulator

TRAINING_PARTS = ("offline", "base", "actor", "environment", "updates")
GOAL = 0.95
PARALLEL = 25


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--task", default="cube_lift")
    parser.add_argument("--episodes", type=int, default=100, help="held-out episodes a seed")
    options = parser.parse_args()
    costs, rates = [], []
    for seed in range(options.seeds):
        curve, timings, held_out = train_and_test(options.task, seed, initial_state_seeds("test", options.episodes))
        cost = cpu_seconds_until(curve, timings)
        costs.append(cost)
        rates.append(held_out["success_rate"])
        total = sum(timings[-1].get(part, 0.0) for part in TRAINING_PARTS)
        shown = "not reached" if cost is None else f"{cost:.0f} CPU-s"
        print(
            f"seed {seed}: validated >= {GOAL} after {shown}; held out {held_out['successes']}/{held_out['episodes']} "
            f"[{held_out['wilson_low']:.2f}, {held_out['wilson_high']:.2f}]; "
            f"{timings[-1]['transitions'] / total:.0f} transitions a CPU-s in all; curve "
            + " ".join(f"{p['transitions'] // 1000}k:{p['validation_success']:.2f}" for p in curve),
            flush=True,
        )
    reached = [cost for cost in costs if cost is not None]
    if len(reached) == len(costs):
        print(f"median of {len(costs)} seeds: {statistics.median(reached):.0f} CPU-s")
    print(f"lowest held-out success: {min(rates):.2f}")
    print(f"environment step over bare mj_step: {environment_over_mj_step(options.task):.2f}")
    td3_update.show()


def train_and_test(
    slug: str, seed: int, test_seeds: list[int], changes: Mapping[str, Any] | None = None
) -> tuple[list[dict], list[dict], dict]:
    """The learning curve, the stopwatch's readings at its points, and the success summary on `test_seeds`.

    `changes` are laid over the parameters of params.yaml.
    """
    task, layout = tabletop_task(slug), Layout(slug)
    config = replace(Params.read().config("train_residual", slug), **(changes or {}))
    vla = load_vla(layout.vla("sim"))
    world = make_simulator(slug, PARALLEL)

    def outcomes(residual, seeds):
        return run_episodes(world, ChunkedPolicy(vla, task.instruction, PARALLEL), residual, seeds)

    def validate(residual) -> float:
        seeds = initial_state_seeds("validation", config.validation_episodes)
        return float(np.mean([outcome.success for outcome in outcomes(residual, seeds)]))

    with tempfile.TemporaryDirectory() as folder:
        work, out = Path(folder) / "work", Path(folder) / "out"
        policy = train_residual(
            config,
            make_simulator(slug, config.num_envs),
            ChunkedPolicy(vla, task.instruction, config.num_envs),
            read_replay_transitions(layout.replay_transitions),
            work,
            out,
            seed,
            BlockingValidation(validate),
        )
        curve = json.loads((out / "curve.json").read_text())["points"]
        timings = json.loads((work / "timings.json").read_text())
    return curve, timings, dict(success_summary(outcomes(policy, test_seeds)))


def cpu_seconds_until(curve: list[dict], timings: list[dict]) -> float | None:
    """CPU-seconds of training at the first point whose validated success is at least `GOAL`, or None."""
    for point, timing in zip(curve, timings, strict=True):
        if point["transitions"] and point["validation_success"] >= GOAL:
            return sum(timing.get(part, 0.0) for part in TRAINING_PARTS)
    return None


def environment_over_mj_step(slug: str, steps: int = 100) -> float:
    """CPU time of a control step of 16 environments over that of 16 x SUBSTEPS bare `mj_step`, measured in turn."""
    import mujoco  # here, after `ocrrl.sim` chose its rendering back end

    environment = make_simulator(slug, 16)
    ids, hold = np.arange(16), np.tile([0, 0, 0, 0, 0, 0, 1.0], (16, 1))
    data = [mujoco.MjData(environment.model) for _ in ids]
    for env, one in enumerate(data):
        one.qpos[:] = environment.get_qpos()[env]
        one.ctrl[:] = environment.joint_targets[env]
    ours = bare = 0.0
    for _ in range(steps):
        start = time.process_time()
        environment.step(hold, ids)
        middle = time.process_time()
        for one in data:
            mujoco.mj_step(environment.model, one, SUBSTEPS)
        ours, bare = ours + middle - start, bare + time.process_time() - middle
    return ours / bare


if __name__ == "__main__":
    main()
