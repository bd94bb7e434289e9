"""The sections `finetune`, `retrain` and `retrain_multitask` of params.yaml."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ocrrl.config_builder import OPTIONAL, repr_of, shown
from ocrrl.interface.devices import require_device, require_threads
from ocrrl.policies.compact_architecture import compact_sizes
from ocrrl.policies.language import LANGUAGES
from ocrrl.policies.policy_type import COMPACT, REMOTE

REAL_EPISODES = ("replayed", "all")
TRAINERS = ("ocrrl", "lerobot")
PEFT = ("method_type", "r", "lora_alpha", "target_modules", "full_training_modules", "init_type")
"""LeRobot's fields of an adapter (`--peft.*`)."""
TRACKERS = ("none", "wandb", "trackio")


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
    """`wandb`: Weights & Biases, after `wandb login`, or with WANDB_MODE=offline; `trackio`: its free counterpart on this machine."""
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


@dataclass(frozen=True)
class FinetuneConfig:
    """Behaviour cloning of a VLA."""

    policy: Mapping[str, Any] = field(default_factory=lambda: {"type": COMPACT, "channels": 32, "n_action_steps": 8})
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
    trainer: str = field(default="ocrrl", metadata=OPTIONAL)
    """`ocrrl`, the loop of this package, or `lerobot`: LeRobot's `lerobot-train`, for policies of billions of weights.

    `lerobot-train` has a learning rate schedule of the policy's own, and no `image_shift`, `language` and `threads`.
    """
    lerobot: LerobotTraining = field(default_factory=LerobotTraining, metadata=OPTIONAL)
    """How `lerobot-train` is run."""

    def __post_init__(self):
        if not isinstance(self.policy, Mapping) or not isinstance(self.policy.get("type"), str):
            raise ValueError(f"policy must be a mapping with a type, which is text, got {shown(self.policy)}")
        if not isinstance(self.policy.get("allow_remote_code", False), bool):
            got = shown(self.policy["allow_remote_code"])
            raise ValueError(f"policy.allow_remote_code must be true or false, got {got}")
        if self.policy["type"] == REMOTE:
            from ocrrl.policies.remote.remote_config import remote_config

            remote_config(self.policy)
        if self.policy["type"] == COMPACT:
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
        if self.trainer not in TRAINERS:
            raise ValueError(f"trainer must be one of {', '.join(TRAINERS)}, got {shown(self.trainer)}")
        if self.trainer == "lerobot" and self.policy["type"] == COMPACT:
            raise ValueError(f"trainer must be ocrrl for a policy of type {COMPACT}, got lerobot")
        if self.trainer == "ocrrl" and self.lerobot != LerobotTraining():
            raise ValueError(
                "lerobot must be left out with trainer ocrrl, got settings; set trainer: lerobot to use them"
            )
        require_device(self.device)
        if self.trainer == "lerobot" and ":" in self.device:
            raise ValueError(
                f"device must be auto, cpu or cuda with trainer lerobot, got {self.device!r}; CUDA_VISIBLE_DEVICES chooses the GPU"
            )
        require_threads(self.threads)
        if self.language not in LANGUAGES:
            raise ValueError(f"language must be one of {', '.join(LANGUAGES)}, got {self.language!r}")

    def __repr__(self) -> str:
        return repr_of(self)
