"""SmolVLA of the released size on a GPU: `python -m benchmarks.smolvla [--batch-size 64]`.

Prints its parameters, the samples/s of training as `finetune` does it, the memory it takes, and the time of a chunk. The weights
are random, so this says what training costs and nothing of what it learns. `--tiny` tries the same on any machine.
"""

import argparse
import statistics
import tempfile
from pathlib import Path

import numpy as np
import torch

from benchmarks.finetune import CHUNK, IMAGE_SHIFT, trained_rate, wall_time, write_random_dataset
from ocrrl.datasets.frames.decoded_frames import decode_dataset
from ocrrl.interface.devices import chosen_device
from ocrrl.interface.observations import RobotState
from ocrrl.policies.checkpoint import load_vla
from ocrrl.policies.chunk_batches import ChunkSampler
from ocrrl.policies.lerobot_learner import LeRobotLearner
from tests.policies.random_smolvla import RELEASED, TINY, random_smolvla

WARM_UP = 3  # chunks that are not counted


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--steps", type=int, default=20, help="timed training steps")
    parser.add_argument("--image", type=int, default=256, help="height and width of the dataset's images")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--tiny", action="store_true", help="a few thousand parameters")
    options = parser.parse_args()
    device = chosen_device(options.device)
    with tempfile.TemporaryDirectory() as folder:
        root = write_random_dataset(Path(folder) / "dataset", episodes=2, size=options.image)
        policy = random_smolvla(TINY if options.tiny else RELEASED, Path(folder) / "backbone")
        measure(root, policy, device, options.batch_size, options.steps)


def measure(root: Path, policy: dict, device: str, batch_size: int, steps: int) -> None:
    """Train a fresh SmolVLA for `steps`, save it, load it and let it act; print what that took."""
    data = decode_dataset(root)
    learner = LeRobotLearner(root, data, policy, None, device)
    sampler = ChunkSampler(data, CHUNK, batch_size, IMAGE_SHIFT, seed=0)
    parameters = list(learner.module.parameters())
    counts = [sum(p.numel() for p in parameters if p.requires_grad or frozen) / 1e6 for frozen in (True, False)]
    where = torch.cuda.get_device_name() if device != "cpu" else "CPU"
    print(f"SmolVLA, {counts[0]:.3g} M parameters, {counts[1]:.3g} M of them trained, on {where}")
    rate = trained_rate(learner, sampler, batch_size, steps, device)
    print(f"training, batch {batch_size}: {rate:.1f} samples/s")
    if device != "cpu":
        print(f"memory: {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB")
    learner.save(root.parent / "vla")
    vla, times = load_vla(root.parent / "vla", device), []
    images = {camera: frames[:1] for camera, frames in data.images.items()}
    for _ in range(8):
        began = wall_time(device)
        chunk = vla.predict_chunk(images, RobotState.at_rest(data.state[:1]), data.tasks[0])
        times.append(1e3 * (wall_time(device) - began))
    assert np.isfinite(chunk).all()
    print(f"one chunk of {CHUNK} actions for one robot: {statistics.median(times[WARM_UP:]):.0f} ms")


if __name__ == "__main__":
    main()
