"""The protocol of the pose server: msgpack over ZMQ REQ/REP, version 1; docs/foundation_pose.md has the tables.

Nothing that was received is believed: `unpack_request` and `unpack_reply` take every field apart and name the one that is
wrong, the sizes are bounded, and nothing but numbers, texts and pixels can be sent.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import msgpack
import numpy as np
from jaxtyping import Bool, Float, UInt8

from ocrrl.interface.frames import Intrinsics

VERSION = 1
MAX_SIDE = 4096  # pixels
MAX_REQUEST_BYTES = 64 * 2**20
MAX_REPLY_BYTES = 64 * 2**10
MAX_TEXT = 1000  # characters of an error
MAX_NAME = 80
MAX_DISTANCE = 10.0  # [m] of an object from the camera
QUATERNION_TOLERANCE = 1e-3

Kind = Literal["register", "track"]
DepthCode = Literal["float32_m", "uint16_mm"]
"""How depth travels: metres, or whole millimetres in half the bytes."""
ErrorCode = Literal["bad_request", "not_registered", "failed"]

_DEPTH_TYPES = {"float32_m": np.dtype("<f4"), "uint16_mm": np.dtype("<u2")}
_REQUEST_FIELDS = {
    *("version", "kind", "session", "object", "height", "width", "colour", "depth_code", "depth", "intrinsics"),
    *("captured", "mask"),
}
_POSE_FIELDS = {"version", "pose", "score", "seconds"}
_ERROR_FIELDS = {"version", "code", "error"}


class ProtocolError(ValueError):
    """A message that must not be used: `<message>.<field> must be <required>, got <got>`."""

    def __init__(self, field: str, required: str, got: str) -> None:
        self.field = field
        super().__init__(f"{field} must be {required}, got {got}")


@dataclass(frozen=True)
class PoseRequest:
    """One object in one image; arrays that were received cannot be written to."""

    kind: Kind
    session: str
    """Whose registration it is: a server forgets an object's registration when another session registers it."""
    object_name: str
    colour: UInt8[np.ndarray, "H W 3"]
    """RGB."""
    depth: Float[np.ndarray, "H W"]
    """[m], float32; 0 where the sensor saw nothing."""
    intrinsics: Intrinsics
    captured: float
    """[s], on the client's clock."""
    mask: Bool[np.ndarray, "H W"] | None = None
    """The object's pixels; there for `register` and only there."""


@dataclass(frozen=True)
class PoseReply:
    """The object's pose."""

    pose: Float[np.ndarray, " 7"]
    """In the camera's optical frame: position [m], wxyz."""
    score: float
    """The estimator's own, without a meaning of its own."""
    seconds: float
    """That the estimator took."""


@dataclass(frozen=True)
class ErrorReply:
    """Why there is no pose."""

    code: ErrorCode
    error: str


def pack_request(request: PoseRequest, depth_code: DepthCode = "float32_m") -> bytes:
    """The message that asks `request`."""
    height, width = request.depth.shape
    depth = request.depth
    if depth_code == "uint16_mm":
        depth = np.clip(np.rint(np.nan_to_num(depth) * 1000.0), 0, 65535)
    message = {
        "version": VERSION,
        "kind": request.kind,
        "session": request.session,
        "object": request.object_name,
        "height": height,
        "width": width,
        "colour": np.ascontiguousarray(request.colour, np.uint8).tobytes(),
        "depth_code": depth_code,
        "depth": np.ascontiguousarray(depth, _DEPTH_TYPES[depth_code]).tobytes(),
        "intrinsics": [request.intrinsics.fx, request.intrinsics.fy, request.intrinsics.cx, request.intrinsics.cy],
        "captured": request.captured,
    }
    if request.mask is not None:
        message["mask"] = np.ascontiguousarray(request.mask, np.uint8).tobytes()
    return _packed(message)


def unpack_request(message: bytes) -> PoseRequest:
    """The request in `message`; ProtocolError names what is wrong with it."""
    fields = _fields("request", message, MAX_REQUEST_BYTES, _REQUEST_FIELDS)
    kind = _choice(fields, "request.kind", get_args(Kind))
    height, width = (_whole(fields, f"request.{side}", 1, MAX_SIDE) for side in ("height", "width"))
    depth_code = _choice(fields, "request.depth_code", get_args(DepthCode))
    depth = _pixels(fields, "request.depth", (height, width), _DEPTH_TYPES[depth_code]).astype(np.float32)
    if depth_code == "uint16_mm":
        depth = depth / np.float32(1000.0)
    if not (np.isfinite(depth).all() and (depth >= 0).all()):
        raise ProtocolError("request.depth", "finite and at least 0 m", "other numbers")
    fx, fy, cx, cy = _numbers(fields, "request.intrinsics", 4)
    if not (fx > 0 and fy > 0):
        raise ProtocolError("request.intrinsics", "of focal lengths above 0", f"{fx:g} and {fy:g}")
    mask = None
    if kind == "register":
        mask = _pixels(fields, "request.mask", (height, width), np.dtype(np.uint8))
        if mask.max() > 1:
            raise ProtocolError("request.mask", "0 or 1", f"{mask.max()}")
        if not mask.any():
            raise ProtocolError("request.mask", "of at least one pixel", "none")
        mask = mask.astype(bool)
    elif "mask" in fields:
        raise ProtocolError("request.mask", "left out of track", "one")
    return PoseRequest(
        kind=kind,
        session=_text(fields, "request.session", MAX_NAME),
        object_name=_text(fields, "request.object", MAX_NAME),
        colour=_pixels(fields, "request.colour", (height, width, 3), np.dtype(np.uint8)),
        depth=depth,
        intrinsics=Intrinsics(width, height, fx, fy, cx, cy),
        captured=_number(fields, "request.captured"),
        mask=mask,
    )


