"""Asks an Isaac-GR00T server: msgpack over ZMQ REQ/REP. N1.5's flat messages, N1.6's and N1.7's nested ones.

Sources: Isaac-GR00T, gr00t/eval/service.py (tag n1.5-release), gr00t/policy/server_client.py (N1.6). Those clients never apply their
time-out; this one does, and takes a new socket after each failure, since a REQ socket without its answer can ask nothing more.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import zmq

from ocrrl.policies.remote.client import Failures, Question, Served
from ocrrl.policies.remote.contract import KEY
from ocrrl.policies.remote.tokens import Token
from ocrrl.policies.remote.wire import MOST_BYTES, ModalityConfig, WireError, pack_gr00t, unpack_gr00t

FLAT, NESTED = "n1.5", "n1.6"
PROMPTS = {FLAT: "annotation.human.action.task_description", NESTED: "annotation.human.task_description"}
"""The usual key of the instruction by version."""
_KEYS = {"video": "cameras", "state": "state", "action": "actions", "language": "prompt"}
PREFIXES = {"cameras": "video.", "state": "state.", "actions": "action."}
"""Of the keys in N1.5's messages; in params.yaml, vla.json and to callers keys are without them."""


class Gr00tClient:
    """`client.Client` of an Isaac-GR00T server, or of `ocrrl serve-vla --protocol gr00t`."""

    def __init__(self, address: str, token: Token | None = None) -> None:
        self._address, self._token = address, token
        self._failures = Failures("gr00t", address, token)
        self._socket: zmq.Socket[bytes] | None = None
        self._version = NESTED

    def connect(self, timeout: float) -> Served:
        self._drop()
        self._request("ping", None, timeout)
        modalities = self._request("get_modality_config", None, timeout)
        configs = {name: value for name, value in modalities.items() if isinstance(value, ModalityConfig)}
        if "action" not in configs:
            self._failures.not_understood(f"a modality config without action ({', '.join(map(str, modalities))})")
        self._version = FLAT if any(config.as_text for config in configs.values()) else NESTED
        metadata: dict[str, Any] = {name: config.as_json() for name, config in configs.items()}
        metadata |= {KEY: modalities[KEY]} if KEY in modalities else {}
        keys = {
            _KEYS[name]: tuple(bare(key, _KEYS[name]) for key in config.modality_keys)
            for name, config in configs.items()
            if name in _KEYS
        }
        chunk_size, contract = len(configs["action"].delta_indices), self._failures.contract_in(metadata)
        return Served(self._version, metadata, keys, chunk_size, max_batch=0, contract=contract)

    def ask(self, question: Question, timeout: float) -> dict[str, np.ndarray]:
        reply = self._request("get_action", observed(question, self._version), timeout)
        if isinstance(reply, list):  # [actions, info] since N1.6
            reply = reply[0] if reply and isinstance(reply[0], dict) else {}
        return {bare(key, "actions"): value for key, value in reply.items() if isinstance(value, np.ndarray)}

    def close(self) -> None:
        self._drop()

    def _request(self, endpoint: str, data: Any, timeout: float) -> Any:
        message = {"endpoint": endpoint} | ({} if data is None else {"data": data})
        if self._token is not None:
            message["api_token"] = self._token.reveal()
        try:
            reply = unpack_gr00t(self._exchange(pack_gr00t(message), timeout))
        except WireError as error:
            self._failures.not_understood(error)
        if isinstance(reply, Mapping) and "error" in reply:
            if "unauthori" in str(reply["error"]).lower():
                self._failures.unauthorised(reply["error"])
            self._failures.refused(reply["error"])
        if not isinstance(reply, dict | list):
            self._failures.not_understood(f"{type(reply).__name__} in answer to {endpoint}")
        return reply

    def _exchange(self, message: bytes, timeout: float) -> bytes:
        limit = max(1, math.ceil(1000 * timeout))
        try:
            if self._socket is None:
                self._socket = self._connected()
            self._socket.setsockopt(zmq.SNDTIMEO, limit)
            self._socket.setsockopt(zmq.RCVTIMEO, limit)
            self._socket.send(message)
            return self._socket.recv()
        except zmq.Again:
            self._drop()
            self._failures.silent(timeout)
        except zmq.ZMQError as error:
            self._drop()
            self._failures.lost(error)

    def _connected(self) -> "zmq.Socket[bytes]":
        # The process's own context, which is never ended: one that is collected as garbage waits for its open sockets.
        socket = zmq.Context.instance().socket(zmq.REQ)
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.MAXMSGSIZE, MOST_BYTES)
        socket.setsockopt(zmq.IPV6, "[" in self._address)
        socket.connect(self._address)
        return socket

    def _drop(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def bare(key: str, kind: str) -> str:
    """`key` of `cameras`, `state` or `actions` without N1.5's prefix."""
    return key.removeprefix(PREFIXES.get(kind, ""))


def observed(question: Question, version: str) -> dict[str, Any]:
    """`data` of get_action: each array with an axis for time, of length 1, after the robots'."""
    images = {key: np.ascontiguousarray(frames)[:, None] for key, frames in question.images.items()}
    instructions = [question.instruction] * len(question)
    if version == FLAT:
        flat: dict[str, Any] = {PREFIXES["cameras"] + key: frames for key, frames in images.items()}
        for key, value in question.state.items():
            flat[PREFIXES["state"] + key] = value[:, None].astype(np.float64)
        return {**flat, question.prompt: instructions}
    state = {key: value[:, None].astype(np.float32) for key, value in question.state.items()}
    language = {question.prompt: [[instruction] for instruction in instructions]}
    return {"observation": {"video": images, "state": state, "language": language}, "options": None}
