"""One TD3 update beside Stable-Baselines3's: equal sizes, batch, device and threads, interleaved in one run.

`python -m benchmarks.td3_update` prints the medians: CPU time, on a GPU (`--device cuda`) wall time. Ours carries LayerNorm and
the composition of actions, which Stable-Baselines3's lacks; it is also timed without LayerNorm, and on a GPU without its
recording (`residual/cuda_graph_update.py`). Sampling the batch is part of all.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import gymnasium
import numpy as np
import torch
from stable_baselines3 import TD3 as StableBaselinesTD3
from stable_baselines3.common.logger import configure

from ocrrl.residual.replay_buffer import BatchMemory, ReplayBuffer, sample_mixed
from ocrrl.residual.residual_config import ResidualConfig
from ocrrl.residual.td3 import TD3, keep_freed_memory
from ocrrl.residual.transitions import TransitionRow

OBSERVATION_DIM = 34  # one tracked object
STORED = 20_000
SIZES = {"default 128/128": (128, 128), "256/256": (256, 256), "paper 512/1024": (512, 1024)}


def our_update(
    actor_hidden: int, critic_hidden: int, layer_norm: bool, device: str, recorded: bool = True
) -> Callable[[], None]:
    """A function that samples a batch of 256 from two buffers of random transitions and updates our TD3 on it."""
    config = ResidualConfig(
        actor_hidden=actor_hidden, critic_hidden=critic_hidden, layer_norm=layer_norm, critic_warmup=0, device=device
    )
    layout, generator = TransitionRow(OBSERVATION_DIM), np.random.default_rng(0)
    online, offline = ReplayBuffer(STORED, layout.width), ReplayBuffer(STORED, layout.width)
    for buffer in (online, offline):
        rows = generator.standard_normal((STORED, layout.width)).astype(np.float32)
        layout.base_action(rows)[:] *= 0.01
        layout.next_base_action(rows)[:] *= 0.01
        layout.reward(rows)[:] = generator.random((STORED, 1))
        layout.discount(rows)[:] = config.gamma**3
        buffer.add(rows)
    td3 = TD3(OBSERVATION_DIM, config, seed=0)
    memory = BatchMemory(config.batch_size, layout.width, td3.device)
    if not recorded:
        td3._run = lambda batch, parts: td3._update(batch.to(td3.device, non_blocking=True), parts)

    def update() -> None:
        with memory.batch() as batch:
            sample_mixed(online, offline, batch.numpy(), config.batch_size // 2, generator)
            td3.update(batch, config.batch_size // 2)

    return update


def stable_baselines_update(actor_hidden: int, critic_hidden: int, device: str) -> Callable[[], None]:
    """A function that makes Stable-Baselines3's TD3 sample a batch of 256 of random transitions and update on it."""
    box = gymnasium.spaces.Box(-1.0, 1.0, (OBSERVATION_DIM,), np.float32)

    class Silent(gymnasium.Env):
        observation_space = box
        action_space = gymnasium.spaces.Box(-1.0, 1.0, (7,), np.float32)

    model = StableBaselinesTD3(
        "MlpPolicy",
        Silent(),
        batch_size=256,
        buffer_size=STORED,
        device=device,
        policy_kwargs={"net_arch": {"pi": [actor_hidden] * 2, "qf": [critic_hidden] * 2}},
        seed=0,
    )
    generator, buffer = np.random.default_rng(0), model.replay_buffer
    assert buffer is not None
    for _ in range(STORED):
        observation, following = generator.standard_normal((2, 1, OBSERVATION_DIM)).astype(np.float32)
        action, reward = generator.uniform(-1.0, 1.0, (1, 7)), generator.random(1)
        buffer.add(observation, following, action, reward, np.zeros(1), [{}])
    model.set_logger(configure(None, []))
    return lambda: model.train(gradient_steps=1, batch_size=256)


def interleaved_medians(updates: dict[str, Callable[[], None]], rounds: int, device: str) -> dict[str, float]:
    """Median milliseconds an update, taken in turn; every second one updates the actor too.

    On the CPU a round is two updates, in CPU time. On a GPU it is a hundred, in wall time with what is still under way.
    """
    on_gpu = device != "cpu"
    clock, count = (time.perf_counter, 100) if on_gpu else (time.process_time, 2)
    times: dict[str, list[float]] = {name: [] for name in updates}
    for round_ in range(rounds + 5):
        for name, update in updates.items():
            start = clock()
            for _ in range(count):
                update()
            if on_gpu:
                torch.cuda.synchronize()
            if round_ >= 5:
                times[name].append(1e3 / count * (clock() - start))
    return {name: statistics.median(values) for name, values in times.items()}


def measure(rounds: int = 60, threads: int = 1, device: str = "cpu") -> dict[str, dict[str, float]]:
    """Milliseconds an update, by network size and implementation."""
    torch.set_num_threads(threads)
    keep_freed_memory()
    results = {}
    for name, sizes in SIZES.items():
        updates = {
            "ours": our_update(*sizes, True, device),
            "ours without LayerNorm": our_update(*sizes, False, device),
            **({} if device == "cpu" else {"ours, not recorded": our_update(*sizes, True, device, recorded=False)}),
            "Stable-Baselines3": stable_baselines_update(*sizes, device),
        }
        results[name] = interleaved_medians(updates, rounds if sizes[1] < 1024 else max(rounds // 4, 5), device)
    return results


def show(rounds: int = 60, threads: int = 1, device: str = "cpu") -> None:
    """Print what `measure` gives."""
    print(
        f"one TD3 update, batch 256, {threads} thread(s), {device}, medians [{'CPU' if device == 'cpu' else 'wall'} ms]"
    )
    for size, row in measure(rounds, threads, device).items():
        print(f"{size:16s} " + " · ".join(f"{name} {value:.2f}" for name, value in row.items()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    show(arguments.rounds, arguments.threads, arguments.device)


if __name__ == "__main__":
    main()
