"""The sizes of the default VLA's network; imports no torch."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from ocrrl.config_builder import build, listed
from ocrrl.interface.cameras import DEFAULT_CAMERAS, CameraSizes
from ocrrl.policies.policy_type import COMPACT

_MOST_CAMERAS, _MOST_PIXELS = 16, 4096
_MOST = dict.fromkeys(("chunk_size", "n_action_steps", "channels", "keypoints"), 1024) | dict.fromkeys(
    ("camera_features", "hidden"), 8192
)
"""A damaged size is named, and not allocated."""


@dataclass(frozen=True)
class CompactArchitecture:
    """What a compact VLA is built from."""

    cameras: CameraSizes
    """Multiples of 8, which the strides of the convolutions divide."""
    chunk_size: int = 16
    n_action_steps: int | None = None
    """Actions of a chunk that are carried out before the next one is asked for; None: the whole chunk."""
    channels: int = 16
    keypoints: int = 24
    camera_features: int = 96
    hidden: int = 256

    def __post_init__(self):
        if not self.cameras:
            raise ValueError("compact_vla.cameras must name at least one camera, got none")
        if len(self.cameras) > _MOST_CAMERAS:
            raise ValueError(f"compact_vla.cameras must be at most {_MOST_CAMERAS}, got {len(self.cameras)}")
        object.__setattr__(self, "cameras", {name: self.cameras[name] for name in sorted(self.cameras)})
        for camera, sizes in self.cameras.items():
            if any(size < 16 or size % 8 or size > _MOST_PIXELS for size in sizes):
                raise ValueError(
                    f"compact_vla image height and width must be multiples of 8 from 16 to {_MOST_PIXELS}, got {sizes} of {camera}: "
                    "declare such a size under `cameras` in params.yaml"
                )
        for name, most in _MOST.items():
            value = getattr(self, name)
            if value is None and name == "n_action_steps":
                continue
            if type(value) is not int or not 1 <= value <= most:
                raise ValueError(f"compact_vla.{name} must be a whole number from 1 to {most}, got {value!r}")
        if self.n_action_steps is None:
            object.__setattr__(self, "n_action_steps", self.chunk_size)
        elif not 1 <= self.n_action_steps <= self.chunk_size:
            raise ValueError(f"compact_vla.n_action_steps must be in [1, {self.chunk_size}], got {self.n_action_steps}")


def compact_sizes(policy: Mapping[str, Any]) -> dict[str, Any]:
    """The sizes that `policy` sets, as whole numbers. ValueError for one that is none of a compact VLA's, or out of range."""
    given = {name: value for name, value in policy.items() if name not in ("type", "allow_remote_code")}
    known = [field.name for field in fields(CompactArchitecture) if field.name != "cameras"]
    if unknown := [name for name in given if name not in known]:
        raise ValueError(f"policy of type {COMPACT} must set only {', '.join(known)}, got {listed(unknown)}")
    architecture = build(CompactArchitecture, {"cameras": DEFAULT_CAMERAS} | given, "policy", complete=False)  # for now
    return {name: getattr(architecture, name) for name in given}
