"""What fine-tuning does to any other LeRobot policy: LeRobot makes it and its processors, our loop trains it."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ocrrl.datasets.decoded_frames import DecodedDataset
from ocrrl.policies import pictures
from ocrrl.policies.chunk_batches import ChunkBatch
from ocrrl.policies.compact_checkpoint import ACTION_KEY, IMAGE_PREFIX, POLICY_TYPE, STATE_KEY
from ocrrl.policies.lerobot_vla import check_features, open_lerobot_policy, set_field, typed_field

_QUANTILES = {"q01": 0.01, "q10": 0.1, "q50": 0.5, "q90": 0.9, "q99": 0.99}


class LeRobotLearner:
    """A LeRobot policy being trained on one dataset."""

    def __init__(
        self, root: Path, data: DecodedDataset, policy: Mapping[str, Any], init_from: Path | None, device: str
    ):
        """A fresh policy of `policy["type"]` for the dataset at `root`, or checkpoint `init_from` with its statistics.

        The other entries of `policy` set fields of its configuration (`pretrained_path` starts a fresh one from
        pretrained weights). Raises ValueError for an unknown type or field, and for features this robot cannot serve.
        """
        fields = {name: value for name, value in policy.items() if name != "type"}
        if init_from is None:
            made = _fresh(root, data, policy["type"], fields, device)
        else:
            made = open_lerobot_policy(init_from, device, fields)
        self.module, self._preprocessor, self._postprocessor = made
        config = self.module.config
        if config.type != policy["type"]:
            raise ValueError(f"policy.type must be {config.type} to continue from {init_from}, got {policy['type']}")
        check_features(config)
        self.chunk_size: int = config.chunk_size
        self._cameras = [key.removeprefix(IMAGE_PREFIX) for key in config.image_features]
        self._tasks = data.tasks
        self.module.train()

    def loss(self, batch: ChunkBatch) -> Float[Tensor, ""]:
        """The policy's own training loss; its noise comes from torch's generator, which the loop seeds at each step."""
        inputs: dict[str, Any] = {
            IMAGE_PREFIX + camera: pictures.unit(batch.images[camera]) for camera in self._cameras
        }
        inputs[STATE_KEY] = torch.from_numpy(batch.state)
        inputs[ACTION_KEY] = torch.from_numpy(batch.action)
        inputs["action_is_pad"] = torch.from_numpy(batch.is_pad)
        inputs["task"] = [self._tasks[episode] for episode in batch.episode]
        loss, _ = self.module.forward(self._preprocessor(inputs))
        return loss

    def save(self, folder: Path) -> None:
        """Write policy and processors as LeRobot does."""
        folder.mkdir(parents=True, exist_ok=True)
        self.module.config.pretrained_path = None  # a path of this machine, and no longer where the weights are from
        self.module.save_pretrained(folder)
        self._preprocessor.save_pretrained(folder)
        self._postprocessor.save_pretrained(folder)


def require_fields(policy: Mapping[str, Any]) -> None:
    """ValueError unless `policy` has a type that LeRobot knows, and fields of its configuration with values of their types."""
    config_class = _config_class(policy["type"])
    for name, value in policy.items():
        if name != "type":
            typed_field(config_class, policy["type"], name, value)


def _config_class(policy_type: str) -> type:
    import lerobot.policies  # noqa: F401  registers LeRobot's own
    from lerobot.configs import PreTrainedConfig
    from lerobot.utils.import_utils import register_third_party_plugins

    register_third_party_plugins()
    if policy_type not in PreTrainedConfig.get_known_choices():
        known = ", ".join(sorted({POLICY_TYPE, *PreTrainedConfig.get_known_choices()}))
        raise ValueError(f"policy.type must be one of {known}, got {policy_type!r}")
    return PreTrainedConfig.get_choice_class(policy_type)


def _fresh(
    root: Path, data: DecodedDataset, policy_type: str, fields: dict[str, Any], device: str
) -> tuple[Any, Any, Any]:
    logging.getLogger("lerobot").setLevel(logging.ERROR)
    from lerobot.configs import PreTrainedConfig
    from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata
    from lerobot.policies import make_policy, make_policy_config, make_pre_post_processors

    _config_class(policy_type)  # LeRobot knows it, or nothing is made
    pretrained = fields.pop("pretrained_path", None)
    if pretrained is not None:
        config = PreTrainedConfig.from_pretrained(pretrained)
        config.pretrained_path = Path(pretrained)
    else:
        config = make_policy_config(policy_type, device=device)
    config.device, config.push_to_hub = device, False
    for name, value in fields.items():
        set_field(config, name, value)
    config.input_features = {}  # this dataset's, not those of the robot it was pretrained on
    metadata = LeRobotDatasetMetadata(repo_id="ocrrl/episodes", root=root)
    module = make_policy(config, ds_meta=metadata)
    stats: Any = dict(metadata.stats or {}) | {STATE_KEY: _statistics(data.state), ACTION_KEY: _statistics(data.action)}
    preprocessor, postprocessor = make_pre_post_processors(config, dataset_stats=stats, dataset_meta=metadata)
    return module, preprocessor, postprocessor


def _statistics(rows: np.ndarray) -> dict[str, np.ndarray]:
    """LeRobot's statistics of the frames that are trained on, which may be fewer than the dataset has."""
    return {
        "min": rows.min(0),
        "max": rows.max(0),
        "mean": rows.mean(0),
        "std": rows.std(0),
        "count": np.array([len(rows)]),
        **{name: np.quantile(rows, q, axis=0).astype(np.float32) for name, q in _QUANTILES.items()},
    }
