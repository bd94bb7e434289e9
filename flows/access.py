"""Access to the Prefect server: the auth string of `make serve`, and the profile that holds it.

The string lies in PREFECT_HOME, which the server's database shares; prefect.toml names the profile. Both are 0600.
"""

import os
import secrets
from contextlib import contextmanager, suppress
from pathlib import Path

from prefect.settings import PREFECT_API_AUTH_STRING, get_current_settings, temporary_settings

PROFILES = Path(".work") / "prefect" / "profiles.toml"  # as prefect.toml has it
PROFILE = "ocrrl"
SHADOWING = ("PREFECT_PROFILE", "PREFECT_PROFILES_PATH")  # of the environment: they hide the folder's profile


def auth_string(make: bool) -> str:
    """The auth string: the environment's or the profile's, else that of PREFECT_HOME, made where there is none; empty for none."""
    settings = get_current_settings()
    for known in (settings.api.auth_string, settings.server.api.auth_string):
        if known is not None:
            return known.get_secret_value()
    path = settings.home / "ocrrl_auth_string"
    make_private(path)
    with suppress(FileNotFoundError):
        return path.read_text().strip()
    if not make:
        return ""
    made = f"ocrrl:{secrets.token_urlsafe(32)}"
    write_private(path, made + "\n")
    return made


def write_profile(workspace: Path, auth: str) -> None:
    """The profile that every `prefect` command in `workspace` takes the auth string from; the server takes it from there too."""
    settings = {"PREFECT_API_AUTH_STRING": auth, "PREFECT_SERVER_API_AUTH_STRING": auth}
    lines = [
        f'active = "{PROFILE}"',
        "",
        f"[profiles.{PROFILE}]",
        *(f"{name} = {_quoted(settings[name])}" for name in settings),
    ]
    write_private(workspace / PROFILES, "\n".join(lines) + "\n")


def write_private(path: Path, text: str) -> None:
    """`path` with `text`, readable by its owner only at every moment."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(text)
    partial.replace(path)


def private_log(path: Path) -> Path:
    """`path`, a file to add to that its owner alone can read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    make_private(path)
    return path


def make_private(*paths: Path) -> None:
    """Take group's and others' permissions from the files that are there."""
    for path in paths:
        with suppress(FileNotFoundError):
            path.chmod(path.stat().st_mode & 0o700)


def profile_variables(workspace: Path) -> dict[str, str]:
    """The environment of a child that must take this folder's profile, if there is one, whatever the shell's own names."""
    if not (workspace / PROFILES).is_file():
        return {}
    return {"PREFECT_PROFILE": PROFILE, "PREFECT_PROFILES_PATH": str(workspace / PROFILES)}


@contextmanager
def known_as(auth: str):
    """Prefect's clients of this process send `auth`."""
    with temporary_settings({PREFECT_API_AUTH_STRING: auth or None}):
        yield


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
