"""Opening a VLA checkpoint, whatever policy it holds."""

import json
from pathlib import Path

from ocrrl.interface.devices import chosen_device
from ocrrl.interface.protocols import VLA
from ocrrl.policies.compact_checkpoint import POLICY_TYPE, load_compact
from ocrrl.policies.compact_policy import CompactVLA


def load_vla(path: Path, device: str = "auto") -> VLA:
    """The VLA in the LeRobot `pretrained_model/` folder `path`, ready to act on `device` (auto, cpu, cuda).

    The default VLA is opened without importing LeRobot, any other policy through LeRobot's own factory. Raises
    FileNotFoundError if there is no checkpoint at `path`, ValueError if its policy cannot drive this robot.
    """
    device = chosen_device(device)
    if policy_type(path) == POLICY_TYPE:
        return CompactVLA(load_compact(path), device)
    from ocrrl.policies.lerobot_vla import load_lerobot_vla

    return load_lerobot_vla(path, device)


def policy_type(path: Path) -> str:
    """The LeRobot policy type that the checkpoint at `path` names; FileNotFoundError if there is none."""
    config = path / "config.json"
    if not config.is_file():
        raise FileNotFoundError(
            f"{path} must be a LeRobot pretrained_model folder with a config.json, got no such file"
        )
    return json.loads(config.read_text())["type"]
