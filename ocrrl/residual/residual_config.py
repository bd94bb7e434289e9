"""Every setting of residual training (Table 5 and appendix A.6), validated at construction."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from ocrrl.config_builder import OPTIONAL
from ocrrl.interface.actions import MAX_ROTATION_STEP, MAX_TRANSLATION_STEP
from ocrrl.interface.devices import require_device, require_threads
from ocrrl.interface.residual_observations import MOST_COMING_ACTIONS, Look, ObservationKind
from ocrrl.interface.stall import FadeIn
from ocrrl.residual.gate_config import GateConfig
from ocrrl.residual.pose_augmentation import PoseAugmentation

ACTION_UNITS = np.array([MAX_TRANSLATION_STEP] * 3 + [MAX_ROTATION_STEP] * 3 + [0.5], np.float32)
"""One unit of `interface.observations.action_features`, in the action's units: 2 cm, 0.10 rad, half the opening."""


RANDOMISED = ("friction_scale", "mass_scale", "gripper_force_scale", "latency_steps")
"""Fields that are ranges of the simulator's dynamics (Tobin et al. 2017)."""


@dataclass(frozen=True)
class ImageConfig:
    """How a residual of images sees, besides the cameras, which are those that params.yaml declares."""

    size: int = 84
    """Height and width [pixel] of its images, whatever those of the VLA have."""
    look: Look = "plain"
    """How the training simulator draws its images; the VLA's own stay as they are."""
    look_every: Literal["episode", "decision"] = "decision"
    """When a realistic look is drawn anew in training: the more looks an encoder sees, the better it knows unseen ones."""
    shift: int = 4
    """Training moves an image by up to so many pixels."""
    channels: int = 16
    """Of the encoder's first convolution; the second has twice as many."""
    features: int = 64
    """Numbers that the encoder gives."""
    encoder_updates: int = 4_000
    """Updates that train TD3's encoder, at some thirty times the cost of others; then it is frozen for good."""
    encoder_cycle: int = 1_250
    """Of so many updates of TD3 the first `encoder_share` train the encoder; for the others it is frozen, each frame encoded once."""
    encoder_share: float = 0.2
    learning_rate: float = 3e-4
    """Of the encoder."""
    position_loss: float = 0.0
    """Weight of a second loss of the encoder: regression of the objects' true positions, which the simulator knows; not in ResFiT."""
    gradient_steps: int = 2
    """Of a student: updates after each step of all environments."""
    batch_size: int = 96
    """Rows of an update that trains the encoder."""

    def __post_init__(self) -> None:
        for name, least, most in (
            ("size", 16, 480),
            ("shift", 0, 64),
            ("channels", 1, 1024),
            ("features", 1, 8192),
            ("encoder_updates", 0, 10**9),
            ("encoder_cycle", 1, 10**9),
            ("encoder_share", 0.0, 1.0),
            ("learning_rate", 0.0, 1.0),
            ("position_loss", 0.0, 1e6),
            ("gradient_steps", 1, 1000),
            ("batch_size", 1, 10**6),
        ):
            _require(name, value := getattr(self, name), least <= value <= most, f"from {least} to {most}")


