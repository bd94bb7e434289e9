"""Checkpoint of residual training in one file, written atomically, for exact resume.

The file is safetensors: named arrays, and JSON in the header for what is no array (counters, curve, random generators).
"""

import json
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import safetensors
import safetensors.numpy

from ocrrl import files
from ocrrl.interface.weights_file import read_weights_file

State = dict[str, np.ndarray]


@runtime_checkable
class Resumable(Protocol):
    """An environment or policy whose state can be saved; with it a resumed run is exactly the uninterrupted one."""

    def get_state(self) -> State: ...

    def set_state(self, state: State) -> None: ...


def save_checkpoint(path: Path, parts: dict[str, State], facts: dict[str, Any]) -> None:
    """Write the arrays of all `parts` (named `part/array`) and `facts` (JSON) to `path`."""
    arrays = {
        f"{part}/{name}": np.asarray(value, order="C") for part, state in parts.items() for name, value in state.items()
    }
    files.write_bytes(path, safetensors.numpy.save(arrays, metadata={"facts": json.dumps(facts)}))


def load_checkpoint(path: Path) -> tuple[dict[str, State], dict[str, Any]]:
    """The parts and facts that `save_checkpoint` wrote; ValueError for a file that is damaged or is none of these."""
    parts: dict[str, State] = {}
    try:
        facts = json.loads(read_weights_file(path).metadata["facts"])
    except (ValueError, LookupError) as error:
        raise ValueError(
            f"{path} must hold an unfinished training, got {error or type(error).__name__}; remove its folder, and the training "
            "starts anew"
        ) from error
    with safetensors.safe_open(path, "numpy") as file:
        for key in list(file.keys()):
            part, name = key.split("/", 1)
            parts.setdefault(part, {})[name] = file.get_tensor(key)
    return parts, facts
