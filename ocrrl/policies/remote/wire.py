"""The messages of policy servers: msgpack with arrays in openpi's or Isaac-GR00T's form; never a pickle.

openpi (openpi-client's msgpack_numpy.py): an array is `{b"__ndarray__": True, b"data", b"dtype", b"shape"}`, a scalar
`{b"__npgeneric__": True, b"data", b"dtype"}`. Isaac-GR00T (service.py of N1.5, server_client.py of N1.6 and N1.7): an array is
`{"__ndarray_class__": True, "as_npy": the bytes of np.save}`.

A GR00T server describes its inputs and outputs by `{"__ModalityConfig_class__": True, "as_json"}`, in N1.5 with a JSON text, since
N1.6 with a map. Servers before the tag n1.5-release exchanged pickles (torch.save): their answers are refused.
"""

import io
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgpack
import numpy as np

MOST_BYTES = 256 * 2**20
"""The largest message that is read."""
_NUMBERS = "biuf"  # numpy's kinds: bool, int, unsigned, float
_ZIP = b"PK\x03\x04"  # torch.save
_PICKLE = b"\x80"  # also msgpack's empty map, where nothing follows
_OLD_ERROR = b"ERROR"


class WireError(ValueError):
    """A message that cannot be read: `<what> must be <required>, got <got>`."""


@dataclass(frozen=True)
class ModalityConfig:
    """What a GR00T server says of one modality (video, state, action, language)."""

    delta_indices: tuple[int, ...]
    """Of an action: one entry for each action of a chunk."""
    modality_keys: tuple[str, ...]
    as_text: bool = False
    """It came as a JSON text, as N1.5 sends it."""

    def as_json(self) -> dict[str, Any]:
        return {"delta_indices": list(self.delta_indices), "modality_keys": list(self.modality_keys)}


def pack_openpi(message: Any) -> bytes:
    """`message` (maps, lists, texts, numbers, arrays) as openpi sends it."""
    return _packed(message, _openpi_form)


def unpack_openpi(data: bytes) -> Any:
    """What `pack_openpi` packed; arrays cannot be written to. WireError for anything else."""
    return _unpacked(data, _openpi_value)


def pack_gr00t(message: Any) -> bytes:
    """`message` (maps, lists, texts, numbers, arrays, `ModalityConfig`) as Isaac-GR00T sends it."""
    return _packed(message, _gr00t_form)


def unpack_gr00t(data: bytes) -> Any:
    """What `pack_gr00t` packed; arrays cannot be written to. WireError for anything else, a pickle by its name."""
    return _unpacked(data, _gr00t_value)


def _packed(message: Any, form: Callable[[Any], Any]) -> bytes:
    packed = msgpack.packb(message, default=form)
    assert packed is not None  # None only where a stream was given
    return packed


def _unpacked(data: bytes, value: Callable[[dict], Any]) -> Any:
    if len(data) > MOST_BYTES:
        raise WireError(f"a message must be of at most {MOST_BYTES} bytes, got {len(data)}")
    if data[:4] == _ZIP or data == _OLD_ERROR or (data[:1] == _PICKLE and len(data) > 1):
        raise WireError(
            "a message must be msgpack, got what GR00T servers before the tag n1.5-release send, which exchange pickles "
            "(torch.save): update the server"
        )
    try:
        return msgpack.unpackb(data, object_hook=value, strict_map_key=True)
    except WireError:
        raise
    except Exception as error:  # msgpack's errors share no base but this one
        raise WireError(f"a message must be msgpack, got {type(error).__name__}: {error}") from error


