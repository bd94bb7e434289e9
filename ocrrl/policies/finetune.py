"""Fine-tunes a VLA on a LeRobotDataset: one loop for every policy type, frames decoded once, exact resume."""

import math
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from ocrrl import files
from ocrrl.config_builder import shown
from ocrrl.datasets.frames.decoded_frames import DecodedDataset, decode_dataset, join_datasets, select_episodes
from ocrrl.interface.actions import ACTION_DIM
from ocrrl.interface.devices import chosen_device, require_device, require_threads
from ocrrl.interface.observations import PROPRIOCEPTION_DIM
from ocrrl.layout import DECODED_FRAMES
from ocrrl.policies.checkpoint import REMOTE
from ocrrl.policies.chunk_batches import ChunkBatch, ChunkSampler
from ocrrl.policies.chunk_delay import measured_delay
from ocrrl.policies.chunked_policy import require_lasts
from ocrrl.policies.compact_checkpoint import POLICY_TYPE
from ocrrl.policies.compact_learner import CompactLearner, compact_sizes
from ocrrl.policies.language import LANGUAGES
from ocrrl.policies.latency_file import NAME as LATENCY
from ocrrl.policies.latency_file import read_latency
from ocrrl.policies.training_state import load_state, require_converging, save_state

REAL_EPISODES = ("replayed", "all")
_GRADIENT_NORM = 10.0  # LeRobot's own limit for its policies
_WARM_UP = 0.1  # of all steps


@dataclass(frozen=True)
class FinetuneConfig:
    """Behaviour cloning of a VLA."""

    policy: Mapping[str, Any] = field(
        default_factory=lambda: {"type": POLICY_TYPE, "channels": 32, "n_action_steps": 8}
    )
    """`type`, any LeRobot policy type, and fields of that policy's configuration.

    `allow_remote_code: true` lets the folders that such a policy is opened from run Python code of their own (off; LeRobot's
    pi0_fast, groot, gaussian_actor and wall_x need it).
    """
    steps: int = 2400
    batch_size: int = 64
    learning_rate: float = 1e-3
    """Highest of the one-cycle schedule; 1e-4 or less for pretrained VLAs."""
    weight_decay: float = 1e-4
    image_shift: int = 4
    """Random shift of the images, up to so many pixels each way."""
    language: str = "auto"
    """Instruction encoder of the default VLA: auto, sentence or hash."""
    real_episodes: str = "replayed"
    """Demonstrations of the real VLA: `replayed`, those that replay kept, so that the pair stays paired, or `all`."""
    seed: int = 0
    checkpoint_every: int = 200
    device: str = "auto"
    threads: int = 1

    def __post_init__(self):
        if not isinstance(self.policy, Mapping) or not isinstance(self.policy.get("type"), str):
            raise ValueError(f"policy must be a mapping with a type, which is text, got {shown(self.policy)}")
        if not isinstance(self.policy.get("allow_remote_code", False), bool):
            got = shown(self.policy["allow_remote_code"])
            raise ValueError(f"policy.allow_remote_code must be true or false, got {got}")
        if self.policy["type"] == REMOTE:
            from ocrrl.policies.remote.remote_config import remote_config

            remote_config(self.policy)
        if self.policy["type"] == POLICY_TYPE:
            object.__setattr__(self, "policy", {**self.policy, **compact_sizes(self.policy)})
        for name in ("steps", "batch_size", "checkpoint_every"):
            if not getattr(self, name) >= 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not 0.0 < self.learning_rate <= 1.0:
            raise ValueError(f"learning_rate must be in (0, 1], got {self.learning_rate}")
        for name in ("weight_decay", "image_shift", "seed"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name)}")
        if self.real_episodes not in REAL_EPISODES:
            raise ValueError(f"real_episodes must be one of {', '.join(REAL_EPISODES)}, got {self.real_episodes!r}")
        require_device(self.device)
        require_threads(self.threads)
        if self.language not in LANGUAGES:
            raise ValueError(f"language must be one of {', '.join(LANGUAGES)}, got {self.language!r}")


class Learner(Protocol):
    """A policy being trained: the loop knows no more of it than this."""

    @property
    def module(self) -> nn.Module: ...

    @property
    def chunk_size(self) -> int: ...

    def loss(self, batch: ChunkBatch) -> Tensor: ...

    def save(self, folder: Path) -> None: ...


