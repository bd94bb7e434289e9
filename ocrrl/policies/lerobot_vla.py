"""Any LeRobot policy as a VLA, converted to this robot's units."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import torch
from jaxtyping import Float

from ocrrl.config_builder import listed, typed
from ocrrl.interface.actions import ACTION_DIM, limit
from ocrrl.interface.lerobot_keys import ACTION_KEY, IMAGE_PREFIX, STATE_KEY
from ocrrl.interface.observations import PROPRIOCEPTION_DIM, Images, RobotState
from ocrrl.policies.image_sizes import resizes
from ocrrl.policies.lerobot_checkpoint import require_lerobot_checkpoint
from ocrrl.policies.lerobot_loading import lerobot_errors, load_processors, load_weights, remote_code
from ocrrl.policies.lerobot_window import as_window, chunk_field
from ocrrl.policies.normalisation import unit_images
from ocrrl.policies.shared_noise import SharedNoise

_NOISE_SEED = 0


class LeRobotVLA:
    """`interface.protocols.VLA` by a LeRobot policy with its pre- and postprocessor.

    A policy that samples (flow matching, diffusion) draws the same noise at every call and for every robot of a batch, so that it
    is a function of its inputs: a residual is trained on a base that does not change under it, and a run can be repeated.
    """

    def __init__(self, policy, preprocessor, postprocessor):
        self.chunk_size: int = getattr(policy.config, chunk_field(policy.config.type))
        self.n_action_steps: int = policy.config.n_action_steps
        # GR00T and diffusion cut their chunk to it; late chunks need the rest.
        policy.config.n_action_steps = self.chunk_size
        self._policy = policy.eval()
        self._preprocessor = preprocessor
        self._postprocessor = postprocessor
        shapes = {
            key.removeprefix(IMAGE_PREFIX): feature.shape for key, feature in policy.config.image_features.items()
        }
        self._cameras = list(shapes)
        any_size = resizes(vars(policy.config) | {"type": policy.config.type})
        self._sizes = {} if any_size else {camera: tuple(shape[1:]) for camera, shape in shapes.items()}

    def predict_chunk(self, images: Images, robot: RobotState, instruction: str) -> Float[np.ndarray, "n H 7"]:
        """The next H actions for each of n robots, float32, within the limits.

        Raises ValueError if a camera is missing, or has images of another size than a policy that resizes none was trained on.
        """
        missing = [camera for camera in self._cameras if camera not in images]
        if missing:
            raise ValueError(f"images must hold the cameras {', '.join(self._cameras)}, got {', '.join(images)}")
        for camera, size in self._sizes.items():
            if images[camera].shape[1:3] != size:
                raise ValueError(
                    f"images of camera {camera} must have shape (n, *{(*size, 3)}), got {images[camera].shape}"
                )
        state = robot.proprioception()
        inputs = {IMAGE_PREFIX + camera: unit_images(images[camera]) for camera in self._cameras}
        inputs[STATE_KEY] = torch.from_numpy(state)
        batch: dict[str, Any] = as_window(inputs, self._policy.config.type)
        batch["task"] = [instruction] * len(state)
        with (
            torch.random.fork_rng(),
            torch.inference_mode(),
            SharedNoise(len(state)),
            mixed_precision(self._policy.config),
        ):
            torch.manual_seed(_NOISE_SEED)
            self._policy.reset()
            chunk = self._policy.predict_action_chunk(self._preprocessor(batch))[:, : self.chunk_size]
            chunk = self._postprocessor(chunk)[..., :ACTION_DIM]
        return limit(chunk.to(torch.float32)).cpu().numpy()


def load_lerobot_vla(path: Path, device: str, policy_type: str, allow_remote_code: bool = False) -> LeRobotVLA:
    """Open the `pretrained_model/` folder `path` by LeRobot's factory; ValueError if it cannot drive this robot."""
    policy, preprocessor, postprocessor = open_lerobot_policy(path, device, policy_type, allow_remote_code)
    check_features(policy.config)
    return LeRobotVLA(policy, preprocessor, postprocessor)


