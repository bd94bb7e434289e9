"""What torch's device is worth: TD3 updates, the actor, and the default VLA's training, on the CPU and on a GPU if one is here.

`python -m benchmarks.devices` prints a Markdown table, every figure measured in this run by wall time, the CPU with one thread.
"""

import argparse
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from benchmarks.finetune import prediction_ms, training_rate, wall_time, write_random_dataset
from benchmarks.td3_update import OBSERVATION_DIM, SIZES, our_update
from ocrrl.datasets.frames.decoded_frames import DecodedDataset, decode_dataset
from ocrrl.report.table import Table, markdown_table
from ocrrl.residual.residual_config import ResidualConfig, in_action_units
from ocrrl.residual.residual_policy import ResidualPolicy
from ocrrl.residual.td3 import TD3, keep_freed_memory

BATCHES = (64, 512)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--updates", type=int, default=300, help="timed TD3 updates of each size")
    parser.add_argument("--steps", type=int, default=60, help="timed training steps of the VLA at each batch size")
    options = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    with tempfile.TemporaryDirectory() as folder:
        data = decode_dataset(write_random_dataset(Path(folder) / "dataset"))
    columns = [dict(figures(device, data, options.updates, options.steps)) for device in devices]
    print(f"{platform.processor() or platform.machine()}, torch {torch.__version__}")
    if len(devices) == 1:
        print("no GPU is at hand: nothing of it was measured")
    else:
        print(torch.cuda.get_device_name())
    names = list(columns[-1])
    rows = [(name, *(_three_digits(column[name]) if name in column else "" for column in columns)) for name in names]
    print(markdown_table(Table(("", *devices), rows, text_columns=1)))


def figures(device: str, data: DecodedDataset, updates: int, steps: int) -> list[tuple[str, float]]:
    """What is measured on `device`, each with its name and unit."""
    found = []
    for size, hidden in SIZES.items():
        found.append((f"TD3 updates/s, {size}", rate(our_update(*hidden, True, device), updates, device)))
        if device != "cpu":
            plain = our_update(*hidden, True, device, recorded=False)
            found.append((f"TD3 updates/s, {size}, no CUDA graph", rate(plain, updates, device)))
    for size, hidden in SIZES.items():
        found.append((f"actor forward of one observation, {size} [ms]", actor_ms(hidden, device)))
    for batch in BATCHES:
        found.append((f"VLA training samples/s, batch {batch}", training_rate(data, batch, steps, 1, device)))
    found.append(("VLA chunk for 16 robots [ms]", prediction_ms(data, 50, device)))
    return found


def _three_digits(value: float) -> str:
    return f"{float(f'{value:.3g}'):,g}"


def rate(update: Callable[[], None], count: int, device: str) -> float:
    """Calls of `update` a second, the first ten not counted."""
    for number in range(count + 10):
        if number == 10:
            began = wall_time(device)
        update()
    return count / (wall_time(device) - began)


def actor_ms(hidden: tuple[int, int], device: str) -> float:
    """Median of the residual for one observation: on the CPU the deployed policy, on a GPU the learner's, transfers included."""
    config = ResidualConfig(actor_hidden=hidden[0], critic_hidden=16, device=device)
    learner = TD3(OBSERVATION_DIM, config, seed=0)
    deployed = ResidualPolicy(learner.actor_weights(), in_action_units(config.residual_scale), config.layer_norm)
    forward = deployed.residual if device == "cpu" else learner.residual
    observation, times = np.zeros((1, OBSERVATION_DIM), np.float32), []
    for _ in range(500):
        began = time.perf_counter()
        forward(observation)
        times.append(1e3 * (time.perf_counter() - began))
    return statistics.median(times)


if __name__ == "__main__":
    main()
