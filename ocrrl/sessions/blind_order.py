"""The random order of the variants inside each pair of a blind session.

A seed gives the order; the plan holds SHA-256 of salt and seed alone, so that it fixes the order and does not tell it. Seed and salt
lie in a file of their own until the session is unlocked; then `session.json` holds them, and whoever has it can compute both again.
"""

import hashlib
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from ocrrl import files
from ocrrl.interface.json_file import read_json_object

ORDER_FILE = "sealed_order.json"
LABELS = ("first", "second")
"""What the episodes of a pair are called while their session is blind: when they run, not who acts."""
_BYTES = 16
_HEX = re.compile(f"[0-9a-f]{{{2 * _BYTES}}}")


@dataclass(frozen=True)
class BlindOrder:
    """Seed and salt, 32 hex digits each."""

    seed: str
    salt: str

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not isinstance(value, str) or not _HEX.fullmatch(value):
                raise ValueError(f"{name} must be {2 * _BYTES} hex digits, got another value")

    @classmethod
    def draw(cls, random_hex: Callable[[int], str] = secrets.token_hex) -> "BlindOrder":
        """A new order; `random_hex` gives so many random bytes as hex digits."""
        return cls(random_hex(_BYTES), random_hex(_BYTES))

    @property
    def commitment(self) -> str:
        """SHA-256 of salt and seed, as hex digits: what the plan says of the order."""
        return hashlib.sha256(bytes.fromhex(self.salt + self.seed)).hexdigest()

    def variants(self, pair: int, variants: Sequence[str]) -> tuple[str, ...]:
        """`variants` in the order in which they run in the pair with that number, from 0; each order is as likely."""
        drawn = np.random.default_rng([int(self.seed, 16), pair]).permutation(len(variants))
        return tuple(variants[int(index)] for index in drawn)


def write_order(folder: Path, order: BlindOrder) -> None:
    """Write `order` into the session's `folder`, readable by its owner alone."""
    files.write_json(folder / ORDER_FILE, asdict(order))
    (folder / ORDER_FILE).chmod(0o600)


def read_order(folder: Path, commitment: str) -> BlindOrder:
    """The order of the session in `folder`; ValueError unless it is the one that the plan's `commitment` stands for."""
    path = folder / ORDER_FILE
    remedy = "restore the file (`dvc checkout`, or a copy of the session): without it nobody knows which variant acted"
    content = read_json_object(path, remedy)
    try:
        order = BlindOrder(**content)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: seed and salt must be those of the session, got: {error}; {remedy}") from error
    if order.commitment != commitment:
        raise ValueError(
            f"{path}: SHA-256 of salt and seed must be {commitment}, the order_sha256 of the plan, got {order.commitment}; {remedy}"
        )
    return order
