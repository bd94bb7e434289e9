"""What the clients of both protocols have in common: a question, what a server says of itself, and how a server fails.

Legend: n robots, H actions in a chunk, D numbers of a key.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn, Protocol

import numpy as np
from jaxtyping import Float, UInt8

from ocrrl.interface.protocols import PolicyFault
from ocrrl.policies.remote.contract import Contract, contract_in
from ocrrl.policies.remote.tokens import Token
from ocrrl.printable import one_line

_LONGEST = 300  # characters of a server's own text


class ServerLost(PolicyFault):
    """The connection is gone or cannot be made: the same question may be asked again when the server is back."""


class ServerSilent(PolicyFault):
    """No answer came in time."""


@dataclass(frozen=True)
class Question:
    """The observations of n robots, by the server's keys."""

    images: Mapping[str, UInt8[np.ndarray, "n h w 3"]]
    state: Mapping[str, Float[np.ndarray, "n D"]]
    prompt: str
    """The server's key of the instruction."""
    instruction: str

    def __len__(self) -> int:
        return len(next(iter(self.images.values())))

    def take(self, rows: slice) -> "Question":
        """The question about the robots `rows` only."""
        images, state = ({key: value[rows] for key, value in part.items()} for part in (self.images, self.state))
        return Question(images, state, self.prompt, self.instruction)


@dataclass(frozen=True)
class Served:
    """What a server says of itself when a client connects."""

    version: str
    """`openpi`, `n1.5` or `n1.6` (N1.7's messages are the same)."""
    metadata: Mapping[str, Any]
    """JSON, as the server said it."""
    keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The server's own of `cameras`, `state`, `actions` and `prompt`, where it tells them."""
    chunk_size: int = 0
    """Rows of an answer; 0 where the server does not tell."""
    max_batch: int = 1
    """Robots in one request; 0 for any number."""
    contract: Contract | None = None
    """What `ocrrl serve-vla` tells beyond the protocol; None of any other server."""


class Client(Protocol):
    """A connection to a policy server. Errors are `PolicyFault`s of one line; `connect` comes first, and again after each error."""

    def connect(self, timeout: float) -> Served:
        """Connect anew within `timeout` [s]; what the server says of itself."""
        ...

    def ask(self, question: Question, timeout: float) -> dict[str, Float[np.ndarray, "n H D"]]:
        """The server's actions by its keys, within `timeout` [s]; shapes and numbers as it sent them."""
        ...

    def close(self) -> None:
        """Let go of the server."""
        ...


class Failures:
    """The words for how the server at `address` fails."""

    def __init__(self, protocol: str, address: str, token: Token | None) -> None:
        self._subject, self._token = f"the policy server at {address} ({protocol})", token

    def lost(self, why: object) -> NoReturn:
        raise ServerLost(f"{self._subject} must be reachable, got: {self._said(why)}; start it, or correct its address")

    def silent(self, timeout: float) -> NoReturn:
        raise ServerSilent(
            f"{self._subject} must answer in time, waited {max(timeout, 0.0):.3g} s for it: is it still loading or compiling, or is "
            "another client keeping it busy? `timeout` and `first_timeout` in the `policy` section say how long it is waited for"
        )

    def unauthorised(self, why: object) -> NoReturn:
        given = "another one was given" if self._token else "none was given"
        raise PolicyFault(
            f"{self._subject} must be given its token, {given} ({self._said(why)}); `token` in the `policy` section names the "
            "variable or file that holds it"
        )

    def refused(self, why: object) -> NoReturn:
        raise PolicyFault(
            f"{self._subject} must answer, got its error: {self._said(why)}; its own log says more, and `cameras`, `state` and "
            "`prompt` in the `policy` section say what it is sent"
        )

    def not_understood(self, why: object) -> NoReturn:
        raise PolicyFault(f"{self._subject} must speak that protocol, got: {self._said(why)}")

    def contract_in(self, metadata: Mapping[str, Any]) -> Contract | None:
        """As `contract.contract_in`, of a server that must be of this version."""
        try:
            return contract_in(metadata)
        except ValueError as error:
            self.not_understood(error)

    def _said(self, why: object) -> str:
        text = one_line(str(why).strip() or type(why).__name__)
        text = self._token.hidden_in(text) if self._token else text
        return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ..."
