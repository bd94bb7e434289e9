"""Checkpoint of fine-tuning: weights, optimiser and losses in one file, for exact resume; what ends a diverged one.

There is no generator state in it: every draw is a function of (seed, step).
"""

import json
import math
from collections.abc import Sequence
from pathlib import Path

import safetensors.torch
import torch
from safetensors import safe_open
from torch import nn
from torch.optim import AdamW

from ocrrl import files
from ocrrl.interface.json_file import said
from ocrrl.interface.weights_file import read_weights_file

_MOMENTS = ("exp_avg", "exp_avg_sq", "step")


def save_state(path: Path, run: str, module: nn.Module, optimizer: AdamW, losses: list[float]) -> None:
    """Write the state after `len(losses)` steps of the run with fingerprint `run`, whole or not at all."""
    tensors = {f"buffer/{name}": value for name, value in module.named_buffers()}
    for name, parameter in _trained(module).items():
        tensors[f"parameter/{name}"] = parameter.detach()
        for moment in _MOMENTS if optimizer.state.get(parameter) else ():
            tensors[f"{moment}/{name}"] = optimizer.state[parameter][moment]
    content = safetensors.torch.save(
        {name: value.cpu().contiguous() for name, value in tensors.items()},
        metadata={"run": run, "losses": json.dumps(losses)},
    )
    files.write_bytes(path, content)


def load_state(path: Path, run: str, module: nn.Module, optimizer: AdamW) -> list[float]:
    """Put the state at `path` into `module` and `optimizer`; the losses of the steps done.

    A file that is missing, or of another run, leaves both as they are and gives no losses. Raises ValueError for a file that
    is damaged.
    """
    if not path.exists():
        return []
    losses, stored = _require_state(path, run, module)
    if losses is None:
        return []
    with safe_open(path, "pt") as state, torch.no_grad():
        for name, value in module.named_buffers():
            value.copy_(state.get_tensor(f"buffer/{name}"))
        for name, parameter in _trained(module).items():
            parameter.copy_(state.get_tensor(f"parameter/{name}"))
            if f"step/{name}" in stored:
                optimizer.state[parameter] = {
                    moment: state.get_tensor(f"{moment}/{name}").to(parameter.device) for moment in _MOMENTS
                }
    return losses


def _require_state(path: Path, run: str, module: nn.Module) -> tuple[list[float] | None, set[str]]:
    """The losses (None for another run) and the names of the tensors in `path`, which hold all of `module`."""
    try:
        state = read_weights_file(path)
        if state.metadata.get("run") != run:
            return None, set()
        losses = json.loads(state.metadata["losses"])
        if not isinstance(losses, list) or not all(isinstance(loss, float) for loss in losses):
            raise ValueError(f"losses that are no numbers: {said(losses)}")
        shapes = {f"buffer/{name}": tuple(value.shape) for name, value in module.named_buffers()}
        for name, parameter in _trained(module).items():
            kept = [moment for moment in _MOMENTS[:2] if f"step/{name}" in state.tensors]
            shapes |= {f"{part}/{name}": tuple(parameter.shape) for part in ("parameter", *kept)}
        for name, shape in shapes.items():
            if name not in state.tensors or state.tensors[name].shape != shape:
                raise ValueError(f"no {name} of shape {shape}")
    except (ValueError, LookupError) as error:
        raise ValueError(
            f"{path} must hold an unfinished training of these parameters, got {error}; remove its folder, and the training "
            "starts anew"
        ) from error
    return losses, set(state.tensors)


def _trained(module: nn.Module) -> dict[str, nn.Parameter]:
    return {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}


def require_converging(module: nn.Module, losses: Sequence[float], remedy: str) -> None:
    """RuntimeError naming the step, and `remedy`, once a loss or a weight is NaN or infinite; `losses` of all steps so far."""
    step = next((number for number, loss in enumerate(losses, start=1) if not math.isfinite(loss)), None)
    if step is not None:
        before = f" (the step before: {losses[step - 2]:.4g})" if step > 1 else ""
        raise RuntimeError(
            f"the training's loss must stay finite, got {losses[step - 1]} at step {step}{before}; {remedy}. Nothing was published"
        )
    for name, value in module.state_dict().items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise RuntimeError(
                f"the training's weights must stay finite, got NaN or infinity in {name} after step {len(losses)} (loss "
                f"{losses[-1]:.4g}); {remedy}. Nothing was published"
            )
