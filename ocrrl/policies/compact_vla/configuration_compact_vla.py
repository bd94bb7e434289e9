"""LeRobot's configuration of the default VLA."""

from dataclasses import asdict, dataclass, field

from lerobot.configs import NormalizationMode, PreTrainedConfig
from lerobot.optim import AdamWConfig

from ocrrl.policies.compact_architecture import CompactArchitecture
from ocrrl.policies.compact_checkpoint import architecture_of
from ocrrl.policies.policy_type import COMPACT


@PreTrainedConfig.register_subclass(COMPACT)
@dataclass
class CompactVLAConfig(PreTrainedConfig):
    """Sizes as in `CompactArchitecture`; cameras and their size come from the dataset's features."""

    chunk_size: int = 16
    n_action_steps: int = 16
    channels: int = 16
    keypoints: int = 24
    camera_features: int = 96
    hidden: int = 256
    image_shift: int = 4
    """Random shift of the images in training, up to so many pixels each way."""
    language: str = "auto"
    """Instruction encoder of a policy trained from scratch: auto, sentence or hash."""
    normalization_mapping: dict[str, NormalizationMode] = field(
        default_factory=lambda: {
            "VISUAL": NormalizationMode.IDENTITY,
            "STATE": NormalizationMode.MEAN_STD,
            "ACTION": NormalizationMode.MEAN_STD,
        }
    )
    optimizer_lr: float = 1e-3
    optimizer_weight_decay: float = 1e-4

    def __post_init__(self):
        super().__post_init__()
        if not 1 <= self.n_action_steps <= self.chunk_size:
            raise ValueError(f"compact_vla.n_action_steps must be in [1, {self.chunk_size}], got {self.n_action_steps}")

    def architecture(self) -> CompactArchitecture:
        """The network for these features; ValueError if they are not this robot's."""
        features = {key: asdict(feature) for key, feature in (self.input_features or {}).items()}
        return architecture_of(features, vars(self))

    def validate_features(self) -> None:
        self.architecture()

    def get_optimizer_preset(self) -> AdamWConfig:
        return AdamWConfig(lr=self.optimizer_lr, weight_decay=self.optimizer_weight_decay)

    def get_scheduler_preset(self) -> None:
        return None

    @property
    def observation_delta_indices(self) -> None:
        return None

    @property
    def action_delta_indices(self) -> list[int]:
        return list(range(self.chunk_size))

    @property
    def reward_delta_indices(self) -> None:
        return None
