"""The Prefect server of `make serve`: on 127.0.0.1, for its own pages and holders of the auth string.

    python -m flows.prefect_server --port 4200

A page of another site that the operator's browser shows can send requests to 127.0.0.1 too. It does not know the auth string; what
comes from another origin, or names another host (a name that its owner lets point to 127.0.0.1), is refused before that.
"""

import argparse
import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

import uvicorn
from prefect.server.api.server import create_app
from prefect.settings import PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS, get_current_settings, temporary_settings
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from flows.access import make_private

HOST = "127.0.0.1"
NAMES = (HOST, "localhost", "::1")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m flows.prefect_server", description=__doc__)
    parser.add_argument("--port", type=int, default=4200)
    port = parser.parse_args().port
    settings = get_current_settings()
    if settings.server.api.auth_string is None:
        print("prefect_server: PREFECT_SERVER_API_AUTH_STRING must be set; `make serve` makes one", file=sys.stderr)
        return 1
    origins = ",".join(f"http://{name}:{port}" for name in NAMES[:2])
    with temporary_settings({PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS: origins}):
        app = OwnPagesOnly(
            create_app(final=True), origins.split(",")
        )  # copies the UI into the environment, which others share
        os.umask(0o077)  # the database and what else the server writes are its owner's
        make_private(*database_files(settings.home))
        api = settings.server.api
        uvicorn.run(
            app,
            host=HOST,
            port=port,
            timeout_keep_alive=int(api.keepalive_timeout),
            ws_ping_interval=api.websocket_ping_interval,
            ws_ping_timeout=api.websocket_ping_timeout,
            log_level=settings.server.logging_level.lower(),
        )
    return 0


def database_files(home: Path) -> list[Path]:
    """SQLite's files in PREFECT_HOME."""
    return [home / f"prefect.db{suffix}" for suffix in ("", "-wal", "-shm", "-journal")]


class OwnPagesOnly:
    """ASGI middleware: 403 for a request that names another host, or that a page of another origin sent."""

    def __init__(self, app: ASGIApp, origins: list[str]) -> None:
        self._app, self._origins = app, frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        fault = self.fault(scope) if scope["type"] in ("http", "websocket") else ""
        if not fault:
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await JSONResponse({"detail": fault}, status_code=403)(scope, receive, send)
        else:
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": fault})

    def fault(self, scope: Scope) -> str:
        """Why the request is refused; empty where it is not."""
        hosts, origins = (
            [value.decode("latin-1").lower() for name, value in scope["headers"] if name == wanted]
            for wanted in (b"host", b"origin")
        )
        if len(hosts) != 1 or _name(hosts[0]) not in NAMES:
            return f"Host must be {' or '.join(NAMES[:2])}: this server is reached on its own machine, or by a tunnel"
        allowed = self._origins | {f"http://{hosts[0]}"}
        if any(origin not in allowed for origin in origins):
            return "Origin must be this server's own page"
        return ""


def _name(host: str) -> str | None:
    """The name in a Host header, without its port; none where there is none or more than a name."""
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port  # raises for one that is no number
    except ValueError:
        return None
    return parts.hostname if parts.netloc == host and "@" not in host else None


if __name__ == "__main__":
    sys.exit(main())
