"""The `policy` section of a VLA on a policy server: `policy: {type: remote, protocol: gr00t, ...}`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from ocrrl.config_builder import build
from ocrrl.policies.action_forms.action_form import action_form
from ocrrl.policies.remote.addresses import LOOPBACK, require_address
from ocrrl.policies.remote.state_words import require_words
from ocrrl.policies.remote.tokens import require_place

Protocol = Literal["gr00t", "openpi"]
PROTOCOLS: tuple[Protocol, ...] = get_args(Protocol)


@dataclass(frozen=True, kw_only=True)
class RemoteConfig:
    """A policy server and how its inputs and outputs are ours. What `ocrrl serve-vla` says of itself may be left out."""

    type: Literal["remote"] = "remote"
    protocol: Protocol
    address: str | Mapping[str, str] = ""
    """The server's, or `env:NAME`; by default the protocol's own port on this machine. A mapping names one for each VLA that
    the pipeline trains: sim, real, retrained, demonstrations_only, base_rollouts. `openpi`: several with commas between them
    answer side by side."""
    token: str = ""
    """Where the token is kept: `env:NAME` or `file:PATH`; empty for a server without one."""
    cameras: Mapping[str, str] = field(default_factory=dict)
    """The server's key by our camera's name."""
    state: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)
    """What of the robot's state each of the server's keys is sent: words of `state_words`."""
    prompt: str = ""
    """The server's key of the instruction; by default the protocol's usual one."""
    actions: Mapping[str, Any] = field(default_factory=dict)
    """The form of the server's actions, as `action_forms` has it; empty: our own 7 numbers."""
    chunk_size: int = 0
    """H, the actions in a chunk, at our 20 Hz; 0: what the server says."""
    n_action_steps: int = 0
    """Control steps from one question to the next; 0: what the server says, else the whole chunk."""
    timeout: float = 5.0
    """[s] for an answer, a lost connection's renewal included."""
    first_timeout: float = 120.0
    """[s] for the first answer, at which a server may compile."""

    def __post_init__(self) -> None:
        addresses = self.address if isinstance(self.address, Mapping) else {"": self.address}
        for address in addresses.values():
            if address or isinstance(self.address, Mapping):
                require_address(self.protocol, address)
        if self.token:
            require_place(self.token)
        for key, words in self.state.items():
            require_words(f"state.{key}", words_of(words))
        action_form(self.actions, "actions")
        keys = [*self.cameras.values(), *self.state]
        if repeated := sorted({key for key in keys if keys.count(key) > 1}):
            raise ValueError(
                f"cameras and state must name each key of the server once, got {', '.join(repeated)} twice"
            )
        for name in ("chunk_size", "n_action_steps"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be at least 1, or 0 for what the server says, got {getattr(self, name)}")
        for name in ("timeout", "first_timeout"):
            if not 0 < getattr(self, name) <= 3600:
                raise ValueError(f"{name} must be a time above 0 s, at most an hour, got {getattr(self, name):g}")

    def address_of(self, vla: str) -> str:
        """The address for the VLA of the pipeline named `vla`; ValueError where the mapping has none."""
        if not isinstance(self.address, Mapping):
            return self.address or LOOPBACK[self.protocol]
        if vla not in self.address:
            raise ValueError(
                f"policy.address must name a server for the VLA {vla}, got addresses for {', '.join(self.address) or 'none'}"
            )
        return self.address[vla]


def remote_config(policy: Mapping[str, Any]) -> RemoteConfig:
    """The section `policy` of type remote; ParamsError (a ValueError) that names the field and the valid ones."""
    return build(RemoteConfig, policy, "policy", complete=False)


def words_of(words: str | tuple[str, ...]) -> tuple[str, ...]:
    return (words,) if isinstance(words, str) else tuple(words)