@dataclass(frozen=True)
class ResidualConfig:
    """Settings of Algorithm 1; `residual_scale` and `exploration_std` are in units of `ACTION_UNITS`.

    They are three numbers (translation, rotation, gripper), or seven, one for each of the action's.
    """

    total_timesteps: int = 160_000
    num_envs: int = 16
    max_episode_steps: int = 500
    """Control steps after which a training episode is cut, if the tabletop task's horizon does not do it before."""
    gradient_steps: int = 5
    """TD3 updates after each step of all environments."""
    learning_starts: int = 512
    """Transitions collected before the first update."""
    batch_size: int = 256
    offline_fraction: float = 0.5
    action_repeat: int = 4
    """Control steps for which a residual is kept; the paper asks for one at each."""
    shaping: float = 1.0
    """In [0, 1], in units of 1/(1 - gamma): weight of the reward as its own potential (`shaping.shaped`); 0 for none."""
    gamma: float = 0.97
    """A control step."""
    n_step: int = 3
    """Decisions of the residual that are summed before the critics are asked."""
    tau: float = 0.005
    actor_lr: float = 3e-4
    critic_lr: float = 3e-4
    l2: float = 0.5
    """Weight of |residual / scale|^2 in the actor's loss."""
    bc_coef: float = 0.0
    """Weight of |combined - demonstrated|^2 on offline samples in the actor's loss; not in the paper."""
    actor_hidden: int = 128
    critic_hidden: int = 128
    layer_norm: bool = True
    residual_scale: tuple[float, ...] = (0.3, 0.3, 1.5)
    """The largest residual; 1.5 opens a hand that the base has closed."""
    exploration_std: tuple[float, ...] = (0.1, 0.1, 0.4)
    exploration_least: float = 0.0
    """Share of `exploration_std` in the last environment; from the first, which has all of it, it falls evenly."""
    exploration_clip: float = 0.5
    target_noise: float = 0.2
    """Target policy smoothing, in units of the residual's scale."""
    target_noise_clip: float = 0.5
    policy_delay: int = 2
    """Critic updates for one update of the actor and the targets."""
    actor_ema: float = 5e-4
    """The published actor is an average: this far it follows the actor at each of its updates; 1: it is the actor."""
    critic_warmup: int = 1_000
    """Updates before the actor's first one."""
    absorbing_success: bool = True
    """A success is worth 1/(1 - gamma): reward 1 for ever after; otherwise nothing follows it."""
    clip_targets: bool = True
    """Keep the critics' targets where every return lies: in [0, 1/(1 - gamma)], less the shaping's potential."""
    chunk_phase: bool = field(default=False, metadata=OPTIONAL)
    """The residual is also given how old the base's chunk is and how late it came (`interface.observations`); not in the paper."""
    coming_actions: int = field(default=0, metadata=OPTIONAL)
    """The residual is also given so many of the actions that its base's chunk holds after the present one; 0 for a base without
    chunks. Not in the paper."""
    gate: GateConfig | None = field(default=None, metadata=OPTIONAL)
    """The published residual acts where critics agree that it helps (`restraint.critic_gate`); not in the paper."""
    fade_in: FadeIn | None = field(default=None, metadata=OPTIONAL)
    """The published residual waits until its base stalls; in training it acts from the first step on. Not in the paper."""
    observation: ObservationKind = field(default="objects", metadata=OPTIONAL)
    """What the residual observes besides the robot and the base action: object poses, images in place of them (as ResFiT), true state
    (a teacher, for the simulator only), or images, learned from a teacher (as ResiP)."""
    images: ImageConfig = field(default_factory=ImageConfig, metadata=OPTIONAL)
    teacher: str = field(default="", metadata=OPTIONAL)
    """Folder of the residual that a distilled one learns from."""
    max_position_noise: float = 0.005
    max_rotation_noise: float = 0.1
    dropout: float = 0.1
    object_dropout: float = 0.0
    friction_scale: tuple[float, float] = (1.0, 1.0)
    """Domain randomisation: drawn evenly from this range at each episode's start, as are the next three."""
    mass_scale: tuple[float, float] = (1.0, 1.0)
    gripper_force_scale: tuple[float, float] = (1.0, 1.0)
    latency_steps: tuple[int, int] = (0, 0)
    """Control steps between a command and its execution."""
    validation_every: int = 16_000
    """Transitions from one validation (and checkpoint) to the next."""
    validation_episodes: int = 75
    stop_at_success: float = 0.95
    """Stop once two validations in a row reach this success rate; above 1: never."""
    threads: int = 1
    device: str = "auto"

    def __post_init__(self) -> None:
        for name in (
            *("total_timesteps", "num_envs", "batch_size", "n_step", "actor_hidden", "critic_hidden", "policy_delay"),
            *("action_repeat", "max_episode_steps"),
            *("validation_every", "validation_episodes"),
        ):
            _require(name, getattr(self, name), getattr(self, name) >= 1, "at least 1")
        for name in ("gradient_steps", "learning_starts", "critic_warmup", "l2", "bc_coef"):
            _require(name, getattr(self, name), getattr(self, name) >= 0, "at least 0")
        for name in ("exploration_clip", "target_noise", "target_noise_clip", "actor_lr", "critic_lr"):
            _require(name, getattr(self, name), getattr(self, name) >= 0, "at least 0")
        _require("gamma", self.gamma, 0.0 < self.gamma < 1.0, "in (0, 1)")
        _require("shaping", self.shaping, 0.0 <= self.shaping <= 1.0, "in [0, 1]")
        for name in ("exploration_least", "offline_fraction"):
            _require(name, getattr(self, name), 0.0 <= getattr(self, name) <= 1.0, "in [0, 1]")
        for name in ("actor_lr", "critic_lr"):
            _require(name, getattr(self, name), getattr(self, name) <= 1.0, "in [0, 1]")
        for name in ("tau", "actor_ema"):
            _require(name, getattr(self, name), 0.0 < getattr(self, name) <= 1.0, "in (0, 1]")
        for name in RANDOMISED:
            value, least = getattr(self, name), 0 if name == "latency_steps" else 1e-6
            ordered = len(value) == 2 and least <= value[0] <= value[1]
            _require(name, list(value), ordered, f"an increasing pair from {least:g} up")
        for name in ("residual_scale", "exploration_std"):
            value = getattr(self, name)
            _require(name, value, len(value) in (3, 7) and min(value) >= 0, "three or seven numbers, at least 0")
            object.__setattr__(self, name, tuple(float(x) for x in value))
        _require("residual_scale", self.residual_scale, min(self.residual_scale) > 0, "three or seven numbers above 0")
        most = MOST_COMING_ACTIONS
        _require("coming_actions", self.coming_actions, 0 <= self.coming_actions <= most, f"from 0 to {most}")
        for name in ("gate", "fade_in"):
            if self.observation != "objects" and getattr(self, name) is not None:
                raise ValueError(
                    f"{name} must be left out unless observation is objects, got observation: {self.observation}"
                )
        if (self.observation == "distilled") != bool(self.teacher):
            raise ValueError(
                "teacher must name the folder of a residual that was trained with observation: privileged where observation is "
                f"distilled, and only there, got {self.teacher!r} with observation: {self.observation}"
            )
        require_device(self.device)
        require_threads(self.threads)
        self.pose_augmentation()

    def pose_augmentation(self) -> PoseAugmentation:
        """The augmentation of the objects' poses (Eq. 4 and 5)."""
        return PoseAugmentation(self.max_position_noise, self.max_rotation_noise, self.dropout, self.object_dropout)

    @property
    def max_value(self) -> float:
        """The largest return: reward 1 for ever."""
        return 1.0 / (1.0 - self.gamma)

    @property
    def shaping_weight(self) -> float:
        """By which a potential in [0, 1] counts."""
        return self.shaping * self.max_value

    @property
    def success_value(self) -> float:
        """What follows a success, whose potential is 1."""
        return (self.max_value if self.absorbing_success else 0.0) - self.shaping_weight


def per_dimension(values: tuple[float, ...]) -> np.ndarray:
    """Seven numbers (7,), float32: as they are, or from (translation, rotation, gripper)."""
    return np.asarray(values, np.float32) if len(values) == 7 else np.repeat(np.asarray(values, np.float32), (3, 3, 1))


def in_action_units(values: tuple[float, ...]) -> np.ndarray:
    """Three or seven numbers in units of `ACTION_UNITS` as seven in the action's own [m, rad, opening], float32."""
    return per_dimension(values) * ACTION_UNITS


def _require(name: str, value: object, holds: bool, requirement: str) -> None:
    if not holds:
        raise ValueError(f"{name} must be {requirement}, got {value}")
