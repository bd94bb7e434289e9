"""Fine-tuning throughput: `python -m benchmarks.finetune [--dataset ROOT]`.

Prints the samples/s read from the decoded cache, trained by `ocrrl`, and trained by `lerobot-train` on the same default
VLA, batch size and data, and the time of a batched prediction. Where lerobot-train has N workers beside its one thread,
ours has N threads. Without a dataset it makes one.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from ocrrl.datasets.frames.decoded_frames import DecodedDataset, decode_dataset
from ocrrl.datasets.lerobot_writer import write_lerobot_dataset
from ocrrl.interface.actions import ACTION_HIGH, ACTION_LOW, CONTROL_HZ
from ocrrl.interface.episode import Episode, EpisodeAttributes
from ocrrl.interface.observations import RobotState
from ocrrl.policies.chunk_batches import ChunkSampler
from ocrrl.policies.compact_architecture import CompactArchitecture
from ocrrl.policies.compact_checkpoint import CompactCheckpoint
from ocrrl.policies.compact_learner import CompactLearner
from ocrrl.policies.compact_network import CompactNetwork
from ocrrl.policies.compact_policy import CompactVLA
from ocrrl.policies.finetune import Learner, gpu_arithmetic, training_step
from ocrrl.policies.language import InstructionEncoder
from ocrrl.policies.normalisation import Normalisation
from ocrrl.tabletop.cube_lift import TASK as CUBE_LIFT

CHUNK = 16
IMAGE_SHIFT = 4
ROBOTS = 16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, help="a LeRobotDataset v3; a random one is made by default")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--steps", type=int, default=60, help="timed steps of ours")
    parser.add_argument(
        "--lerobot-steps", type=int, default=12, help="steps of lerobot-train, the first third not counted"
    )
    parser.add_argument("--workers", type=int, nargs="*", default=[0, 2], help="num_workers of lerobot-train to try")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        root = arguments.dataset or write_random_dataset(Path(folder) / "dataset")
        began = time.perf_counter()
        data = decode_dataset(root)
        shapes = ", ".join(f"{camera} {frames.shape[2]}x{frames.shape[1]}" for camera, frames in data.images.items())
        print(f"{len(data.action)} frames ({shapes}) decoded once in {time.perf_counter() - began:.1f} s")
        print(f"decoded cache         {cache_rate(data, arguments.batch_size, arguments.steps):8.0f} samples/s")
        for workers in arguments.workers:
            threads = max(1, workers)
            ours = training_rate(data, arguments.batch_size, arguments.steps, threads)
            print(f"ocrrl finetune        {ours:8.0f} samples/s, 1 process of {threads} thread(s)")
            out = Path(folder) / f"lerobot{workers}"
            theirs = lerobot_rate(root, out, arguments.batch_size, arguments.lerobot_steps, workers)
            setting = f"num_workers {workers}, {workers + 1} processes of 1 thread"
            print(
                f"lerobot-train         {theirs:8.0f} samples/s, {setting}: ours is {ours / theirs:.1f} times as fast"
            )
        print(f"predict_chunk         {prediction_ms(data):8.1f} ms for {ROBOTS} robots")


def cache_rate(data: DecodedDataset, batch_size: int, steps: int) -> float:
    """Samples/s of drawing batches, random shift included."""
    sampler = ChunkSampler(data, CHUNK, batch_size, IMAGE_SHIFT, seed=0)
    sampler.batch(0)
    began = time.perf_counter()
    for step in range(steps):
        sampler.batch(step)
    return steps * batch_size / (time.perf_counter() - began)


def training_rate(data: DecodedDataset, batch_size: int, steps: int, threads: int, device: str = "cpu") -> float:
    """Samples/s of whole training steps: batch, forward, backward, clipping, AdamW."""
    torch.set_num_threads(threads)
    learner = CompactLearner.fresh(data, {}, "hash", device)
    rate = trained_rate(learner, ChunkSampler(data, CHUNK, batch_size, IMAGE_SHIFT, seed=0), batch_size, steps, device)
    torch.set_num_threads(1)
    return rate


def trained_rate(learner: Learner, sampler: ChunkSampler, batch_size: int, steps: int, device: str) -> float:
    """Samples/s of `steps` training steps of any VLA, after five that are not counted."""
    parameters = [parameter for parameter in learner.module.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=1e-4, fused=True)
    with gpu_arithmetic():
        for step in range(-5, steps):
            if step == 0:
                began = wall_time(device)
            training_step(learner, sampler.batch(step + 5), parameters, optimizer)
        return steps * batch_size / (wall_time(device) - began)


def wall_time(device: str) -> float:
    """Seconds, once a GPU has done what it was given."""
    if device != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter()


def lerobot_rate(root: Path, out: Path, batch_size: int, steps: int, workers: int) -> float:
    """Samples/s of `lerobot-train` by the seconds in its own log, the first third of the steps left out."""
    command = [
        str(Path(sys.executable).with_name("lerobot-train")),
        "--policy.discover_packages_path=ocrrl.policies.compact_vla",
        "--policy.type=compact_vla",
        "--policy.device=cpu",
        "--policy.push_to_hub=false",
        "--policy.language=hash",
        "--dataset.repo_id=ocrrl/episodes",
        f"--dataset.root={root}",
        f"--output_dir={out}",
        f"--steps={steps}",
        f"--batch_size={batch_size}",
        f"--num_workers={workers}",
        "--log_freq=1",
        "--save_checkpoint=false",
    ]
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | offline)
    logged = re.findall(r"updt_s:([\d.]+) data_s:([\d.]+)", done.stdout + done.stderr)
    if done.returncode or not logged:
        raise RuntimeError(f"lerobot-train must end well, got exit code {done.returncode}:\n{done.stderr[-2000:]}")
    seconds = [float(update) + float(data) for update, data in logged][steps // 3 :]
    return batch_size * len(seconds) / sum(seconds)


def prediction_ms(data: DecodedDataset, calls: int = 20, device: str = "cpu") -> float:
    """Median milliseconds of one batched `predict_chunk`."""
    _, height, width, _ = next(iter(data.images.values())).shape
    network = CompactNetwork(CompactArchitecture(dict.fromkeys(data.images, (height, width))))
    vla = CompactVLA(
        CompactCheckpoint(network, Normalisation.of(data.state, data.action), InstructionEncoder.choose("hash")), device
    )
    images = {camera: frames[:ROBOTS] for camera, frames in data.images.items()}
    times = []
    for _ in range(calls):
        began = time.perf_counter()
        vla.predict_chunk(images, RobotState.at_rest(data.state[:ROBOTS]), data.tasks[0])
        times.append(time.perf_counter() - began)
    return 1e3 * float(np.median(times))


def write_random_dataset(root: Path, episodes: int = 10, length: int = 100, size: int = 64) -> Path:
    """A LeRobotDataset of smooth random motion with the cameras front and wrist, as `ingest` writes it; returns it."""
    generator = np.random.default_rng(0)
    attributes = EpisodeAttributes(CUBE_LIFT.slug, CUBE_LIFT.instruction, "random", "sim", success=True)
    recorded = []
    for number in range(episodes):
        scene = smooth_noise(generator, size + length, size)
        images = np.stack([scene[row : row + size] for row in range(length)])
        pose = np.tile([0.5, 0.0, 0.1, 0.0, 1.0, 0.0, 0.0], (length, 1))
        pose[:, :3] += generator.normal(0.0, 0.05, (length, 3))
        episode = Episode(
            attributes=attributes,
            images={"front": images, "wrist": images},
            gripper_pose=pose,
            commanded_pose=pose,
            joint_positions=np.zeros((length, 7)),
            gripper_width=generator.uniform(0.0, 0.08, length),
            action=generator.uniform(ACTION_LOW, ACTION_HIGH, (length, 7)),
            timestamps=np.arange(length) / CONTROL_HZ,
        )
        recorded.append((f"{number}.hdf5", episode))
    write_lerobot_dataset(recorded, root)
    return root


def smooth_noise(generator: np.random.Generator, height: int, width: int, cell: int = 8) -> np.ndarray:
    """An image (height, width, 3) uint8 of coloured cells: it compresses as a scene does, unlike white noise."""
    cells = generator.integers(0, 256, (-(-height // cell), -(-width // cell), 3)).astype(np.uint8)
    return cells.repeat(cell, axis=0).repeat(cell, axis=1)[:height, :width]


if __name__ == "__main__":
    main()
