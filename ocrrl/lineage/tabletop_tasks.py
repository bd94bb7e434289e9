"""The tabletop tasks in the addresses of stages."""

import re
from collections.abc import Iterable


def tabletop_tasks_of(addresses: Iterable[str]) -> list[str]:
    """`finetune@cube_lift-sim` and `finetune@round1-cube_lift-sim` are about cube_lift; the longest names first."""
    variants = (address.partition("@")[2].split("-") for address in addresses)
    firsts = (next((part for part in parts if part and not re.fullmatch(r"round\d+", part)), "") for parts in variants)
    return sorted({task for task in firsts if task}, key=lambda task: (-len(task), task))
