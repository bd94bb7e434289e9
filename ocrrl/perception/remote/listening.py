"""The address of a pose server: an address of this machine, resolved before a socket is opened."""

import ipaddress
import re
import socket

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
