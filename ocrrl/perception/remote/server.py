"""A pose server: takes requests one after the other, and answers each with a pose or with what was wrong.

    python -m ocrrl.perception.remote.server --backend ocrrl.perception.remote.foundation_pose:open_backend --meshes meshes

It listens on this machine only, unless `--bind` names another address: there is no password, so only name one of a network
that you trust.
"""

import argparse
import importlib
import ipaddress
import re
import socket
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import zmq

from ocrrl.perception.remote.protocol import (
    MAX_REQUEST_BYTES,
    ErrorReply,
    PoseReply,
    PoseRequest,
    ProtocolError,
    pack_reply,
    unpack_reply,
    unpack_request,
)

_FORM = re.compile(r"tcp://(?P<host>\[[^\[\]/]+\]|[^\[\]:/*;\s]+):(?P<port>\*|[0-9]{1,5})")


def numeric_address(address: str) -> str:
    """`address`, such as tcp://localhost:5555, with its host's number; ValueError unless it names one network of this machine.

    `0`, `0x0`, `00.0.0.0` and `[::ffff:0.0.0.0]` are ways to write 0.0.0.0, which is every network at once.
    """
    found = _FORM.fullmatch(address)
    if found is None or (found["port"] != "*" and int(found["port"]) > 65535):
        raise ValueError(f"address must be tcp://HOST:PORT, on this machine tcp://127.0.0.1:5555, got {address!r}")
    host = found["host"].strip("[]")
    try:
        resolved = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ValueError(f"address must name a host that is known here, got {address!r}: {error}") from error
    numbers = [str(entry[4][0]) for entry in resolved]
    if any(is_every_network(number) for number in numbers):
        raise ValueError(f"address must name the one network to listen on, got {address!r}; on this machine: 127.0.0.1")
    number = numbers[0]
    return f"tcp://[{number}]:{found['port']}" if ":" in number else f"tcp://{number}:{found['port']}"


def is_every_network(number: str) -> bool:
    """Whether the IP address `number` stands for all of this machine's, or for a group of machines."""
    address = ipaddress.ip_address(number)
    plain = getattr(address, "ipv4_mapped", None) or address
    return plain.is_unspecified or plain.is_multicast


def host_of(endpoint: str) -> str:
    """The number in what ZMQ calls its last endpoint, tcp://127.0.0.1:5555."""
    return endpoint.removeprefix("tcp://").rpartition(":")[0].strip("[]")


DEFAULT_ADDRESS = "tcp://127.0.0.1:5555"
_LOOK_EVERY = 100  # [ms] at the event that ends it
_WAITING = 8  # requests of one client that are kept until they are read


class PoseBackend(Protocol):
    """A pose estimator that keeps one registration an object; poses are the object's in the camera's optical frame."""

    def register(self, request: PoseRequest) -> PoseReply:
        """Find the object anew, in `request.mask`; raises RuntimeError where it cannot."""
        ...

    def track(self, request: PoseRequest) -> PoseReply:
        """Follow the object from its last pose; raises RuntimeError where it cannot."""
        ...


OpenBackend = Callable[[Path], PoseBackend]
"""Makes a backend from the folder of the objects' meshes."""


def on_stderr(text: str) -> None:
    """Where a server tells of faults that are not the client's."""
    print(text, file=sys.stderr, flush=True)


class PoseServer:
    """Answers requests with a backend, and knows which session registered which object."""

    def __init__(self, backend: PoseBackend, told: Callable[[str], object] = on_stderr) -> None:
        """`told` gets the traceback of a fault that nobody foresaw."""
        self._backend, self._told = backend, told
        self._registered: dict[str, str] = {}

    def answer(self, *parts: bytes) -> bytes:
        """The reply to a message, whatever it holds and whatever becomes of it: a fault of one request ends no server."""
        if len(parts) != 1:
            return pack_reply(ErrorReply("bad_request", f"request must be a message of one part, got {len(parts)}"))
        try:
            request = unpack_request(parts[0])
        except ProtocolError as error:
            return pack_reply(ErrorReply("bad_request", str(error)))
        except Exception as error:  # of ours: the request is lost, the others are not
            self._told(traceback.format_exc())
            return pack_reply(ErrorReply("bad_request", f"request: {type(error).__name__}: {error}"))
        try:
            return self._estimated(request)
        except (RuntimeError, ValueError, KeyError) as error:
            what = str(error)
        except Exception as error:  # the backend is anybody's
            self._told(traceback.format_exc())
            what = f"{type(error).__name__}: {error}"
        return pack_reply(ErrorReply("failed", f"{request.kind} of {request.object_name}: {what}"))

    def _estimated(self, request: PoseRequest) -> bytes:
        name, session = request.object_name, request.session
        if request.kind == "track":
            if self._registered.get(name) != session:
                error = f"{name} must be registered by session {session} before it is tracked"
                return pack_reply(ErrorReply("not_registered", error))
            return _checked(self._backend.track(request))
        self._registered.pop(name, None)
        reply = _checked(self._backend.register(request))
        self._registered[name] = session
        return reply


def _checked(reply: PoseReply) -> bytes:
    """The message of a backend's `reply`; ProtocolError where no client could use it."""
    message = pack_reply(reply)
    unpack_reply(message)
    return message


def serve(
    server: PoseServer, address: str, over: threading.Event, listening: Callable[[str], object] = lambda address: None
) -> None:
    """Answer requests at `address` until `over`; `listening` is told the address, its port resolved.

    Raises ValueError for an address that names no single network, or that cannot be listened on.
    """
    number = numeric_address(address)
    context = zmq.Context()
    socket = context.socket(zmq.REP)
    try:
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.MAXMSGSIZE, MAX_REQUEST_BYTES)  # a larger one is cut off before it is in memory
        socket.setsockopt(zmq.RCVHWM, _WAITING)
        socket.setsockopt(zmq.IPV6, number.startswith("tcp://["))
        endpoint = _bound(socket, number, address)
        listening(endpoint)
        while not over.is_set():
            if socket.poll(_LOOK_EVERY):
                socket.send(server.answer(*socket.recv_multipart()))
    finally:
        socket.close()
        context.term()


def _bound(socket: "zmq.Socket[bytes]", number: str, address: str) -> str:
    try:
        socket.bind(number)
    except zmq.ZMQError as error:
        raise ValueError(f"address must be one of this machine with a free port, got {address!r}: {error}") from error
    endpoint = socket.getsockopt_string(zmq.LAST_ENDPOINT)
    if is_every_network(host_of(endpoint)):
        raise ValueError(f"address must name the one network to listen on, got {address!r}, which is {endpoint}")
    return endpoint


def load_backend(name: str) -> OpenBackend:
    """The function `module:function`; ValueError where there is none."""
    module, _, function = name.partition(":")
    try:
        return getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"backend must be module:function that can be imported, got {name!r}: {error}") from error


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m ocrrl.perception.remote.server", description=__doc__)
    parser.add_argument("--backend", required=True, help="module:function that makes the estimator from a folder")
    parser.add_argument("--meshes", type=Path, required=True, help="folder with <object>.ply or <object>.obj, metres")
    parser.add_argument("--bind", default=DEFAULT_ADDRESS, help=f"address to listen on (default {DEFAULT_ADDRESS})")
    options = parser.parse_args(arguments)
    try:
        numeric_address(options.bind)  # before minutes are spent on the backend
        server = PoseServer(load_backend(options.backend)(options.meshes))
        serve(server, options.bind, threading.Event(), lambda address: print(f"listening on {address}", flush=True))
    except (RuntimeError, ValueError) as error:
        print(f"pose server: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