@dataclass(frozen=True)
class TrainingData:
    """A LeRobotDataset, and which of its episodes are trained on: by their names in the sidecar, or None for all."""

    root: Path
    episodes: list[str] | None = None

    def decode(self) -> DecodedDataset:
        """The episodes, frames on disk at the dataset's own size: random shifts and a policy's own resizing come after."""
        data = decode_dataset(self.root, cache=DECODED_FRAMES)
        if self.episodes is not None:
            data = select_episodes(data, self.root, self.episodes)
        _check(data, self.root)
        return data


def finetune(
    training_data: Sequence[TrainingData],
    out: Path,
    work: Path,
    config: FinetuneConfig,
    init_from: Path | None = None,
    progress: bool = True,
    latency: Path | None = None,
    vla: str = "real",
) -> None:
    """Train a VLA on `training_data`, one dataset or several, publish its `pretrained_model/` folder at `out`.

    All frames are equally likely, whichever dataset they are from. `init_from` continues from a checkpoint (weights,
    statistics) in place of a fresh policy. `work`, on the file system of `out`, holds the state of an unfinished run; a
    run with the same inputs goes on from it to the same bytes. `latency`, a file of `ocrrl measure-latency`, goes with the VLA.
    A policy of type remote is not trained: its server, the one for the VLA that the pipeline calls `vla`, is asked what it serves.
    Raises ValueError for a dataset whose state or action is not this robot's, for datasets whose images differ, and for a
    latency of another kind of VLA.
    """
    if config.policy["type"] == REMOTE:
        from ocrrl.policies.remote.publish import publish_remote

        publish_remote(config.policy, vla, [part.root for part in training_data], out, work, latency)
        return
    if init_from is None:
        _require_policy(config)
    data = join_datasets([part.decode() for part in training_data])
    threads = torch.get_num_threads()
    torch.set_num_threads(config.threads)
    try:
        with torch.random.fork_rng(enabled=True), gpu_arithmetic():
            torch.manual_seed(config.seed)
            learner = _learner(training_data[0].root, data, config, init_from)
            if latency is not None:
                images = {camera: list(frames.shape[1:3]) for camera, frames in data.images.items()}
                kind = {"type": config.policy["type"], "chunk_size": learner.chunk_size, "images": images}
                late = measured_delay(read_latency(latency, kind)).largest
                require_lasts(learner.chunk_size, config.policy.get("n_action_steps", learner.chunk_size), late)
            losses = _train(learner, data, work, config, _run_name(data, config, init_from), progress)
    finally:
        torch.set_num_threads(threads)

    finished = work / "pretrained_model"
    shutil.rmtree(finished, ignore_errors=True)
    learner.save(finished)
    files.write_json(finished / "training.json", _training_record(config, data, _names(training_data), losses))
    if latency is not None:
        shutil.copyfile(latency, finished / LATENCY)
    files.publish(finished, out)
    shutil.rmtree(work, ignore_errors=True)


@contextmanager
def gpu_arithmetic() -> Iterator[None]:
    """On a GPU, products in TF32 as `lerobot-train` has them, by kernels that give the same bytes twice."""
    allowed = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = True
    try:
        with torch.backends.cudnn.flags(enabled=True, deterministic=True):
            yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = allowed


def one_cycle(step: int, steps: int) -> float:
    """Learning rate of step `step` of `steps` over the highest: cosine up in the first tenth, cosine down to 0."""
    warm_up = max(1, round(_WARM_UP * steps))
    if step < warm_up:
        return 0.5 - 0.5 * math.cos(math.pi * (step + 1) / (warm_up + 1))
    return 0.5 + 0.5 * math.cos(math.pi * (step - warm_up) / (steps - warm_up))


def training_step(
    learner: Learner, batch: ChunkBatch, parameters: Sequence[nn.Parameter], optimizer: torch.optim.Optimizer
) -> Tensor:
    """One step down the loss on `batch`; the loss, left on the device, since its number would have to be waited for."""
    loss = learner.loss(batch)
    loss.backward()
    nn.utils.clip_grad_norm_(parameters, _GRADIENT_NORM)
    optimizer.step()
    optimizer.zero_grad()
    return loss.detach()


