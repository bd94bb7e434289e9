"""A pretrained VLA of its released size as the base: `python -m benchmarks.pretrained_base smolvla|pi05 [--tiny]`.

Prints its parameters and, in turn: samples/s of training as `finetune` does it, the time of a chunk by the number of robots, and
transitions/s of residual training with it in the loop by part; each with the memory that it took. The weights are random, so
this says what a base costs and nothing of what it does. `--tiny` tries the same on any machine.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.finetune import CHUNK, IMAGE_SHIFT, trained_rate, wall_time, write_random_dataset
from ocrrl.datasets.frames.decoded_frames import DecodedDataset, decode_dataset
from ocrrl.interface.cameras import DEFAULT_CAMERAS
from ocrrl.interface.devices import chosen_device
from ocrrl.interface.observations import RobotState
from ocrrl.interface.protocols import VLA
from ocrrl.policies.checkpoint import load_vla
from ocrrl.policies.chunk_batches import ChunkSampler
from ocrrl.policies.chunked_policy import ChunkedPolicy
from ocrrl.policies.lerobot_learner import LeRobotLearner
from ocrrl.report.table import Table, markdown_table
from ocrrl.residual.residual_config import ResidualConfig
from ocrrl.residual.train_residual import train_residual
from ocrrl.worlds import make_simulator
from tests.policies.hub_cache import cached_repository
from tests.policies.random_smolvla import RELEASED, TINY, random_smolvla
from tests.policies.tiny_pi05 import TOKENIZER, tiny_pi05, write_tokenizer

WARM_UP = 3  # chunks that are not counted
RELEASED_PI05 = {"type": "pi05", "chunk_size": CHUNK, "n_action_steps": CHUNK // 2, "dtype": "bfloat16"}
REPLAN_EVERY = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base", choices=("smolvla", "pi05"))
    parser.add_argument("--tiny", action="store_true", help="less than a million parameters")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--image", type=int, default=224, help="height and width of the cameras' images")
    parser.add_argument("--batch-size", type=int, default=32, help="of training; 0: no training")
    parser.add_argument("--steps", type=int, default=10, help="timed training steps")
    parser.add_argument("--robots", type=int, nargs="+", default=[1, 4, 16, 32], help="robots that a chunk is for")
    parser.add_argument("--num-envs", type=int, nargs="+", default=[16], help="environments of residual training")
    parser.add_argument("--transitions", type=int, default=4000, help="of residual training")
    options = parser.parse_args()
    device = chosen_device(options.device)
    with tempfile.TemporaryDirectory() as folder, policy_of(options.base, options.tiny, Path(folder)) as policy:
        root = write_random_dataset(Path(folder) / "dataset", episodes=2, size=options.image)
        data = decode_dataset(root)
        train(root, data, policy, device, options.batch_size, options.steps)
        vla = load_vla(Path(folder) / "vla", device)
        for robots in options.robots:
            print(
                f"a chunk for {robots} robots: {chunk_ms(vla, data, robots, device):.0f} ms{memory(device)}", flush=True
            )
        rows = [in_the_loop(vla, options, num_envs, device, Path(folder)) for num_envs in options.num_envs]
        print(markdown_table(Table(("environments", "transitions/s", "wall time by part"), rows)))


@contextmanager
def policy_of(base: str, tiny: bool, folder: Path) -> Iterator[dict[str, Any]]:
    """The section `finetune.policy` of a `base` with random weights; what it reads from a hub is written to `folder`."""
    if base == "smolvla":
        yield random_smolvla(TINY if tiny else RELEASED, folder / "backbone")
        return
    cache = folder / "hub"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
        if tiny:
            yield tiny_pi05(patch, cache)
            return
        write_tokenizer(cached_repository(cache, TOKENIZER))
        yield RELEASED_PI05


def train(root: Path, data: DecodedDataset, policy: dict, device: str, batch_size: int, steps: int) -> None:
    """Train a fresh policy for `steps` and save it beside the dataset."""
    learner = LeRobotLearner(root, data, policy, None, device)
    parameters = list(learner.module.parameters())
    counts = [sum(p.numel() for p in parameters if p.requires_grad or frozen) / 1e6 for frozen in (True, False)]
    where = torch.cuda.get_device_name() if device != "cpu" else "CPU"
    print(f"{policy['type']}, {counts[0]:.3g} M parameters, {counts[1]:.3g} M of them trained, on {where}", flush=True)
    if batch_size:
        sampler = ChunkSampler(data, CHUNK, batch_size, IMAGE_SHIFT, seed=0)
        rate = trained_rate(learner, sampler, batch_size, steps, device)
        print(f"training, batch {batch_size}: {rate:.1f} samples/s{memory(device)}", flush=True)
    learner.save(root.parent / "vla")


def chunk_ms(vla: VLA, data: DecodedDataset, robots: int, device: str) -> float:
    """Median time [ms] of a chunk for so many robots."""
    images = {camera: np.repeat(frames[:1], robots, axis=0) for camera, frames in data.images.items()}
    state, times = RobotState.at_rest(np.repeat(data.state[:1], robots, axis=0)), []
    for _ in range(WARM_UP + 5):
        began = wall_time(device)
        chunk = vla.predict_chunk(images, state, data.tasks[0])
        times.append(1e3 * (wall_time(device) - began))
    assert np.isfinite(chunk).all()
    return statistics.median(times[WARM_UP:])


def in_the_loop(vla: VLA, options: argparse.Namespace, num_envs: int, device: str, folder: Path) -> tuple[str, ...]:
    """Environments, transitions/s, and the share of each part, of residual training on Cube Lift with `vla` as the base."""
    cameras = dict.fromkeys(DEFAULT_CAMERAS, (options.image, options.image))
    environment = make_simulator("cube_lift", num_envs, cameras=cameras)
    instruction, work = environment.tabletop_task.instruction, folder / f"work-{num_envs}"
    config = replace(
        ResidualConfig(),
        total_timesteps=options.transitions,
        num_envs=num_envs,
        validation_every=options.transitions,
        device=device,
    )
    base = ChunkedPolicy(vla, instruction, num_envs, min(REPLAN_EVERY, vla.chunk_size))
    began = time.perf_counter()
    train_residual(config, environment, base, [], work, folder / f"out-{num_envs}", 0, clock=time.perf_counter)
    seconds = time.perf_counter() - began
    parts: Mapping[str, float] = json.loads((work / "timings.json").read_text())[-1]
    shares = {
        part: taken / seconds for part, taken in parts.items() if part != "transitions" and taken > 0.01 * seconds
    }
    told = ", ".join(f"{part} {share:.0%}" for part, share in shares.items())
    return str(num_envs), f"{options.transitions / seconds:.0f}", told + memory(device)


def memory(device: str) -> str:
    """The most memory that the device has held since the last time it was asked."""
    if device == "cpu":
        return ""
    most = torch.cuda.max_memory_allocated() / 2**30
    torch.cuda.reset_peak_memory_stats()
    return f"; memory {most:.1f} GiB"


if __name__ == "__main__":
    os.environ["HF_HUB_OFFLINE"] = "1"
    main()
