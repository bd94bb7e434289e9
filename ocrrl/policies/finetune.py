"""Fine-tunes a VLA on a LeRobotDataset: one loop for every policy type, frames decoded once, exact resume."""

import math
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from ocrrl import files
from ocrrl.datasets.frames.decoded_frames import (
    DecodedDataset,
    join_datasets,
)
from ocrrl.interface.devices import chosen_device
from ocrrl.loggers.run_logger import Curve, curve
from ocrrl.policies.chunk_batches import ChunkBatch, ChunkSampler
from ocrrl.policies.chunk_delay import measured_delay
from ocrrl.policies.chunked_policy import require_lasts
from ocrrl.policies.compact_learner import CompactLearner
from ocrrl.policies.finetune_config import FinetuneConfig
from ocrrl.policies.latency_file import NAME as LATENCY
from ocrrl.policies.latency_file import policy_kind, read_latency
from ocrrl.policies.policy_type import COMPACT, REMOTE
from ocrrl.policies.training_data import TrainingData
from ocrrl.policies.training_state import load_state, require_converging, save_state

_GRADIENT_NORM = 10.0  # LeRobot's own limit for its policies
_WARM_UP = 0.1  # of all steps


class Learner(Protocol):
    """A policy being trained: the loop knows no more of it than this."""

    @property
    def module(self) -> nn.Module: ...

    @property
    def chunk_size(self) -> int: ...

    def loss(self, batch: ChunkBatch) -> Tensor: ...

    def save(self, folder: Path) -> None: ...


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

    All frames are equally likely, whichever dataset they are from, but for episodes that somebody stepped into
    (`datasets.sidecar.frame_weights`). `init_from` continues from a checkpoint (weights,
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
    finished = work / "pretrained_model"
    shutil.rmtree(finished, ignore_errors=True)
    by = _by_lerobot_train if config.trainer == "lerobot" else _by_our_loop
    data, losses = by(training_data, finished, work, config, init_from, progress, latency, curve(f"training/{vla}"))
    record = _training_record(config, data, _names(training_data), losses)
    if stepped_in := [entry for part in training_data for entry in part.interventions()]:
        record["interventions"] = stepped_in
    files.write_json(finished / "training.json", record)
    if latency is not None:
        shutil.copyfile(latency, finished / LATENCY)
    files.publish(finished, out)
    shutil.rmtree(work, ignore_errors=True)


def _by_our_loop(
    training_data: Sequence[TrainingData],
    finished: Path,
    work: Path,
    config: FinetuneConfig,
    init_from: Path | None,
    progress: bool,
    latency: Path | None,
    log: Curve | None,
) -> tuple[DecodedDataset, list[dict[str, float]]]:
    """Train here, write the policy to `finished`; what was trained on, and the loss."""
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
                _require_in_time(latency, kind, config)
            losses = _train(learner, data, work, config, _run_name(data, config, init_from), progress, log)
    finally:
        torch.set_num_threads(threads)
    learner.save(finished)
    return data, _curve(losses, config.steps)


def _by_lerobot_train(
    training_data: Sequence[TrainingData],
    finished: Path,
    work: Path,
    config: FinetuneConfig,
    init_from: Path | None,
    progress: bool,
    latency: Path | None,
    log: Curve | None,
) -> tuple[DecodedDataset, list[dict[str, float]]]:
    """The same by `lerobot-train` in a process of its own."""
    data = join_datasets([part.numbers() for part in training_data])
    if data.weight is not None:
        raise ValueError(
            "trainer must be ocrrl for a training set with interventions, recoveries or labels, whose frames have weights of their "
            "own, got lerobot; leave out these episodes, or train a policy that the loop of ocrrl can train"
        )
    from ocrrl.policies.lerobot_training.train import LerobotRun

    run = LerobotRun(config, work / f"lerobot-{_run_name(data, config, init_from)}")
    run.prepare([(part.root, part.episodes) for part in training_data], data, init_from)
    if latency is not None:
        _require_in_time(latency, policy_kind(run.start), config)
    losses = run.train(progress)
    run.publish(finished)
    return data, losses


def _require_in_time(latency: Path, kind: Mapping[str, Any], config: FinetuneConfig) -> None:
    """ValueError for a latency of another kind of VLA, or one so long that chunks of this one would not last."""
    late = measured_delay(read_latency(latency, kind)).largest
    require_lasts(kind["chunk_size"], config.policy.get("n_action_steps", kind["chunk_size"]), late)


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
    learner: Learner,
    data: DecodedDataset,
    work: Path,
    config: FinetuneConfig,
    run: str,
    progress: bool,
    log: Curve | None,
) -> list[float]:
    sampler = ChunkSampler(data, learner.chunk_size, config.batch_size, config.image_shift, config.seed)
    parameters = [parameter for parameter in learner.module.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=config.learning_rate, weight_decay=config.weight_decay, fused=True)
    state = work / "state.safetensors"
    remedy = f"lower learning_rate (now {config.learning_rate:g}) or weight_decay (now {config.weight_decay:g})"
    losses: list[float | Tensor] = list(load_state(state, run, learner.module, optimizer))
    every = _steps_a_point(config.steps)
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
        if log is not None and len(losses) % every == 0:
            log(len(losses), {"loss": float(np.mean([float(loss) for loss in losses[-every:]]))})
        if len(losses) % config.checkpoint_every == 0 and len(losses) < config.steps:
            require_converging(learner.module, [float(loss) for loss in losses], remedy)
            save_state(state, run, learner.module, optimizer, [float(loss) for loss in losses])
    numbers = [float(loss) for loss in losses]
    require_converging(learner.module, numbers, remedy)
    return numbers


