"""Safetensors files: checks the contents of a model's weights before they are used.

Format: 8 bytes with the length N of the header, N bytes of JSON (`{name: {dtype, shape, data_offsets}}`), the data; offsets
count from the end of the header (huggingface.co/docs/safetensors).
"""

import json
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ocrrl.interface.json_file import require_content, said, unique_keys

_MAX_HEADER = 100_000_000  # bytes, as the safetensors library has it
_BYTES = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0"), 1),
    **dict.fromkeys(("I16", "U16", "F16", "BF16"), 2),
    **dict.fromkeys(("I32", "U32", "F32"), 4),
    **dict.fromkeys(("I64", "U64", "F64", "C64"), 8),
}
_FETCH = "fetch the model again (`dvc pull`, `git lfs pull`, or copy it once more)"
_NUMPY_FLOATS = {"F16": np.float16, "F32": np.float32, "F64": np.float64}
_BF16_EXPONENT = 0x7F80  # all ones: NaN or infinite
_AT_ONCE = 2**24  # bytes looked at together


@dataclass(frozen=True)
class StoredTensor:
    """A tensor in a safetensors file: its type as the format names it (F32, BF16, ...), and which bytes of the data."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True)
class WeightsFile:
    """The table of contents of a sound safetensors file."""

    path: Path
    tensors: Mapping[str, StoredTensor]
    metadata: Mapping[str, str]
    data_begin: int

    def require(
        self, expected: Mapping[str, tuple[int, ...]], whose: str, dtype: str = "F32", others: bool = False
    ) -> None:
        """ValueError unless the file holds the tensors `expected`, of these shapes and `dtype`, and no `others`.

        `whose` says in the error where the expectation comes from.
        """
        if missing := [name for name in expected if name not in self.tensors]:
            raise ValueError(f"{self.path} must hold the tensors of {whose}, got a file without {some(missing)}")
        if not others and (more := [name for name in self.tensors if name not in expected]):
            raise ValueError(f"{self.path} must hold only the tensors of {whose}, got also {some(more)}")
        for name, shape in expected.items():
            stored = self.tensors[name]
            if stored.shape != tuple(shape):
                raise ValueError(
                    f"{self.path}: {name} must have the shape {tuple(shape)} of {whose}, got {stored.shape}"
                )
            if stored.dtype != dtype:
                raise ValueError(f"{self.path}: {name} must be of type {dtype}, got {stored.dtype}")

    def require_finite(self) -> None:
        """ValueError naming the first tensor that holds NaN or infinity; types below 16 bits are not looked at."""
        with self.path.open("rb") as file:
            for name, stored in self.tensors.items():
                if stored.dtype not in _NUMPY_FLOATS and stored.dtype != "BF16":
                    continue
                file.seek(self.data_begin + stored.begin)
                for first in range(stored.begin, stored.end, _AT_ONCE):
                    _require_finite_part(file.read(min(_AT_ONCE, stored.end - first)), stored.dtype, self.path, name)


def read_weights_file(path: Path) -> WeightsFile:
    """What the safetensors file `path` holds, from its header alone.

    Raises FileNotFoundError for a missing file, ValueError for a Git LFS pointer, a cut file, or a header that is not one.
    """
    require_content(path)
    size = path.stat().st_size
    with path.open("rb") as file:
        first = file.read(8)
        length = struct.unpack("<Q", first)[0] if len(first) == 8 else 0
        if not 2 <= length <= min(_MAX_HEADER, size - 8):
            raise ValueError(
                f"{path} must be a whole safetensors file, got {size} bytes whose header should have {length}; {_FETCH}"
            )
        header = _json_header(path, file.read(length))
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise ValueError(f"{path}: __metadata__ must map names to text, got {said(metadata)}")
    tensors = {name: _stored(entry, f"{path}: {name}") for name, entry in header.items()}
    _require_covered(path, tensors, size - 8 - length)
    return WeightsFile(path, tensors, metadata, 8 + length)


def _json_header(path: Path, content: bytes) -> dict[str, Any]:
    try:
        header = json.loads(content.decode("utf-8"), object_pairs_hook=unique_keys)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} must have a safetensors header of JSON, got {said(str(error))}; {_FETCH}") from error
    if not isinstance(header, dict):
        raise ValueError(f"{path} must have a safetensors header that is an object, got {said(header)}; {_FETCH}")
    return header


def _stored(entry: Any, where: str) -> StoredTensor:
    keys = {"dtype", "shape", "data_offsets"}
    if not isinstance(entry, dict) or set(entry) != keys:
        raise ValueError(f"{where} must have {', '.join(sorted(keys))} in the header, got {said(entry)}")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _BYTES:
        raise ValueError(f"{where} must be of a type among {', '.join(_BYTES)}, got {said(dtype)}")
    if not _counts(shape) or not _counts(offsets) or len(offsets) != 2:
        raise ValueError(f"{where} must have a shape and two data_offsets of whole numbers, got {said(entry)}")
    needed = math.prod(shape) * _BYTES[dtype]
    if offsets[1] - offsets[0] != needed:
        raise ValueError(f"{where} must have {needed} bytes for {dtype} {tuple(shape)}, got {said(offsets)}")
    return StoredTensor(dtype, tuple(shape), *offsets)


def _counts(values: Any) -> bool:
    return isinstance(values, list) and all(type(value) is int and 0 <= value < 2**62 for value in values)


def _require_covered(path: Path, tensors: Mapping[str, StoredTensor], size: int) -> None:
    """The tensors lie one behind the other, and fill the file."""
    end = 0
    for name, stored in sorted(tensors.items(), key=lambda item: (item[1].begin, item[1].end)):
        if stored.begin != end:
            raise ValueError(f"{path}: {name} must begin at byte {end} of the data, got {stored.begin}; {_FETCH}")
        end = stored.end
    if end != size:
        kind = "cut" if size < end else "too long"
        raise ValueError(f"{path} must hold {end} bytes of tensors, got {size}: the file is {kind}; {_FETCH}")


def _require_finite_part(content: bytes, dtype: str, path: Path, name: str) -> None:
    if dtype == "BF16":
        finite = (np.frombuffer(content, np.uint16) & _BF16_EXPONENT) != _BF16_EXPONENT
    else:
        finite = np.isfinite(np.frombuffer(content, _NUMPY_FLOATS[dtype]))
    if not finite.all():
        raise ValueError(
            f"{path}: {name} must hold finite numbers, got {int((~finite).sum())} that are NaN or infinite: a training that "
            "diverged; train the model again"
        )


def some(names: Sequence[str]) -> str:
    """The first four of `names`, and how many more there are."""
    shown = ", ".join(sorted(names)[:4])
    return shown if len(names) <= 4 else f"{shown} and {len(names) - 4} more"
