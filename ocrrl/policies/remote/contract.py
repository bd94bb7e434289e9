"""What `ocrrl serve-vla` says of the checkpoint that it serves, beyond what the protocols have words for."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ocrrl.config_builder import build
from ocrrl.policies.remote.state_words import require_words

KEY = "ocrrl"
"""Where it stands in openpi's metadata and in GR00T's modality config."""


@dataclass(frozen=True)
class Camera:
    """One camera as a server gets it."""

    key: str
    size: tuple[int, int]
    """Height and width [pixel]."""


@dataclass(frozen=True, kw_only=True)
class Contract:
    """Inputs and outputs of a served checkpoint, by the keys of the protocol."""

    identity: str
    """Fingerprint of the checkpoint's folder (`ocrrl.files.fingerprint`)."""
    policy: str
    """The checkpoint's policy type."""
    cameras: Mapping[str, Camera]
    """By our names."""
    state: Mapping[str, tuple[str, ...]]
    """Words of the robot's state (`state_words`) by key."""
    prompt: str
    actions: Mapping[str, Any]
    """The form of the actions (`action_forms`); empty: our own steps."""
    chunk_size: int
    n_action_steps: int
    max_batch: int
    """Robots in one request."""
    instructions: tuple[str, ...] = ()
    """What the checkpoint was trained on, where its folder says so."""

    def __post_init__(self) -> None:
        for key, words in self.state.items():
            require_words(f"state.{key}", words)
        for name in ("chunk_size", "n_action_steps", "max_batch"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")

    def message(self) -> dict[str, Any]:
        """As it is sent."""
        return asdict(self)


def contract_in(metadata: Mapping[str, Any]) -> Contract | None:
    """The contract in what a server says of itself, None where there is none; ValueError for one of another version."""
    return (
        build(Contract, metadata[KEY], f"{KEY} in the server's description", complete=False)
        if KEY in metadata
        else None
    )
