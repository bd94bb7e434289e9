"""Ends a diverged training with its reason; nothing is published."""

import math
from collections.abc import Sequence

import torch
from torch import nn


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
