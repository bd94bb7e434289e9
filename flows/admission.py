"""Checks whether a running Prefect server accepts us, and whether it accepts everybody."""

import base64
import urllib.error
import urllib.request
from urllib.parse import urlsplit

from prefect.settings import get_current_settings


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
