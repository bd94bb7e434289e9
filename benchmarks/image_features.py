"""How exactly the encoder of a residual of images can be taught where an object is, by regression, on looks that it has not seen.

    python -m benchmarks.image_features --task cube_lift

An upper bound on what a critic's gradient can teach it in as many updates. Frames are those of decisions of the base policy with
exploration noise, in the realistic look, drawn anew for each episode or for each decision.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import get_args

import numpy as np
import torch
from torch import nn

from benchmarks.observation_spaces import base_policy
from ocrrl.interface.actions import compose
from ocrrl.interface.residual_observations import robot_observation
from ocrrl.interface.seeds import RANGES
from ocrrl.params import Params
from ocrrl.report.table import Table, markdown_table
from ocrrl.residual.decisions import exploration_noise
from ocrrl.residual.images.encoder import Encoder
from ocrrl.residual.images.frames import shifted
from ocrrl.residual.residual_config import ImageConfig, ResidualConfig
from ocrrl.tabletop.registry import slugs
from ocrrl.worlds import make_simulator

LOOK_EVERY: tuple[str, ...] = get_args(ImageConfig.__dataclass_fields__["look_every"].type)
NEAR = 0.08  # [m]
_UNIT = 0.05  # [m] of the regression's targets


@dataclass(frozen=True)
class Frames:
    """n frames (n, C, H, W, 3), the robot's observation (n, P), and where the first object is from the gripper (n, 3) [m]."""

    images: np.ndarray
    robot: np.ndarray
    offset: np.ndarray


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", choices=slugs(), default="cube_lift")
    parser.add_argument("--frames", type=int, default=6000)
    parser.add_argument("--updates", type=int, default=1500)
    options = parser.parse_args()
    torch.set_num_threads(1)
    config = Params.read().config("train_residual", options.task)
    unseen = collected(options.task, config, "episode", options.frames // 4, seed=1)
    rows = []
    for look_every in LOOK_EVERY:
        frames = collected(options.task, config, look_every, options.frames, seed=0)
        for updates, error, near, cpu_s in fitted(frames, unseen, config.images, options.updates):
            centimetres = (" ".join(f"{100 * x:.2f}" for x in errors) for errors in (error, near))
            rows.append((look_every, f"{updates:,}", *centimetres, f"{cpu_s:.0f}"))
    columns = ("a look for each", "updates", "median error x y z [cm]", f"within {100 * NEAR:.0f} cm", "CPU-s")
    print(markdown_table(Table(columns, rows)))


def collected(slug: str, config: ResidualConfig, look_every: str, count: int, seed: int) -> Frames:
    """At least `count` frames; episodes of `seed` begin at states of their own."""
    n, random, cameras = config.num_envs, np.random.default_rng(seed), ("front", "wrist")
    world, base = make_simulator(slug, n, look="realistic"), base_policy(slug, "sim", n)
    sizes = dict.fromkeys(cameras, (config.images.size, config.images.size))
    ids, steps, noise = np.arange(n), np.zeros(n, int), np.zeros((n, 7), np.float32)
    kept: list[tuple[np.ndarray, ...]] = []

    def begin(ended: np.ndarray) -> None:
        drawn = random.integers(RANGES["train"].start, RANGES["train"].stop, len(ended))
        world.reset(ended, drawn.tolist())
        base.reset(ended, drawn.tolist())
        steps[ended] = 0

    begin(ids)
    for step in range(-(-count // n) * config.action_repeat):
        seen = world.observe()
        action = base.act(seen, ids, world.capture).astype(np.float32)
        if step % config.action_repeat == 0:
            if look_every == "decision":
                world.redress(ids, random.integers(2**31, size=n))
            images = world.capture_at(ids, sizes)
            offset = seen.object_poses[:, 0, :3] - seen.gripper_pose[:, :3]
            kept.append((np.stack([images[c] for c in cameras], 1), robot_observation(seen, action), offset))
            noise = 3.0 * exploration_noise(config, ids, random)
        result = world.step(compose(action, noise), ids)
        steps += 1
        if len(ended := np.flatnonzero(result.success | (steps >= world.tabletop_task.horizon))):
            begin(ended)
    world.close()
    return Frames(*(np.concatenate(column) for column in zip(*kept, strict=True)))


def fitted(
    frames: Frames, unseen: Frames, images: ImageConfig, updates: int, learning_rate: float = 1e-3
) -> Iterator[tuple[int, np.ndarray, np.ndarray, float]]:
    """After each third of `updates`: how many, median errors (3,) [m] on `unseen`, those near the gripper, and CPU time [s]."""
    torch.manual_seed(0)
    random, start = np.random.default_rng(0), time.process_time()
    encoder = Encoder(frames.images.shape[1], images.size, images.channels, images.features)
    head = nn.Sequential(_layer(images.features + frames.robot.shape[1]), _layer(128), nn.Linear(128, 3))
    adam = torch.optim.Adam([*encoder.parameters(), *head.parameters()], lr=learning_rate, fused=True)
    for update in range(1, updates + 1):
        rows = random.integers(len(frames.images), size=images.batch_size)
        offsets = random.integers(0, 2 * images.shift + 1, (len(rows), 2))
        moved = torch.from_numpy(shifted(frames.images[rows], images.shift, offsets))
        guess = head(torch.cat([encoder(moved), torch.from_numpy(frames.robot[rows])], dim=1))
        target = torch.from_numpy((frames.offset[rows] / _UNIT).astype(np.float32))
        adam.zero_grad()
        nn.functional.smooth_l1_loss(guess, target, beta=0.1).backward()
        adam.step()
        if update % max(updates // 3, 1) == 0:
            error = np.abs(_guessed(encoder, head, unseen) - unseen.offset)
            near = np.linalg.norm(unseen.offset, axis=1) < NEAR
            yield update, np.median(error, 0), np.median(error[near], 0), time.process_time() - start


def _layer(inputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, 128), nn.LayerNorm(128), nn.ReLU())


@torch.no_grad()
def _guessed(encoder: Encoder, head: Callable[[torch.Tensor], torch.Tensor], frames: Frames) -> np.ndarray:
    guesses = []
    for first in range(0, len(frames.images), 256):
        part = slice(first, first + 256)
        features = encoder(torch.from_numpy(frames.images[part]))
        guesses.append(head(torch.cat([features, torch.from_numpy(frames.robot[part])], dim=1)).numpy() * _UNIT)
    return np.concatenate(guesses)


if __name__ == "__main__":
    main()
