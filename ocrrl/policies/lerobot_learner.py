"""Fine-tuning of any other LeRobot policy: LeRobot makes it and its processors, our loop trains it."""

import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ocrrl.datasets.frames.decoded_frames import DecodedDataset
from ocrrl.interface.lerobot_keys import ACTION_KEY, IMAGE_PREFIX, STATE_KEY
from ocrrl.policies.chunk_batches import ChunkBatch
from ocrrl.policies.lerobot_checkpoint import (
    policy_config_class,
    require_lerobot_checkpoint,
    require_named_folders,
    require_remote_code_allowed,
)
from ocrrl.policies.lerobot_loading import lerobot_errors, load_processors, load_weights, remote_code
from ocrrl.policies.lerobot_vla import (
    check_features,
    mixed_precision,
    open_lerobot_policy,
    set_field,
    typed_field,
    without_backbone_download,
)
from ocrrl.policies.lerobot_window import as_window, chunk_field
from ocrrl.policies.normalisation import unit_images
from ocrrl.policies.policy_type import policy_type

_QUANTILES = {"q01": 0.01, "q10": 0.1, "q50": 0.5, "q90": 0.9, "q99": 0.99}
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.\-]*/[\w.\-]+")
_FETCHED = ("*.json", "*.safetensors", "*.model", "*.txt", "*.jinja")
_CODE = ("*.py",)


class LeRobotLearner:
    """A LeRobot policy being trained on one dataset."""

    def __init__(
        self, root: Path, data: DecodedDataset, policy: Mapping[str, Any], init_from: Path | None, device: str
    ):
        """A fresh policy of `policy["type"]` for the dataset at `root`, or checkpoint `init_from` with its statistics.

        The other entries of `policy` set fields of its configuration (`pretrained_path` starts a fresh one from
        pretrained weights), but for `allow_remote_code` (`REMOTE_CODE_TYPES`). Raises ValueError for an unknown type or
        field, for features this robot cannot serve, and for files that are damaged or could run code.
        """
        fields = {name: value for name, value in policy.items() if name not in ("type", "allow_remote_code")}
        kind, allowed = policy["type"], policy.get("allow_remote_code", False)
        if init_from is not None and policy_type(init_from) != kind:
            raise ValueError(f"policy.type must be {policy_type(init_from)} to continue from {init_from}, got {kind}")
        require_named_folders(fields, "policy", allowed)
        if init_from is None:
            made = _fresh(root, data, kind, fields, device, allowed)
        else:
            fields = {name: value for name, value in fields.items() if not name.startswith("pretrained_")}
            made = open_lerobot_policy(init_from, device, kind, allowed, fields)
        self.module, self._preprocessor, self._postprocessor = made
        config = self.module.config
        check_features(config)
        self.chunk_size: int = getattr(config, chunk_field(kind))
        self._cameras = [key.removeprefix(IMAGE_PREFIX) for key in config.image_features]
        self._tasks = data.tasks
        self.module.train()

    def loss(self, batch: ChunkBatch) -> Float[Tensor, ""]:
        """The policy's own training loss; its noise comes from torch's generator, which the loop seeds at each step."""
        observed = {IMAGE_PREFIX + camera: unit_images(batch.images[camera]) for camera in self._cameras}
        observed[STATE_KEY] = torch.from_numpy(batch.state)
        inputs: dict[str, Any] = as_window(observed, self.module.config.type)
        inputs[ACTION_KEY] = torch.from_numpy(batch.action)
        inputs["action_is_pad"] = torch.from_numpy(batch.is_pad)
        inputs["task"] = [self._tasks[episode] for episode in batch.episode]
        with mixed_precision(self.module.config):
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
    config_class = policy_config_class(policy["type"], "policy.type")
    for name, value in policy.items():
        if name not in ("type", "allow_remote_code"):
            typed_field(config_class, policy["type"], name, value)


def _fresh(
    root: Path, data: DecodedDataset, kind: str, fields: dict[str, Any], device: str, allowed: bool
) -> tuple[Any, Any, Any]:
    """A policy of type `kind` for the dataset, from the weights in `pretrained_path` if `fields` name one."""
    logging.getLogger("lerobot").setLevel(logging.ERROR)
    from lerobot.configs import PreTrainedConfig
    from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata
    from lerobot.policies import make_policy, make_pre_post_processors

    config_class = policy_config_class(kind, "policy.type")
    require_remote_code_allowed(kind, allowed, "policy")
    pretrained = fields.pop("pretrained_path", None)
    if pretrained is None:
        typed = {name: typed_field(config_class, kind, name, value) for name, value in fields.items()}
        # With all fields at once, as only then LeRobot checks them together.
        with lerobot_errors(f"policy of type {kind}"):
            folder, config = None, config_class(**{"device": device, "push_to_hub": False, **typed})
    else:
        folder = pretrained_folder(pretrained, fields.get("pretrained_revision"), allowed)
        if policy_type(folder) != kind:
            raise ValueError(f"policy.type must be {policy_type(folder)} to start from {folder}, got {kind}")
        require_lerobot_checkpoint(folder, kind, allowed, pipelines=False)
        with remote_code(allowed), lerobot_errors(str(folder / "config.json")):
            config = PreTrainedConfig.from_pretrained(folder)
        config.pretrained_path = folder
        without_backbone_download(config)
        config.device, config.push_to_hub = device, False
        for name, value in fields.items():
            set_field(config, name, value)
    config.input_features = {}  # this dataset's, not those of the robot it was pretrained on
    metadata = LeRobotDatasetMetadata(repo_id="ocrrl/episodes", root=root)
    if config.use_peft:
        raise ValueError("policy.use_peft must be false, got true: adapters (LoRA) are not trained or opened here")
    with remote_code(allowed):
        if folder is None:
            with lerobot_errors(f"policy of type {kind}"):
                module = make_policy(config, ds_meta=metadata)
        else:
            module = load_weights(folder, lambda: make_policy(config, ds_meta=metadata))
    stats: Any = dict(metadata.stats or {}) | {STATE_KEY: _statistics(data.state), ACTION_KEY: _statistics(data.action)}
    with remote_code(allowed), lerobot_errors(f"policy of type {kind}"):
        preprocessor, postprocessor = make_pre_post_processors(config, dataset_stats=stats, dataset_meta=metadata)
    with remote_code(allowed):
        load_processors(preprocessor, f"policy of type {kind}")
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


def pretrained_folder(name: object, revision: str | None = None, allow_remote_code: bool = False) -> Path:
    """The folder that `policy.pretrained_path` means; files that can run as code are fetched only if that is allowed.

    Raises ValueError for what is no text, FileNotFoundError where neither this machine nor the hub has it.
    """
    if not isinstance(name, str) or not name:
        raise ValueError(f"policy.pretrained_path must be a folder or a name on the Hugging Face hub, got {name!r}")
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if folder.exists() or not _HUB_NAME.fullmatch(name):
        raise FileNotFoundError(
            f"policy.pretrained_path must be the folder of a checkpoint, or ORG/NAME on the Hugging Face hub, got {name!r}, "
            f"which is {'a file' if folder.exists() else 'not there'}"
        )
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

    patterns = [*_FETCHED, *(_CODE if allow_remote_code else ())]
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=patterns))
    except (EntryNotFoundError, HfHubHTTPError, HFValidationError, OfflineModeIsEnabled) as error:
        why = " ".join(str(error).split())[:200]
        raise FileNotFoundError(
            f"policy.pretrained_path must be the folder of a checkpoint, or ORG/NAME on the Hugging Face hub, got {name!r}: no "
            f"such folder here, and the hub says: {why}"
        ) from error
