"""Serves by Isaac-GR00T's protocol of N1.6 and N1.7: nested messages over ZMQ; several clients' questions are answered together.

The endpoints are ping, get_modality_config, get_action and reset, which has nothing to do; there is none that ends the server. A token
is checked (`api_token`), as in N1.5.
"""

import socket
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

import zmq

from ocrrl.policies.remote.contract import KEY
from ocrrl.policies.remote.gr00t_client import NESTED, PROMPTS
from ocrrl.policies.remote.serving.service import Service
from ocrrl.policies.remote.wire import MOST_BYTES, ModalityConfig, pack_gr00t, unpack_gr00t
from ocrrl.printable import one_line

IMAGE_KEY, STATE_KEY, PROMPT = "{}", "{}", PROMPTS[NESTED]
ACTIONS = "actions"
UNAUTHORISED = "Unauthorized: Invalid API token"
_LOOK_EVERY = 100  # [ms] at the event that ends it
_WAITING = 16  # questions of one client that are kept until they are read


def serve_gr00t(
    service: Service, host: str, port: int, over: threading.Event, listening: Callable[[str], object]
) -> None:
    """Answer until `over`; `listening` is told the address. OSError where the port cannot be had."""
    context = zmq.Context()
    router, (wake, woken) = context.socket(zmq.ROUTER), socket.socketpair()
    answered: deque[tuple[list[bytes], bytes]] = deque()

    def reply(envelope: list[bytes], message: Any) -> None:
        answered.append((envelope, pack_gr00t(message)))
        wake.send(b"\0")

    try:
        name = f"[{host}]" if ":" in host else host
        router.setsockopt(zmq.LINGER, 0)
        router.setsockopt(zmq.MAXMSGSIZE, MOST_BYTES)
        router.setsockopt(zmq.RCVHWM, _WAITING)
        router.setsockopt(zmq.IPV6, ":" in host)
        router.bind(f"tcp://{name}:{port or '*'}")
        listening(router.getsockopt_string(zmq.LAST_ENDPOINT))
        poller = zmq.Poller()
        poller.register(router, zmq.POLLIN)
        poller.register(woken, zmq.POLLIN)
        while not over.is_set():
            events = dict(poller.poll(_LOOK_EVERY))
            if woken.fileno() in events:
                woken.recv(4096)
            if router in events:
                *envelope, data = router.recv_multipart()
                _take(service, data, lambda message, envelope=envelope: reply(envelope, message))
            while answered:
                envelope, packed = answered.popleft()
                router.send_multipart([*envelope, packed])
    finally:
        router.close()
        context.term()
        wake.close()
        woken.close()


def _take(service: Service, data: bytes, reply: Callable[[Any], None]) -> None:
    """Have `reply` called with the answer to the message `data`, now or when the model has it."""

    def failed(error: BaseException) -> None:
        service.counters.add(failures=1)
        reply({"error": one_line(f"{type(error).__name__}: {error}")})

    try:
        message = unpack_gr00t(data)
        if not isinstance(message, dict):
            raise ValueError("a message must be a map")
        if not service.admits(message.get("api_token")):
            service.counters.add(failures=1)
            return reply({"error": UNAUTHORISED})
        endpoint = message.get("endpoint")
        if endpoint == "ping":
            return reply({"status": "ok", "message": "Server is running"})
        if endpoint == "get_modality_config":
            return reply(modality_config(service))
        if endpoint == "reset":
            return reply({})
        if endpoint != "get_action":
            raise ValueError(
                f"endpoint must be one of ping, get_modality_config, get_action, reset, got {str(endpoint)[:80]!r}"
            )
        images, state, instruction = _observed(message, service)
        answer = service.answer(images, state, instruction)
    except Exception as error:  # whatever a message holds, the next one is answered
        return failed(error)
    answer.add_done_callback(
        lambda done: failed(error) if (error := done.exception()) else reply([{ACTIONS: done.result()}, {}])
    )


def modality_config(service: Service) -> dict[str, Any]:
    """What a GR00T client is told of inputs and outputs, and our `Contract` for clients that know it."""
    contract = service.contract
    return {
        "video": ModalityConfig((0,), tuple(camera.key for camera in contract.cameras.values())),
        "state": ModalityConfig((0,), tuple(contract.state)),
        "action": ModalityConfig(tuple(range(contract.chunk_size)), (ACTIONS,)),
        "language": ModalityConfig((0,), (contract.prompt,)),
        KEY: contract.message(),
    }


def _observed(message: dict[str, Any], service: Service) -> tuple[dict[str, Any], dict[str, Any], str]:
    """Images and state without the axis for time, and the one instruction of all robots."""
    data = message.get("data")
    observation = data.get("observation") if isinstance(data, dict) else None
    found = observation if isinstance(observation, dict) else {}
    video, state, language = (found.get(name) for name in ("video", "state", "language"))
    if not (isinstance(video, dict) and isinstance(state, dict) and isinstance(language, dict)):
        raise ValueError("data must have an observation with video, state and language, as GR00T N1.6 and N1.7 send")
    texts = language.get(service.contract.prompt)
    first = texts[0] if isinstance(texts, list) and texts else None
    if not isinstance(texts, list) or not isinstance(first, list) or len(first) != 1 or any(t != first for t in texts):
        raise ValueError(f"language.{service.contract.prompt} must be [[text]] * robots, the same text for all")
    return _now(video), _now(state), first[0]


def _now(arrays: dict[str, Any]) -> dict[str, Any]:
    """Of arrays (n, T, ...) the last moment."""
    return {key: value[:, -1] for key, value in arrays.items() if getattr(value, "ndim", 0) >= 3 and value.shape[1]}
