"""Episode files damaged in many ways by a seed: bytes in the file's structure, types, shapes, links, attributes, bombs."""

import json
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

ARRAYS = ("action", "gripper_pose", "commanded_pose", "joint_positions", "gripper_width", "timestamps")


def damage(sound: Path, out: Path, seed: int) -> str:
    """Write `sound` to `out`, damaged; returns what was done."""
    rng = np.random.default_rng(seed)
    kinds = [_flip, _flip, _flip, _truncate, _extend, *_EDITS]
    kind = kinds[seed % len(kinds)]
    content = sound.read_bytes()
    if kind in _EDITS:
        out.write_bytes(content)
        with h5py.File(out, "r+") as file:
            return f"{kind.__name__} {kind(file, rng)}"
    content, what = kind(bytearray(content), sound, rng)
    out.write_bytes(content)
    return f"{kind.__name__} {what}"


def _flip(content: bytearray, sound: Path, rng: np.random.Generator) -> tuple[bytearray, str]:
    """Change bytes that are no numbers of an array: another number would be another sound episode."""
    with h5py.File(sound) as file:
        spans = [(file[n].id.get_offset(), file[n].id.get_storage_size()) for n in file if n != "images"]
    free = np.ones(len(content), bool)
    for start, length in spans:
        free[start : start + length] = False
    at = int(rng.choice(np.flatnonzero(free)))
    content[at] ^= int(rng.integers(1, 256))
    return content, f"byte {at}"


def _truncate(content: bytearray, sound: Path, rng: np.random.Generator) -> tuple[bytearray, str]:
    length = int(rng.integers(0, len(content)))
    return content[:length], f"to {length}"


def _extend(content: bytearray, sound: Path, rng: np.random.Generator) -> tuple[bytearray, str]:
    return bytearray(rng.bytes(7)) + content, "by 7 bytes in front"


def _retype(file: h5py.File, rng: np.random.Generator) -> str:
    name = str(rng.choice(ARRAYS))
    values = file[name][...]
    del file[name]
    kind = int(rng.integers(4))
    if kind == 0:
        file[name] = values.astype("S8")
    elif kind == 1:
        file[name] = h5py.Empty("f8")
    elif kind == 2:
        file[name] = 0.5
    else:
        file[name] = np.zeros(len(values), [("x", "f8"), ("y", "i4")])
    return f"{name} {kind}"


def _reshape(file: h5py.File, rng: np.random.Generator) -> str:
    name = str(rng.choice([*ARRAYS, "images/front", "images/wrist"]))
    values = file[name][...]
    del file[name]
    file[name] = values[:-1] if rng.random() < 0.5 else values[..., None]
    return name


def _bomb(file: h5py.File, rng: np.random.Generator) -> str:
    name = str(rng.choice([*ARRAYS, "residual", "images/front"]))
    rows = int(10 ** rng.uniform(7, 14))
    tail = (64, 64, 3) if name.startswith("images") else () if name in ("gripper_width", "timestamps") else (7,)
    if name in file:
        del file[name]
    dtype = "u1" if name.startswith("images") else "f8"
    file.create_dataset(name, (rows, *tail), dtype, chunks=(100, *tail))
    return f"{name} of {rows} rows"


def _unwritten(file: h5py.File, rng: np.random.Generator) -> str:
    shape = file["images/front"].shape
    del file["images/front"]
    file.create_dataset("images/front", shape, "u1", chunks=(1, *shape[1:]))
    return "images/front"


def _link(file: h5py.File, rng: np.random.Generator) -> str:
    name = str(rng.choice(ARRAYS))
    del file[name]
    file[name] = (h5py.SoftLink("/timestamps"), h5py.ExternalLink("other.h5", "/x"), h5py.SoftLink("/nowhere"))[
        int(rng.integers(3))
    ]
    return name


def _attribute(file: h5py.File, rng: np.random.Generator) -> str:
    name = str(rng.choice(["calibration", "object_names", "cell", "success", "control_hz", "instruction", "seed"]))
    if name == "calibration":
        value: object = '{"a":' + "[" * 100_000 + "]" * 100_000 + "}"
    elif name == "object_names":
        value = json.dumps([[1], None])
    else:
        value = [np.arange(5), h5py.Empty("f8"), b"\xff\xfe".decode("latin1") * 700, 1e300][int(rng.integers(4))]
        value = "\x1b[31m" if name == "instruction" else value
        value = [1, 2] if name == "seed" else value
    file.attrs[name] = value
    return name


def _members(file: h5py.File, rng: np.random.Generator) -> str:
    if rng.random() < 0.5:
        for k in range(200):
            file[f"extra_{k}"] = np.zeros(1)
        return "200 arrays more"
    for k in range(200):
        file[f"images/camera_{k}"] = np.zeros((1, 2, 2, 3), np.uint8)
    return "200 cameras more"


_EDITS: list[Callable[[h5py.File, np.random.Generator], str]] = [
    _retype,
    _reshape,
    _bomb,
    _bomb,
    _unwritten,
    _link,
    _attribute,
    _attribute,
    _members,
]
