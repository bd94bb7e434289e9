"""Asks openpi servers: msgpack over a websocket, one connection a server, several servers side by side.

Source: openpi, packages/openpi-client and src/openpi/serving/websocket_policy_server.py. The server speaks first (its metadata); an
error is its traceback as a text frame, then close code 1011. A stock server takes one observation a request and one request at a
time; `ocrrl serve-vla` takes batches and says so in its metadata.
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import numpy as np
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI
from websockets.sync.client import ClientConnection, connect

from ocrrl.interface.protocols import PolicyFault
from ocrrl.policies.remote.client import Failures, Question, Served
from ocrrl.policies.remote.tokens import Token
from ocrrl.policies.remote.wire import MOST_BYTES, WireError, pack_openpi, unpack_openpi

PROMPT = "prompt"
_CLOSING = 0.2  # [s] that a server is waited for when a connection is closed


class OpenpiClient:
    """`client.Client` of one openpi server or several that serve the same policy."""

    def __init__(self, addresses: list[str], token: Token | None = None) -> None:
        self._connections = [_Connection(address, token) for address in addresses]
        self._workers = ThreadPoolExecutor(len(addresses), thread_name_prefix="openpi")
        self._max_batch = 1

    def connect(self, timeout: float) -> Served:
        first, *others = self._side_by_side(lambda number: self._connections[number].open(timeout))
        for connection, metadata in zip(self._connections[1:], others, strict=True):
            if metadata != first:
                raise PolicyFault(
                    f"the policy servers at {self._connections[0].address} and {connection.address} must serve the same policy, "
                    "got other metadata; start both with the same checkpoint"
                )
        contract = Failures("openpi", self._connections[0].address, None).contract_in(first)
        self._max_batch = contract.max_batch if contract else 1
        return Served("openpi", first, max_batch=self._max_batch, contract=contract)

    def ask(self, question: Question, timeout: float) -> dict[str, np.ndarray]:
        deadline = time.monotonic() + timeout
        size = max(1, self._max_batch)
        parts = [question.take(slice(first, first + size)) for first in range(0, len(question), size)]
        count = len(self._connections)

        def answers(number: int) -> list[dict[str, np.ndarray]]:
            connection, mine = self._connections[number], parts[number::count]
            return [connection.ask(part, self._max_batch > 1, deadline - time.monotonic(), timeout) for part in mine]

        by_connection = self._side_by_side(answers)
        in_order = [by_connection[number % count][number // count] for number in range(len(parts))]
        keys = [key for key in in_order[0] if all(key in answer for answer in in_order)]
        return {key: _joined([answer[key] for answer in in_order], key) for key in keys}

    def _side_by_side[T](self, work: Callable[[int], T]) -> list[T]:
        """`work` of each connection's number; all have ended before an error is raised, since none has two users."""
        running = [self._workers.submit(work, number) for number in range(len(self._connections))]
        wait(running)
        return [each.result() for each in running]

    def close(self) -> None:
        for connection in self._connections:
            connection.drop()
        self._workers.shutdown(wait=False, cancel_futures=True)


class _Connection:
    """To one server."""

    def __init__(self, address: str, token: Token | None) -> None:
        self.address, self._token = address, token
        self._failures = Failures("openpi", address, token)
        self._socket: ClientConnection | None = None

    def open(self, timeout: float) -> dict[str, Any]:
        """The server's metadata."""
        self.drop()
        headers = {"Authorization": f"Api-Key {self._token.reveal()}"} if self._token else {}
        try:
            self._socket = connect(
                self.address,
                additional_headers=headers,
                compression=None,
                max_size=MOST_BYTES,
                ping_interval=None,  # a server that compiles answers no ping
                open_timeout=timeout,
                close_timeout=_CLOSING,
                proxy=None,
            )
        except InvalidStatus as error:
            if error.response.status_code in (401, 403):
                self._failures.unauthorised(f"HTTP status {error.response.status_code}")
            self._failures.not_understood(error)
        except (InvalidHandshake, InvalidURI) as error:
            self._failures.not_understood(error)
        except TimeoutError:
            self._failures.silent(timeout)
        except OSError as error:
            self._failures.lost(error)
        metadata = self._received(timeout, timeout)
        if not isinstance(metadata, dict):
            self._failures.not_understood(f"{type(metadata).__name__} in place of metadata")
        return metadata

    def ask(self, part: Question, batched: bool, remaining: float, timeout: float) -> dict[str, np.ndarray]:
        """The answer to `part`, each array with the robots' axis first."""
        if self._socket is None:
            self._failures.lost("no connection")
        try:
            self._socket.send(pack_openpi(observed(part, batched)))
        except ConnectionClosed as error:
            self.drop()
            self._failures.lost(error)
        reply = self._received(remaining, timeout)
        if not isinstance(reply, dict):
            self._failures.not_understood(f"{type(reply).__name__} in place of actions")
        arrays = {key: value for key, value in reply.items() if isinstance(value, np.ndarray) and value.ndim}
        return arrays if batched else {key: value[None] for key, value in arrays.items()}

    def drop(self) -> None:
        """Let go of the connection: what still comes on it belongs to no later question."""
        if self._socket is not None:
            socket, self._socket = self._socket, None
            socket.close()

    def _received(self, remaining: float, timeout: float) -> Any:
        assert self._socket is not None
        try:
            data = self._socket.recv(timeout=max(remaining, 1e-3))
            if isinstance(data, bytes):
                return unpack_openpi(data)
        except TimeoutError:
            self.drop()
            self._failures.silent(timeout)
        except ConnectionClosed as error:
            self.drop()
            self._failures.lost(error)
        except WireError as error:
            self.drop()
            self._failures.not_understood(error)
        self.drop()  # the server closes it, too
        lines = data.strip().splitlines()
        self._failures.refused(lines[-1] if lines else "an empty text")


def observed(question: Question, batched: bool) -> dict[str, Any]:
    """A request about the robots of `question`, or about its only one without the robots' axis."""
    images = {key: np.ascontiguousarray(frames) for key, frames in question.images.items()}
    state = {key: value.astype(np.float32) for key, value in question.state.items()}
    arrays = {**images, **state}
    if not batched:
        arrays = {key: value[0] for key, value in arrays.items()}
    return {**arrays, question.prompt: question.instruction}


def _joined(answers: list[np.ndarray], key: str) -> np.ndarray:
    try:
        return np.concatenate(answers)
    except ValueError as error:
        shapes = ", ".join(sorted({str(answer.shape[1:]) for answer in answers}))
        raise PolicyFault(
            f"the answers to one question must be of one shape, got {key} of shapes {shapes}: servers of different policies?"
        ) from error