def pack_reply(reply: PoseReply | ErrorReply) -> bytes:
    """The message that says `reply`."""
    if isinstance(reply, ErrorReply):
        text = reply.error[:MAX_TEXT].encode("utf-8", "replace").decode()
        return _packed({"version": VERSION, "code": reply.code, "error": text or "unknown"})
    pose = [float(number) for number in reply.pose]
    score, seconds = float(reply.score), float(reply.seconds)  # an estimator's are of any number type
    return _packed({"version": VERSION, "pose": pose, "score": score, "seconds": seconds})


def unpack_reply(message: bytes) -> PoseReply | ErrorReply:
    """The reply in `message`; ProtocolError names what is wrong with it."""
    fields = _fields("reply", message, MAX_REPLY_BYTES, _POSE_FIELDS | _ERROR_FIELDS)
    if "error" in fields:
        _require_only(fields, "reply", _ERROR_FIELDS)
        code = _choice(fields, "reply.code", get_args(ErrorCode))
        return ErrorReply(code, _text(fields, "reply.error", MAX_TEXT))
    _require_only(fields, "reply", _POSE_FIELDS)
    pose = np.array(_numbers(fields, "reply.pose", 7))
    if (furthest := np.abs(pose[:3]).max()) > MAX_DISTANCE:
        raise ProtocolError("reply.pose", f"in metres, within {MAX_DISTANCE:g} m of the camera", f"{furthest:g}")
    length = float(np.linalg.norm(pose[3:]))
    if abs(length - 1.0) > QUATERNION_TOLERANCE:
        raise ProtocolError("reply.pose", "of a unit quaternion (wxyz)", f"a norm of {length:.4f}")
    return PoseReply(pose, _number(fields, "reply.score"), _number(fields, "reply.seconds"))


def _packed(fields: Mapping[str, object]) -> bytes:
    message = msgpack.packb(fields)
    assert message is not None  # None only where a stream was given
    return message


def _fields(name: str, message: bytes, most: int, allowed: set[str]) -> Mapping[str, object]:
    if len(message) > most:
        raise ProtocolError(name, f"at most {most} bytes", f"{len(message)}")
    try:
        fields = msgpack.unpackb(message, max_map_len=32, max_array_len=16, max_ext_len=0)
    except Exception as error:  # msgpack's errors share no base but this one
        raise ProtocolError(name, "msgpack", f"{type(error).__name__}: {error}") from error
    if not isinstance(fields, dict):
        raise ProtocolError(name, "a map", type(fields).__name__)
    version = fields.get("version")  # before the fields: another version has others
    if type(version) is not int or version != VERSION:
        raise ProtocolError(f"{name}.version", f"{VERSION}", repr(version))
    _require_only(fields, name, allowed)
    return fields


def _require_only(fields: Mapping[str, object], name: str, allowed: set[str]) -> None:
    if unknown := sorted(str(key)[:MAX_NAME] for key in fields if key not in allowed):
        raise ProtocolError(name, f"of the fields {', '.join(sorted(allowed))}", ", ".join(unknown))


def _value(fields: Mapping[str, object], field: str) -> object:
    key = field.partition(".")[2]
    if key not in fields:
        raise ProtocolError(field, "there", "nothing")
    return fields[key]


def _text(fields: Mapping[str, object], field: str, most: int) -> str:
    value = _value(fields, field)
    if not isinstance(value, str) or not 1 <= len(value) <= most:
        got = f"{len(value)} characters" if isinstance(value, str) else type(value).__name__
        raise ProtocolError(field, f"a text of 1 to {most} characters", got)
    return value


def _choice[T: str](fields: Mapping[str, object], field: str, choices: tuple[T, ...]) -> T:
    value = _value(fields, field)
    for choice in choices:
        if value == choice:
            return choice
    raise ProtocolError(field, f"one of {', '.join(choices)}", repr(value)[:MAX_NAME])


def _whole(fields: Mapping[str, object], field: str, low: int, high: int) -> int:
    value = _value(fields, field)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ProtocolError(field, f"a whole number from {low} to {high}", repr(value)[:MAX_NAME])
    return value


def _number(fields: Mapping[str, object], field: str) -> float:
    return _finite(_value(fields, field), field)


def _numbers(fields: Mapping[str, object], field: str, count: int) -> list[float]:
    value = _value(fields, field)
    if not isinstance(value, list) or len(value) != count:
        got = f"{len(value)}" if isinstance(value, list) else type(value).__name__
        raise ProtocolError(field, f"a list of {count} numbers", got)
    return [_finite(number, field) for number in value]


def _finite(value: object, field: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= sys.float_info.max:
        raise ProtocolError(field, "finite numbers", repr(value)[:MAX_NAME])
    return float(value)


def _pixels(fields: Mapping[str, object], field: str, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    value = _value(fields, field)
    expected = int(np.prod(shape)) * dtype.itemsize
    if not isinstance(value, bytes) or len(value) != expected:
        got = f"{len(value)} bytes" if isinstance(value, bytes) else type(value).__name__
        raise ProtocolError(field, f"{expected} bytes for {shape} of {dtype.name}", got)
    return np.frombuffer(value, dtype).reshape(shape)
