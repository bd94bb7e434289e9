"""/healthz and /metrics over HTTP, for a server whose protocol is not HTTP's."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from ocrrl.policies.remote.serving.service import Service


@contextmanager
def health_served(service: Service, host: str, port: int, listening: Callable[[str], object]) -> Iterator[None]:
    """Within, both pages are answered at `port`; `listening` is told the address. OSError where the port cannot be had."""

    class Pages(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            text = {"/healthz": "OK\n", "/metrics": service.counters.text()}.get(self.path)
            content = (text or "there are /healthz and /metrics\n").encode()
            self.send_response(404 if text is None else 200)
            self.send_header("Content-Type", "text/plain; charset=utf-8")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer((host, port), Pages)
    thread = threading.Thread(target=server.serve_forever, name="health", daemon=True)
    thread.start()
    listening(f"http://{host}:{server.server_address[1]}/healthz")
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
