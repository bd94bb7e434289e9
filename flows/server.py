"""The address of the Prefect server, and the command that starts one."""

import signal
import socket
import sys
import urllib.request
from contextlib import suppress
from urllib.parse import urlsplit

from prefect.settings import get_current_settings


def api_url() -> str:
    """Where this folder's commands look for Prefect: PREFECT_API_URL, else prefect.toml, else a profile."""
    url = get_current_settings().api.url
    if not url:
        raise SystemExit(
            "serve: PREFECT_API_URL or prefect.toml's [api] url must name the server, e.g. http://127.0.0.1:4200/api"
        )
    return url


def answers(url: str) -> bool:
    with suppress(OSError), urllib.request.urlopen(f"{url}/health", timeout=2) as answer:
        return answer.status == 200 and answer.read().strip() == b"true"
    return False


def server_command(url: str) -> list[str]:
    """The command that starts a server at `url`, which must be on this machine and free."""
    address = urlsplit(url)
    port = address.port or 4200
    if address.hostname not in ("127.0.0.1", "localhost"):
        raise SystemExit(f"serve: no Prefect server answers at {url}, and a server is started on 127.0.0.1 only")
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            raise SystemExit(
                f"serve: port {port} is taken by something that is no Prefect server; "
                f"choose another: export PREFECT_API_URL=http://127.0.0.1:{port + 1}/api"
            )
    return [sys.executable, "-m", "flows.prefect_server", "--port", str(port)]


def end_by_signals() -> None:
    """Make Ctrl-C, SIGTERM and a closed terminal end this process by KeyboardInterrupt, so that its children end too.

    A shell has its background jobs ignore SIGINT, hence this one is set as well.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)


def _leave(number: int, frame: object) -> None:
    raise KeyboardInterrupt
