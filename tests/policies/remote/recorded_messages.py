"""Bytes that went over the wire between the real policy servers and their clients, November 2026.

Recorded against the servers' own code with a toy policy behind it: Isaac-GR00T N1.5 (tag n1.5-release), N1.6 (N1.7's wire is the
same) and openpi (requests packed by openpi-client 0.1.2). The toy answers translation steps arange(n)/1000, rotation steps a
tenth of these, gripper ones.
"""

from pathlib import Path

FOLDER = Path(__file__).parent / "recorded"


def recorded(name: str) -> bytes:
    """Such as `gr00t_n15_ping.request`."""
    return (FOLDER / f"{name}.bin").read_bytes()
