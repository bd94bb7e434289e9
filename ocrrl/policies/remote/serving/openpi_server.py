"""Serves by openpi's protocol: one message a question over a websocket; the metadata tells a client what is served.

As in openpi a question without the robots' axis is about one robot, and an error is a text, then close code 1011. Beyond it a question
may be about several robots, each array with their axis first; a token, `Authorization: Api-Key TOKEN`, is checked; /healthz and
/metrics answer over HTTP.
"""

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection, serve

from ocrrl.policies.remote.contract import KEY
from ocrrl.policies.remote.serving.service import Service
from ocrrl.policies.remote.wire import MOST_BYTES, pack_openpi, unpack_openpi
from ocrrl.printable import one_line

IMAGE_KEY, STATE_KEY, PROMPT = "observation/images/{}", "observation/{}", "prompt"
INTERNAL_ERROR, GOING_AWAY = 1011, 1001


def serve_openpi(
    service: Service, host: str, port: int, over: threading.Event, listening: Callable[[str], object]
) -> None:
    """Answer until `over`; `listening` is told the address. OSError where the port cannot be had."""
    talking: set[ServerConnection] = set()

    def converse(connection: ServerConnection) -> None:
        talking.add(connection)
        try:
            _converse(connection, service)
        finally:
            talking.discard(connection)

    def first_look(connection: ServerConnection, request: Request) -> Response | None:
        if request.path == "/healthz":
            return connection.respond(200, "OK\n")
        if request.path == "/metrics":
            return connection.respond(200, service.counters.text())
        if not service.admits(request.headers.get("Authorization", "").removeprefix("Api-Key ")):
            return connection.respond(401, "the token is not this server's\n")
        return None

    with serve(
        converse,
        host,
        port,
        process_request=first_look,
        compression=None,
        max_size=MOST_BYTES,
        ping_interval=None,
    ) as server:
        thread = threading.Thread(target=server.serve_forever, name="openpi", daemon=True)
        thread.start()
        name = f"[{host}]" if ":" in host else host
        listening(f"ws://{name}:{server.socket.getsockname()[1]}")
        try:
            over.wait()
        finally:  # Ctrl-C too: a thread that talks would keep the process
            server.shutdown()
            thread.join()
            for connection in list(talking):
                connection.close(GOING_AWAY)


def _converse(connection: ServerConnection, service: Service) -> None:
    try:
        connection.send(pack_openpi({KEY: service.contract.message()}))
        for data in connection:
            try:
                reply = _answer(data, service)
            except Exception as error:  # the model's own, whichever: it is the client's to know
                service.counters.add(failures=1)
                connection.send(one_line(f"{type(error).__name__}: {error}"))
                connection.close(INTERNAL_ERROR, "the question could not be answered")
                return
            connection.send(pack_openpi(reply))
    except ConnectionClosed:
        return


def _answer(data: str | bytes, service: Service) -> dict[str, Any]:
    message = unpack_openpi(data) if isinstance(data, bytes) else None
    if not isinstance(message, dict):
        raise ValueError("a question must be a map in a binary message")
    keys = [camera.key for camera in service.contract.cameras.values()]
    arrays = {key: value for key, value in message.items() if isinstance(value, np.ndarray)}
    alone = all(arrays[key].ndim == 3 for key in keys if key in arrays)
    if alone:
        arrays = {key: value[None] for key, value in arrays.items()}
    images, state = ({key: arrays[key] for key in part if key in arrays} for part in (keys, service.contract.state))
    begun = time.perf_counter()
    chunks = service.answer(images, state, message.get(service.contract.prompt)).result()
    timing = {"infer_ms": 1e3 * (time.perf_counter() - begun)}
    return {"actions": chunks[0] if alone else chunks, "server_timing": timing}
