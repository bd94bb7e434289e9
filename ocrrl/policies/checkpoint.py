"""Opens a VLA checkpoint of any policy type, after its folder was checked; inference with the default VLA."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float

from ocrrl.interface.actions import limit
from ocrrl.interface.cameras import CameraSizes
from ocrrl.interface.devices import chosen_device
from ocrrl.interface.json_file import read_json_object, said
from ocrrl.interface.observations import Images, RobotState
from ocrrl.interface.protocols import VLA
from ocrrl.policies.chunked_policy import ChunkedPolicy
from ocrrl.policies.compact_checkpoint import POLICY_TYPE, CompactCheckpoint, load_compact
from ocrrl.policies.image_sizes import require_images
from ocrrl.policies.latency_file import VLA_FILE, delay_of
from ocrrl.policies.normalisation import EPSILON, centred_images

if TYPE_CHECKING:
    from ocrrl.params import Params

REMOTE = "remote"
"""The policy type of a VLA on a policy server (`ocrrl.policies.remote`)."""
TRAINED_BY = ("finetune", "retrain")
TRAINED_BY_ALL = "retrain_multitask"


def load_vla(path: Path, device: str = "auto", expected: Mapping[str, bool] | None = None) -> VLA:
    """The VLA in the LeRobot `pretrained_model/` folder `path`, ready to act on `device` (auto, cpu, cuda), or on its server.

    `expected` are the policy types that it may be of, and for each whether its folder's own code may run
    (`expected_policies`); None: any type, and no code. The default VLA is opened without importing LeRobot, any other policy
    through LeRobot's own factory. Raises FileNotFoundError if there is no checkpoint at `path`, ValueError if its policy cannot
    drive this robot, or for a file in it that is damaged or could run code; PolicyFault for a server that does not answer as
    vla.json says.
    """
    found = policy_type(path)
    if expected is not None and found not in expected:
        raise ValueError(
            f"{path / (VLA_FILE if found == REMOTE else 'config.json')}: type must be {' or '.join(sorted(expected))}, as the "
            f"`policy` sections of params.yaml say, got {said(found)}; if that is the VLA that you mean, set policy.type there"
        )
    if found == REMOTE:
        from ocrrl.policies.remote.handshake import open_model
        from ocrrl.policies.remote.vla_file import read_vla_file

        return open_model(read_vla_file(path))
    device = chosen_device(device)
    if found == POLICY_TYPE:
        return CompactVLA(load_compact(path), device)
    from ocrrl.policies.lerobot_vla import load_lerobot_vla

    return load_lerobot_vla(path, device, found, (expected or {}).get(found, False))


def load_policy(
    path: Path,
    instruction: str,
    num_envs: int,
    device: str = "auto",
    expected: Mapping[str, bool] | None = None,
    cameras: CameraSizes | None = None,
) -> ChunkedPolicy:
    """The VLA in the folder `path` (`load_vla`) as a policy in `num_envs` environments, its chunks as late as its folder says.

    `cameras` are those that the environments take images with; ValueError where the VLA takes others.
    """
    vla = load_vla(path, device, expected)
    if cameras is not None:
        require_images(path, cameras)
    return ChunkedPolicy(vla, instruction, num_envs, delay=delay_of(path))


def expected_policies(params: "Params", tabletop_task: str) -> dict[str, bool]:
    """The policy types that the VLAs of a loop are trained as, each with its `allow_remote_code`.

    All sections that train count, since a later round goes on with what the one before promoted. No stage's result depends on
    them, only whether a checkpoint is opened at all, so dvc.yaml does not list them where a VLA is only used.
    """
    configs = [params.config(section, tabletop_task) for section in TRAINED_BY]
    configs.append(params.multitask_config(TRAINED_BY_ALL))
    allowed: dict[str, bool] = {}
    for config in configs:
        kind = config.policy["type"]
        allowed[kind] = allowed.get(kind, False) or config.policy.get("allow_remote_code", False)
    return allowed


def policy_type(path: Path) -> str:
    """The LeRobot policy type that the checkpoint at `path` names, or `remote` for a folder with a vla.json.

    Raises FileNotFoundError if there is none, ValueError for a config.json that is damaged or names no type, and for both files.
    """
    config = path / "config.json"
    if (path / VLA_FILE).is_file():
        if config.exists():
            raise ValueError(
                f"{path} must hold config.json (a model) or {VLA_FILE} (a model on a server), got both; remove one"
            )
        return REMOTE
    if not config.is_file():
        raise FileNotFoundError(
            f"{path} must be a LeRobot pretrained_model folder with a config.json, got no such file"
        )
    kind = read_json_object(config).get("type")
    if not isinstance(kind, str):
        raise ValueError(f"{config}: type must be the name of a LeRobot policy type, got {said(kind)}")
    return kind


class CompactVLA:
    """`interface.protocols.VLA` by a compact network."""

    def __init__(self, checkpoint: CompactCheckpoint, device: str = "cpu"):
        self.architecture = checkpoint.network.architecture
        self.chunk_size = self.architecture.chunk_size
        self.n_action_steps = self.architecture.n_action_steps or self.chunk_size
        self.network = checkpoint.network.eval().to(device)
        self.encoder = checkpoint.encoder
        self.device = device
        tensors = checkpoint.normalisation.tensors(device)
        self._state_mean, self._state_std, self._action_mean, self._action_std = tensors

    def predict_chunk(self, images: Images, robot: RobotState, instruction: str) -> Float[np.ndarray, "n H 7"]:
        """The next H actions for each of n robots, float32, within the step limits.

        Raises ValueError if a camera is missing or its images have another size than the VLA was trained on.
        """
        taken = {camera: self._image(images, camera) for camera in self.architecture.cameras}
        embedding = torch.from_numpy(self.encoder.embed(instruction)).to(self.device)
        state = torch.from_numpy(robot.proprioception()).to(self.device)
        with torch.inference_mode():
            state = (state - self._state_mean) / (self._state_std + EPSILON)
            chunk = self.network(taken, state, embedding.expand(len(state), -1))
            return limit(chunk * self._action_std + self._action_mean).cpu().numpy()

    def _image(self, images: Images, camera: str) -> torch.Tensor:
        if camera not in images:
            raise ValueError(
                f"images must hold the cameras {', '.join(self.architecture.cameras)}, got {', '.join(images)}"
            )
        shape = (*self.architecture.cameras[camera], 3)
        if images[camera].shape[1:] != shape:
            raise ValueError(f"images of camera {camera} must have shape (n, *{shape}), got {images[camera].shape}")
        return centred_images(images[camera], self.device)