def _learner(root: Path, data: DecodedDataset, config: FinetuneConfig, init_from: Path | None) -> Learner:
    device = chosen_device(config.device)
    if config.policy["type"] == COMPACT:
        if init_from is not None:
            return CompactLearner.continued(data, init_from, device)
        return CompactLearner.fresh(data, config.policy, config.language, device)
    from ocrrl.policies.lerobot_learner import LeRobotLearner

    return LeRobotLearner(root, data, config.policy, init_from, device)


def _require_policy(config: FinetuneConfig) -> None:
    """ValueError for a field of the policy that its type does not have: said before the frames are decoded."""
    if config.policy["type"] != COMPACT:
        from ocrrl.policies.lerobot_learner import require_fields

        require_fields(config.policy)


def _names(training_data: Sequence[TrainingData]) -> list[str] | None:
    """The episodes chosen by name; None where every dataset is taken whole."""
    chosen = [name for part in training_data for name in part.episodes or ()]
    return chosen if any(part.episodes is not None for part in training_data) else None


def _step_seed(seed: int, step: int) -> int:
    return int(np.random.SeedSequence([seed, step]).generate_state(1)[0])


def _run_name(data: DecodedDataset, config: FinetuneConfig, init_from: Path | None) -> str:
    """Fingerprint of a run's inputs; images are left out, as they follow from the rows they belong to."""
    rows = [data.state.tobytes(), data.action.tobytes(), data.episode_index.tobytes(), data.tasks]
    rows += [extra.tobytes() for extra in (data.weight, data.chunk_steps) if extra is not None]
    return files.fingerprint(config, *rows, *([init_from] if init_from else []))


def _curve(losses: list[float], steps: int) -> list[dict[str, float]]:
    """The loss averaged over hundredths of the run."""
    every = _steps_a_point(steps)
    return [
        {"step": start + len(losses[start : start + every]), "loss": float(np.mean(losses[start : start + every]))}
        for start in range(0, len(losses), every)
    ]


def _steps_a_point(steps: int) -> int:
    return max(1, steps // 100)


def _training_record(
    config: FinetuneConfig, data: DecodedDataset, episodes: list[str] | None, losses: list[dict[str, float]]
) -> dict[str, Any]:
    """What was trained on and how the loss fell; no timings, no paths."""
    own = config.lerobot
    lerobot = {"trainer": "lerobot", "num_processes": own.num_processes, "peft": dict(own.peft)}
    return (lerobot if config.trainer == "lerobot" else {}) | {
        "policy": dict(config.policy),
        "steps": config.steps,
        "batch_size": config.batch_size,
        "learning_rate": config.learning_rate,
        "seed": config.seed,
        "episodes": len(data.tasks),
        "episode_names": episodes,
        "frames": len(data.action),
        "instructions": sorted(set(data.tasks)),
        "loss": losses,
    }
