"""Opens a VLA checkpoint of any policy type, after its folder was checked."""

from collections.abc import Mapping
from pathlib import Path

from ocrrl.interface.cameras import CameraSizes
from ocrrl.interface.devices import chosen_device
from ocrrl.interface.json_file import said
from ocrrl.interface.protocols import VLA
from ocrrl.policies.chunked_policy import ChunkedPolicy
from ocrrl.policies.image_sizes import require_images
from ocrrl.policies.latency_file import VLA_FILE, delay_of
from ocrrl.policies.policy_type import COMPACT, REMOTE, policy_type


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
    if found == COMPACT:
        from ocrrl.policies.compact_checkpoint import load_compact
        from ocrrl.policies.compact_policy import CompactVLA

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
