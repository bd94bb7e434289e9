"""Peak memory of fine-tuning on large images: `python -m benchmarks.finetune_memory`.

Makes a dataset of 50 episodes of 15 s from two cameras of 480 x 640, trains the default VLA on it twice in processes of their
own (frames decoded to disk, then read from there), and prints each one's peak resident memory, its time, and the disk that the
decoded frames take. Exit code 1 if a training took more than `--limit-gb`. The dataset and the frames take 28 GB of disk for
as long as it runs.
"""

import argparse
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from benchmarks.finetune import smooth_noise
from ocrrl.datasets.lerobot_writer import write_lerobot_dataset
from ocrrl.interface.actions import ACTION_HIGH, ACTION_LOW, CONTROL_HZ
from ocrrl.interface.episode import Episode, EpisodeAttributes
from ocrrl.tabletop.cube_lift import TASK as CUBE_LIFT

LIMIT_GB = 4.0
CAMERAS = ("front", "wrist")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=15.0, help="of each episode, at 20 frames a second")
    parser.add_argument("--height", type=int, default=480)
    parser.add_argument("--width", type=int, default=640)
    parser.add_argument("--steps", type=int, default=5, help="of training")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--limit-gb", type=float, default=LIMIT_GB)
    options = parser.parse_args()
    length = round(options.seconds * CONTROL_HZ)
    peaks = []
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        _, seconds = in_a_child(write_dataset, options.episodes, length, options.height, options.width)
        frames = options.episodes * length * len(CAMERAS)
        print(f"{frames} frames of {options.height} x {options.width}, written in {seconds:.0f} s", flush=True)
        for what in ("frames decoded to disk", "frames on disk read again"):
            peak, seconds = in_a_child(train, options.steps, options.batch_size)
            peaks.append(peak)
            steps = f"{options.steps} steps of {options.batch_size}"
            print(f"{what}, {steps}: peak memory {peak:.2f} GB, {seconds:.0f} s", flush=True)
        disk = sum(path.stat().st_size for path in Path(".work").rglob("*") if path.is_file())
        print(f"decoded frames on disk: {disk / 1e9:.1f} GB")
        os.chdir("/")
    return int(max(peaks) > options.limit_gb)


def in_a_child(work: Callable[..., None], *arguments: object) -> tuple[float, float]:
    """Call `work` in a process of its own: its peak resident memory [GB] and its time [s]."""
    began = time.perf_counter()
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        peak = pool.submit(_peak_of, work, *arguments).result()
    return peak, time.perf_counter() - began


def _peak_of(work: Callable[..., None], *arguments: object) -> float:
    work(*arguments)
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e9


def train(steps: int, batch_size: int) -> None:
    """A few steps of the default VLA, as `ocrrl finetune` does them."""
    import torch

    from ocrrl.policies.finetune import FinetuneConfig, finetune
    from ocrrl.policies.training_data import TrainingData

    torch.set_num_threads(1)
    config = FinetuneConfig(steps=steps, batch_size=batch_size, language="hash", device="cpu")
    finetune([TrainingData(Path("dataset"))], Path("vla"), Path(".work/finetune"), config, progress=False)


def write_dataset(episodes: int, length: int, height: int, width: int) -> None:
    """Smooth random images that move, one episode after the other, as `ingest` writes them."""
    write_lerobot_dataset(random_episodes(episodes, length, height, width), Path("dataset"))


def random_episodes(episodes: int, length: int, height: int, width: int) -> Iterator[tuple[str, Episode]]:
    generator = np.random.default_rng(0)
    attributes = EpisodeAttributes(CUBE_LIFT.slug, CUBE_LIFT.instruction, "random", "sim", success=True)
    for number in range(episodes):
        scene = smooth_noise(generator, height + length, width, cell=32)
        images = np.lib.stride_tricks.sliding_window_view(scene, height, axis=0).transpose(0, 3, 1, 2)[:length]
        pose = np.tile([0.5, 0.0, 0.1, 0.0, 1.0, 0.0, 0.0], (length, 1))
        pose[:, :3] += generator.normal(0.0, 0.05, (length, 3))
        episode = Episode(
            attributes=attributes,
            images=dict.fromkeys(CAMERAS, images),
            gripper_pose=pose,
            commanded_pose=pose,
            joint_positions=np.zeros((length, 7)),
            gripper_width=generator.uniform(0.0, 0.08, length),
            action=generator.uniform(ACTION_LOW, ACTION_HIGH, (length, 7)),
            timestamps=np.arange(length) / CONTROL_HZ,
        )
        yield f"{number}.hdf5", episode


if __name__ == "__main__":
    sys.exit(main())
