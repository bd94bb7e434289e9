"""How the cost of residual training grows: `python -m benchmarks.scale [--tasks cube_lift ...] [--transitions 4000]`.

Needs no data: the base is an untrained compact VLA, which costs what a trained one does. Prints, for every tabletop task
and number of environments, transitions a CPU-second of the environment alone and of training with the default preset's
networks and updates a step of all environments, without demonstrations or validation; then
the wall time of 1, 2, 4 trainings side by side, one process and thread each.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from ocrrl.interface.actions import ACTION_DIM
from ocrrl.interface.observations import PROPRIOCEPTION_DIM
from ocrrl.params import build
from ocrrl.policies.chunked_policy import ChunkedPolicy
from ocrrl.policies.compact_architecture import CompactArchitecture
from ocrrl.policies.compact_checkpoint import CompactCheckpoint
from ocrrl.policies.compact_network import CompactNetwork
from ocrrl.policies.compact_policy import CompactVLA
from ocrrl.policies.language import InstructionEncoder
from ocrrl.policies.normalisation import Normalisation
from ocrrl.preset_params import resolve
from ocrrl.residual.residual_config import ResidualConfig
from ocrrl.residual.train_residual import train_residual
from ocrrl.tabletop.registry import slugs, tabletop_task
from ocrrl.worlds import make_simulator

ENVIRONMENTS = (4, 16, 64)
SIDE_BY_SIDE = (1, 2, 4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", default=list(slugs()))
    parser.add_argument("--transitions", type=int, default=4000, help="of each training")
    options = parser.parse_args()
    print("| tabletop task | environments | environment alone, transitions a CPU-s | training, transitions a CPU-s |")
    print("|---|---:|---:|---:|")
    for slug in options.tasks:
        for num_envs in ENVIRONMENTS:
            alone = options.transitions / cpu_seconds(lambda s=slug, n=num_envs: step(s, n, options.transitions))
            training = options.transitions / cpu_seconds(lambda s=slug, n=num_envs: train(s, n, options.transitions))
            print(f"| {slug} | {num_envs} | {alone:.0f} | {training:.0f} |", flush=True)
    print(f"\n{os.cpu_count()} cores; {options.transitions} transitions of {options.tasks[0]}, 16 environments each\n")
    print("| trainings side by side | wall | transitions a second, all together |")
    print("|---:|---:|---:|")
    for count in SIDE_BY_SIDE:
        with ProcessPoolExecutor(count, get_context("spawn")) as pool:
            list(pool.map(warm_up, range(count)))
            start = time.perf_counter()
            list(pool.map(train, [options.tasks[0]] * count, [16] * count, [options.transitions] * count, range(count)))
            wall = time.perf_counter() - start
        print(f"| {count} | {wall:.0f} s | {count * options.transitions / wall:.0f} |", flush=True)


def cpu_seconds(work: Callable[[], None]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def warm_up(_: int) -> None:
    """Import what training needs, before the clock starts."""
    train("cube_lift", 4, 8)


def step(slug: str, num_envs: int, transitions: int) -> None:
    """Random small actions, episodes begun anew at the horizon."""
    world, generator = make_simulator(slug, num_envs), np.random.default_rng(0)
    ids = np.arange(num_envs)
    for k in range(transitions // num_envs):
        if k % world.tabletop_task.horizon == 0:
            world.reset(ids, [int(seed) for seed in generator.integers(1000, size=num_envs)])
        world.step(generator.normal(scale=0.005, size=(num_envs, ACTION_DIM)), ids)


def train(slug: str, num_envs: int, transitions: int, seed: int = 0) -> None:
    """One training without validation."""
    preset = resolve("default", [slug])["train_residual"]
    changes = {"total_timesteps": transitions, "num_envs": num_envs, "validation_every": transitions}
    config = build(ResidualConfig, preset["shared"] | preset[slug] | changes | {"offline_fraction": 0.0}, slug)
    base = ChunkedPolicy(untrained_vla(), tabletop_task(slug).instruction, num_envs)
    with tempfile.TemporaryDirectory() as folder:
        train_residual(
            config, make_simulator(slug, num_envs), base, [], Path(folder, "work"), Path(folder, "out"), seed
        )


def untrained_vla() -> CompactVLA:
    """A compact VLA with random weights that looks through both cameras."""
    state, action = np.zeros((2, PROPRIOCEPTION_DIM)), np.zeros((2, ACTION_DIM))
    network = CompactNetwork(CompactArchitecture({"front": (64, 64), "wrist": (64, 64)}))
    return CompactVLA(CompactCheckpoint(network, Normalisation.of(state, action), InstructionEncoder.choose("hash")))


if __name__ == "__main__":
    main()
