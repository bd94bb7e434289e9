"""How `lerobot-train` is run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ocrrl.config_builder import shown

PEFT = ("method_type", "r", "lora_alpha", "target_modules", "full_training_modules", "init_type")
"""LeRobot's fields of an adapter (`--peft.*`)."""
TRACKERS = ("none", "wandb")


@dataclass(frozen=True)
class LerobotTraining:
    """The entry `lerobot` of `finetune`, `retrain` and `retrain_multitask`."""

    num_processes: int = 1
    """GPUs, each with `batch_size` samples a step, by `accelerate launch`."""
    num_workers: int = 4
    """Processes that decode frames, a GPU."""
    peft: Mapping[str, Any] = field(default_factory=dict)
    """An adapter to train in place of all weights, merged in the end: `{method_type: LORA, r: 16, lora_alpha: 32}`.

    Without `target_modules` the policy's own, which pi0, pi05, smolvla and molmoact2 have.
    """
    tracker: str = "none"
    """`wandb`: Weights & Biases, with the login that `wandb login` left, or without a network (WANDB_MODE=offline)."""
    project: str = "ocrrl"
    """The tracker's project."""

    def __post_init__(self) -> None:
        if self.num_processes < 1:
            raise ValueError(f"num_processes must be at least 1, got {self.num_processes}")
        if self.num_workers < 0:
            raise ValueError(f"num_workers must be at least 0, got {self.num_workers}")
        if unknown := sorted(set(self.peft) - set(PEFT)):
            raise ValueError(f"peft must set only {', '.join(PEFT)}, got {unknown[0]}")
        for name in ("r", "lora_alpha"):
            value = self.peft.get(name, 1)
            if type(value) is not int or value < 1:
                raise ValueError(f"peft.{name} must be a whole number of at least 1, got {shown(value)}")
        if self.tracker not in TRACKERS:
            raise ValueError(f"tracker must be one of {', '.join(TRACKERS)}, got {shown(self.tracker)}")
