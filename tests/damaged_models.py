"""A model's folder with one thing changed, for tests of what opening says to it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from tests.interface.test_json_file import POINTER

Damage = Callable[[Path], None]
GONE = object()


def in_json(name: str, where: str, value: Any) -> Damage:
    """Put `value` at the dotted path `where` in a JSON file; `GONE` removes what is there."""

    def apply(folder: Path) -> None:
        content = json.loads((folder / name).read_text())
        *parents, last = where.split(".")
        at = content
        for key in parents:
            at = at[int(key) if isinstance(at, list) else key]
        key = int(last) if isinstance(at, list) else last
        if value is GONE:
            del at[key]
        else:
            at[key] = value
        (folder / name).write_text(json.dumps(content))

    return apply


def in_tensors(name: str, change: Callable[[dict[str, torch.Tensor]], Any]) -> Damage:
    """Let `change` work on the tensors of the safetensors file `name`."""

    def apply(folder: Path) -> None:
        tensors = safetensors.torch.load_file(folder / name)
        change(tensors)
        safetensors.torch.save_file(tensors, folder / name)

    return apply


def spoil(name: str, tensor: str, value: float = float("nan")) -> Damage:
    """One number of a tensor becomes `value`."""
    return in_tensors(name, lambda tensors: tensors[tensor].view(-1).__setitem__(0, value))


def content(name: str, data: bytes) -> Damage:
    """Another content of the file `name`."""
    return lambda folder: (folder / name).write_bytes(data) and None


def cut(name: str) -> Damage:
    """The second half of the file is missing."""
    return lambda folder: (
        (folder / name).write_bytes((folder / name).read_bytes()[: (folder / name).stat().st_size // 2]) and None
    )


def pointer(name: str) -> Damage:
    return content(name, POINTER)


def without(name: str) -> Damage:
    return lambda folder: (folder / name).unlink()