def _openpi_form(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in _NUMBERS:
        if isinstance(value, np.ndarray):
            return {
                b"__ndarray__": True,
                b"data": value.tobytes(),
                b"dtype": value.dtype.str,
                b"shape": value.shape,
            }
        return {b"__npgeneric__": True, b"data": value.item(), b"dtype": value.dtype.str}
    raise WireError(f"a message must hold maps, lists, texts, numbers and arrays of them, got {type(value).__name__}")


def _openpi_value(value: dict) -> Any:
    if b"__ndarray__" in value:
        return _array(value.get(b"data"), value.get(b"dtype"), value.get(b"shape"))
    if b"__npgeneric__" in value:
        number = value.get(b"data")
        if not isinstance(number, bool | int | float):
            raise WireError(f"a scalar must be a number, got {type(number).__name__}")
        return _dtype(value.get(b"dtype")).type(number)
    return value


def _gr00t_form(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in _NUMBERS:
        whole = np.asarray(value, order="C")
        header = io.BytesIO()  # then the numbers at once: np.save writes them in small pieces
        np.lib.format.write_array_header_1_0(header, np.lib.format.header_data_from_array_1_0(whole))
        return {"__ndarray_class__": True, "as_npy": header.getvalue() + whole.tobytes()}
    if isinstance(value, ModalityConfig):
        content = value.as_json()
        return {"__ModalityConfig_class__": True, "as_json": json.dumps(content) if value.as_text else content}
    raise WireError(f"a message must hold maps, lists, texts, numbers and arrays of them, got {type(value).__name__}")


def _gr00t_value(value: dict) -> Any:
    if "__ndarray_class__" in value:
        return _npy(value.get("as_npy"))
    if "__ModalityConfig_class__" in value:
        return _modality(value.get("as_json"))
    return value


def _npy(data: Any) -> np.ndarray:
    """The array in the bytes of `np.save`; its header is read first, so that it cannot ask for memory that it does not fill."""
    if not isinstance(data, bytes):
        raise WireError(f"as_npy must be bytes, got {type(data).__name__}")
    stream = io.BytesIO(data)
    try:
        major, _ = np.lib.format.read_magic(stream)
        read_header = np.lib.format.read_array_header_1_0 if major == 1 else np.lib.format.read_array_header_2_0
        shape, fortran_order, dtype = read_header(stream)
    except (ValueError, TypeError, OverflowError, SyntaxError, RecursionError) as error:
        raise WireError(f"as_npy must be an array of np.save, got {error}") from error
    found = _array(data[stream.tell() :], dtype, shape[::-1] if fortran_order else shape)
    return found.T if fortran_order else found


def _array(data: Any, dtype: Any, shape: Any) -> np.ndarray:
    kind = _dtype(dtype)
    if not isinstance(shape, list | tuple) or len(shape) > 8 or not all(type(n) is int and n >= 0 for n in shape):
        raise WireError(f"an array's shape must be up to 8 whole numbers, got {str(shape)[:80]}")
    expected = math.prod(shape) * kind.itemsize
    if not isinstance(data, bytes) or len(data) != expected:
        got = f"{len(data)} bytes" if isinstance(data, bytes) else type(data).__name__
        raise WireError(f"an array of shape {tuple(shape)} and type {kind} must have {expected} bytes, got {got}")
    return np.frombuffer(data, kind).reshape(shape)


def _dtype(name: Any) -> np.dtype:
    try:
        kind = np.dtype(name) if isinstance(name, str | np.dtype) else None
    except (TypeError, ValueError):
        kind = None
    if kind is None or kind.kind not in _NUMBERS or kind.subdtype is not None:
        raise WireError(f"an array must be of numbers, true and false, got the type {str(name)[:40]!r}")
    return kind


def _modality(content: Any) -> ModalityConfig:
    as_text = isinstance(content, str)
    if as_text:
        try:
            content = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise WireError(f"a ModalityConfig must be JSON, got {error}") from error
    fields: Mapping[str, Any] = content if isinstance(content, Mapping) else {}
    steps: Any = fields.get("delta_indices")
    keys: Any = fields.get("modality_keys")
    if not _list_of(int, steps) or not _list_of(str, keys):
        raise WireError(f"a ModalityConfig must have delta_indices and modality_keys, got {str(content)[:80]}")
    return ModalityConfig(tuple(steps), tuple(keys), as_text)


def _list_of(kind: type, value: Any) -> bool:
    return isinstance(value, list) and all(type(item) is kind for item in value)