def open_lerobot_policy(
    path: Path, device: str, policy_type: str, allow_remote_code: bool, overrides: Mapping[str, Any] | None = None
) -> tuple[Any, Any, Any]:
    """The policy, preprocessor and postprocessor in `path`; `overrides` sets fields of the policy's configuration.

    The folder is checked as a whole first (`require_lerobot_checkpoint`), and what was loaded afterwards. Raises
    FileNotFoundError or ValueError naming the file.
    """
    require_lerobot_checkpoint(path, policy_type, allow_remote_code)
    from lerobot.configs import PreTrainedConfig
    from lerobot.policies import get_policy_class, make_pre_post_processors

    with remote_code(allow_remote_code), lerobot_errors(str(path / "config.json")):
        config = PreTrainedConfig.from_pretrained(path)
    config.device = device
    without_backbone_download(config)
    for name, value in (overrides or {}).items():
        set_field(config, name, value)
    with remote_code(allow_remote_code):
        with lerobot_errors(str(path)):
            policy_class = get_policy_class(config.type)
        policy = load_weights(path, lambda: policy_class.from_pretrained(path, config=config))
        with lerobot_errors(str(path)):
            preprocessor, postprocessor = make_pre_post_processors(
                config, pretrained_path=str(path), preprocessor_overrides={"device_processor": {"device": device}}
            )
        load_processors(preprocessor, str(path))
    return policy, preprocessor, postprocessor


def mixed_precision(config: Any) -> torch.autocast:
    """In bfloat16 what a policy of this `config` may compute so, if its `use_amp` is true: twice as fast on a CPU that has it."""
    return torch.autocast(torch.device(config.device).type, torch.bfloat16, enabled=config.use_amp)


def without_backbone_download(config: Any) -> None:
    """Of ACT and diffusion: torchvision's weights are not fetched (a pickle), the checkpoint's take their place anyway."""
    if getattr(config, "pretrained_backbone_weights", None) is not None:
        config.pretrained_backbone_weights = None


def set_field(config: Any, name: str, value: Any) -> None:
    """Set `name` of a LeRobot policy configuration; ValueError as `typed_field`."""
    setattr(config, name, typed_field(type(config), config.type, name, value))


def typed_field(config_class: type, policy_type: str, name: str, value: Any) -> Any:
    """`value` as one of the type that a LeRobot policy configuration declares for its field `name`.

    Numbers that YAML reads as text (`1e-1`) become numbers. ValueError names the fields there are, or what the field must be.
    """
    names = sorted(field.name for field in fields(config_class) if field.init)
    if name not in names:
        raise ValueError(f"policy of type {policy_type} must set only {', '.join(names)}, got {listed([name])}")
    return typed(value, get_type_hints(config_class)[name], f"policy.{name}")


def check_features(config: Any) -> None:
    """ValueError naming every feature of a LeRobot policy configuration that this robot cannot serve."""
    wrong = []
    if not config.image_features:
        wrong.append("at least one camera observation.images.*, got none")
    for key in config.image_features:
        if not key.startswith(IMAGE_PREFIX):
            wrong.append(f"cameras named {IMAGE_PREFIX}*, got {key}")
    state, action = config.robot_state_feature, config.action_feature
    if state is not None and tuple(state.shape) != (PROPRIOCEPTION_DIM,):
        wrong.append(f"{STATE_KEY} of shape ({PROPRIOCEPTION_DIM},), got {tuple(state.shape)}")
    if action is None or tuple(action.shape) != (ACTION_DIM,):
        wrong.append(f"{ACTION_KEY} of shape ({ACTION_DIM},), got {action and tuple(action.shape)}")
    if config.n_obs_steps != 1:
        wrong.append(f"n_obs_steps 1, got {config.n_obs_steps}")
    field = chunk_field(config.type)
    chunk_size = getattr(config, field, None)
    if chunk_size is None:
        wrong.append("a chunk_size, got none")
    elif not 1 <= config.n_action_steps <= chunk_size:
        wrong.append(f"n_action_steps in [1, {chunk_size}], its {field}, got {config.n_action_steps}")
    if wrong:
        raise ValueError(f"policy {config.type} must have " + "; ".join(wrong))
