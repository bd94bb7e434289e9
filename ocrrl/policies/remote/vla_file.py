"""`vla.json`: a VLA on a policy server, as a folder that the pipeline takes like any other VLA's.

It holds the mapping between the server's keys and this robot, and what the server said of itself when the file was written; no
weights and no token.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ocrrl import files
from ocrrl.config_builder import build
from ocrrl.interface.json_file import read_json_object, said
from ocrrl.policies.action_forms.action_form import action_form
from ocrrl.policies.latency_file import VLA_FILE as NAME
from ocrrl.policies.remote.addresses import require_address
from ocrrl.policies.remote.client import Served
from ocrrl.policies.remote.contract import Camera
from ocrrl.policies.remote.remote_config import Protocol
from ocrrl.policies.remote.state_words import require_words
from ocrrl.policies.remote.tokens import require_place

FORMAT_VERSION = 1
BYTES_ELSEWHERE = "a remote model: its weights are on the server, not in this project, and nothing here can check them"


@dataclass(frozen=True, kw_only=True)
class RemoteModel:
    """The content of `vla.json`."""

    protocol: Protocol
    address: str
    token: str
    """Where it is kept (`tokens.PLACES`); empty for none."""
    cameras: Mapping[str, Camera]
    """By our names."""
    state: Mapping[str, tuple[str, ...]]
    """Words of the robot's state by the server's key."""
    prompt: str
    actions: Mapping[str, Any]
    """The form of the server's actions, for `action_forms`."""
    chunk_size: int
    n_action_steps: int
    timeout: float
    first_timeout: float
    version: str
    metadata: Mapping[str, Any]
    """What the server said of itself."""
    identity: str
    """`checkpoint` and the fingerprint that `ocrrl serve-vla` tells, or `metadata` and the fingerprint of `metadata`."""

    def __post_init__(self) -> None:
        require_address(self.protocol, self.address)
        if self.token:
            require_place(self.token)
        for key, words in self.state.items():
            require_words(f"state.{key}", words)
        action_form(self.actions, "actions")
        if not self.cameras:
            raise ValueError("cameras must name at least one camera, got none")
        if not 1 <= self.n_action_steps <= self.chunk_size:
            raise ValueError(f"n_action_steps must be in [1, {self.chunk_size}], got {self.n_action_steps}")


def write_vla_file(folder: Path, model: RemoteModel) -> None:
    """Write `folder`/vla.json."""
    files.write_json(folder / NAME, {"format_version": FORMAT_VERSION, **asdict(model)})


def read_vla_file(folder: Path) -> RemoteModel:
    """The content of `folder`/vla.json; ValueError naming the field that is missing, unknown or wrong."""
    path = folder / NAME
    content = read_json_object(path)
    if (version := content.pop("format_version", None)) != FORMAT_VERSION:
        raise ValueError(f"{path}: format_version must be {FORMAT_VERSION}, got {said(version)}")
    return build(RemoteModel, content, f"{path}:", complete=False)


def identity_of(served: Served) -> str:
    """Tells one model from another as far as the server lets it be known."""
    if served.contract is not None:
        return f"checkpoint {served.contract.identity}"
    text = json.dumps([served.version, plain(served.metadata)], sort_keys=True)
    return f"metadata {hashlib.sha256(text.encode()).hexdigest()[:16]}"


def plain(value: Any) -> Any:
    """`value`, which a server sent, as JSON: arrays as lists, long ones and what is no JSON as short texts."""
    if isinstance(value, np.ndarray | np.generic):
        value = (
            value.tolist()
            if value.size <= 256
            else f"array {value.shape} {hashlib.sha256(value.tobytes()).hexdigest()[:16]}"
        )
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int) and abs(value) <= 2**53:
        return value
    if isinstance(value, float) and math.isfinite(value) and abs(value) <= 1e12:
        return value
    return repr(value)[:200]