def _train(
    learner: Learner, data: DecodedDataset, work: Path, config: FinetuneConfig, run: str, progress: bool
) -> list[float]:
    sampler = ChunkSampler(data, learner.chunk_size, config.batch_size, config.image_shift, config.seed)
    parameters = [parameter for parameter in learner.module.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=config.learning_rate, weight_decay=config.weight_decay, fused=True)
    state = work / "state.safetensors"
    remedy = f"lower learning_rate (now {config.learning_rate:g}) or weight_decay (now {config.weight_decay:g})"
    losses: list[float | Tensor] = list(load_state(state, run, learner.module, optimizer))
    for step in tqdm(
        range(len(losses), config.steps),
        "finetune",
        config.steps,
        initial=len(losses),
        disable=not progress,
        unit="step",
    ):
        torch.manual_seed(_step_seed(config.seed, step))
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * one_cycle(step, config.steps)
        losses.append(training_step(learner, sampler.batch(step), parameters, optimizer))
        if len(losses) % config.checkpoint_every == 0 and len(losses) < config.steps:
            require_converging(learner.module, [float(loss) for loss in losses], remedy)
            save_state(state, run, learner.module, optimizer, [float(loss) for loss in losses])
    numbers = [float(loss) for loss in losses]
    require_converging(learner.module, numbers, remedy)
    return numbers


def _learner(root: Path, data: DecodedDataset, config: FinetuneConfig, init_from: Path | None) -> Learner:
    device = chosen_device(config.device)
    if config.policy["type"] == POLICY_TYPE:
        if init_from is not None:
            return CompactLearner.continued(data, init_from, device)
        return CompactLearner.fresh(data, config.policy, config.language, device)
    from ocrrl.policies.lerobot_learner import LeRobotLearner

    return LeRobotLearner(root, data, config.policy, init_from, device)


def _require_policy(config: FinetuneConfig) -> None:
    """ValueError for a field of the policy that its type does not have: said before the frames are decoded."""
    if config.policy["type"] != POLICY_TYPE:
        from ocrrl.policies.lerobot_learner import require_fields

        require_fields(config.policy)


def _check(data: DecodedDataset, root: Path) -> None:
    for name, width, needed in (
        ("observation.state", data.state.shape[1], PROPRIOCEPTION_DIM),
        ("action", data.action.shape[1], ACTION_DIM),
    ):
        if width != needed:
            raise ValueError(f"{root}: {name} must have {needed} numbers a frame, got {width}")
    if not len(data.action):
        raise ValueError(f"{root} must hold at least one frame, got none")


def _names(training_data: Sequence[TrainingData]) -> list[str] | None:
    """The episodes chosen by name; None where every dataset is taken whole."""
    chosen = [name for part in training_data for name in part.episodes or ()]
    return chosen if any(part.episodes is not None for part in training_data) else None


def _step_seed(seed: int, step: int) -> int:
    return int(np.random.SeedSequence([seed, step]).generate_state(1)[0])


def _run_name(data: DecodedDataset, config: FinetuneConfig, init_from: Path | None) -> str:
    """Fingerprint of a run's inputs; images are left out, as they follow from the rows they belong to."""
    rows = (data.state.tobytes(), data.action.tobytes(), data.episode_index.tobytes(), data.tasks)
    return files.fingerprint(config, *rows, *([init_from] if init_from else []))


def _training_record(
    config: FinetuneConfig, data: DecodedDataset, episodes: list[str] | None, losses: list[float]
) -> dict[str, Any]:
    """What was trained on and how the loss fell, averaged over hundredths of the run; no timings, no paths."""
    every = max(1, config.steps // 100)
    return {
        "policy": dict(config.policy),
        "steps": config.steps,
        "batch_size": config.batch_size,
        "learning_rate": config.learning_rate,
        "seed": config.seed,
        "episodes": len(data.tasks),
        "episode_names": episodes,
        "frames": len(data.action),
        "instructions": sorted(set(data.tasks)),
        "loss": [
            {"step": start + len(losses[start : start + every]), "loss": float(np.mean(losses[start : start + every]))}
            for start in range(0, len(losses), every)
        ],
    }
