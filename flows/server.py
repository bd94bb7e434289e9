"""The Prefect server: its address, the command that starts one, whether it admits us, why it did not start."""

import base64
import os
import socket
import sys
import tempfile
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from prefect import __version__
from prefect.settings import get_current_settings

SIGNS = (
    (
        "Can't locate revision",
        f"{{database}} must be of the Prefect that is installed ({__version__}), it is not: move it aside, or {{other}}",
    ),
    ("database is locked", "{database} is locked by another process: end that (`fuser {database}`), or {other}"),
    *((sign, "{database} is damaged: move it aside, or {other}") for sign in ("file is not a database", "malformed")),
    ("readonly database", "PREFECT_HOME ({home}) must be a folder that can be written: {other}"),
    ("unable to open database file", "PREFECT_HOME ({home}) must be a folder that can be written: {other}"),
    ("No space left", "the disk is full: free some space (`make gc`, docs/dvc.md)"),
    ("database or disk is full", "the disk is full: free some space (`make gc`, docs/dvc.md)"),
    ("address already in use", "its port is taken: `export PREFECT_API_URL=http://127.0.0.1:4201/api`"),
    ("Permission denied", "a file that it needs cannot be opened"),
)
OTHER = "`export PREFECT_HOME=$PWD/.work/prefect`"


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


def admits(url: str, auth: str) -> bool:
    """Whether the API at `url` answers a request with `auth`; an empty one sends none."""
    request = urllib.request.Request(f"{url}/admin/version")
    if auth:
        request.add_header("Authorization", f"Basic {base64.b64encode(auth.encode()).decode()}")
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status == 200
    except urllib.error.HTTPError as error:
        if error.code in (401, 403):
            return False
        raise


def require_admission(url: str, auth: str) -> None:
    """SystemExit where the server at `url` does not let us in; says so where it lets everybody in."""
    if get_current_settings().api.key is not None:  # Prefect Cloud
        return
    if not admits(url, auth):
        raise SystemExit(
            f"the Prefect server at {url} must know the auth string of this folder, and refuses it: export "
            "PREFECT_API_AUTH_STRING as .work/prefect/profiles.toml has it where that server was started, or end that server "
            "and let `make serve` start one (docs/security.md)"
        )
    if urlsplit(url).hostname in ("127.0.0.1", "localhost") and admits(url, ""):
        print(
            f"WARNING: the server at {url} asks for no auth string: every user and every web page on this machine can run "
            "commands through it. End it, so that `make serve` starts one of its own (docs/security.md).",
            flush=True,
        )


def require_home() -> None:
    """SystemExit unless Prefect can keep its files where its settings say."""
    home = get_current_settings().home
    try:
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=home):
            return
    except OSError as error:
        message = f"serve: PREFECT_HOME ({home}) must be a folder that can be written, got: {error.strerror}: {OTHER}"
        raise SystemExit(message) from error


def why_not_up(url: str, code: int | None, seconds: float, log: Path, written: int) -> str:
    """One line. `code`: what the server ended with, None if it runs; `log` had `written` bytes when it was started."""
    said = log.read_bytes()[written:].decode(errors="replace") if log.is_file() else ""
    home = get_current_settings().home
    what = f"the Prefect server ended with exit code {code} after {seconds:.0f} s"
    if code is None:
        what = f"no Prefect server answered at {url} within {seconds:.0f} s"
    reason = next((text for sign, text in SIGNS if sign in said), "")
    named = reason.format(database=home / "prefect.db", home=home, other=OTHER)
    return ": ".join(filter(None, (what, named))) + f"; its log: {os.path.relpath(log)}"
