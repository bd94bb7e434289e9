"""Where a policy server is: in params.yaml and vla.json an address, or the environment variable that holds one on this machine."""

import ipaddress
import os
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

SCHEMES = {"gr00t": ("tcp",), "openpi": ("ws", "wss")}
"""By protocol."""
LOOPBACK = {"gr00t": "tcp://127.0.0.1:5555", "openpi": "ws://127.0.0.1:8000"}
"""Where the protocols' own servers listen, on this machine."""
VARIABLE = re.compile(r"env:([A-Za-z_][A-Za-z0-9_]*)")


def require_address(protocol: str, address: str) -> None:
    """ValueError that begins with `address` unless it is `env:NAME`, or one or more addresses with commas between them."""
    if not VARIABLE.fullmatch(address):
        _literal(protocol, address, "address")


def resolve_address(protocol: str, address: str, environment: Mapping[str, str] = os.environ) -> list[str]:
    """The addresses that `address` stands for on this machine; ValueError for a variable that is not set or holds none."""
    named = VARIABLE.fullmatch(address)
    if named is None:
        return _literal(protocol, address, "address")
    value = environment.get(named[1], "")
    if not value:
        raise ValueError(
            f"the environment variable {named[1]} must hold the address of the policy server ({protocol}), such as "
            f"{LOOPBACK[protocol]}, got none: export {named[1]}={LOOPBACK[protocol]}"
        )
    return _literal(protocol, value, f"the environment variable {named[1]}")


def is_loopback(host: str) -> bool:
    """Whether `host`, a name or number, is this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _literal(protocol: str, text: str, subject: str) -> list[str]:
    found = [part.strip() for part in text.split(",")]
    for part in found:
        try:
            url = urlsplit(part)
            good = url.scheme in SCHEMES[protocol] and bool(url.hostname) and url.port is not None
        except ValueError:
            good, url = False, urlsplit("")
        if url.username is not None or url.password is not None:
            raise ValueError(f"{subject} must not hold a user or password; `token` names where a token is kept")
        if not good or url.path.strip("/") or url.query or url.fragment:
            schemes = " or ".join(f"{scheme}://HOST:PORT" for scheme in SCHEMES[protocol])
            raise ValueError(
                f"{subject} must be {schemes} for protocol {protocol}, or env:NAME in params.yaml, got {part!r}"
            )
    if protocol != "openpi" and len(found) > 1:
        raise ValueError(f"{subject} must be one address for protocol {protocol}, which batches, got {len(found)}")
    return found
