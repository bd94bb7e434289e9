"""JSON schemas of the messages in our MCAP files: Foxglove's well-known ones, which its panels know by name, and our own.

Source: Foxglove's message schemas (foxglove.CompressedImage, FrameTransforms, JointStates, PoseInFrame, Log), without their
optional fields.
"""

from typing import Any

from ocrrl.interface.actions import ACTION_NAMES


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


_NUMBER, _TEXT, _INTEGER = {"type": "number"}, {"type": "string"}, {"type": "integer"}
_TIME = _object(sec=_INTEGER, nsec=_INTEGER) | {"title": "time"}
_VECTOR = _object(x=_NUMBER, y=_NUMBER, z=_NUMBER)
_QUATERNION = _object(x=_NUMBER, y=_NUMBER, z=_NUMBER, w=_NUMBER)
_TRANSFORM = _object(
    timestamp=_TIME, parent_frame_id=_TEXT, child_frame_id=_TEXT, translation=_VECTOR, rotation=_QUATERNION
)
_JOINT = _object(name=_TEXT) | {"properties": {"name": _TEXT, "position": _NUMBER}}

SCHEMAS: dict[str, dict[str, Any]] = {
    "foxglove.CompressedImage": _object(
        timestamp=_TIME, frame_id=_TEXT, data={"type": "string", "contentEncoding": "base64"}, format=_TEXT
    ),
    "foxglove.FrameTransforms": _object(transforms={"type": "array", "items": _TRANSFORM}),
    "foxglove.JointStates": _object(timestamp=_TIME, joints={"type": "array", "items": _JOINT}),
    "foxglove.PoseInFrame": _object(
        timestamp=_TIME, frame_id=_TEXT, pose=_object(position=_VECTOR, orientation=_QUATERNION)
    ),
    "foxglove.Log": _object(timestamp=_TIME, level=_INTEGER, message=_TEXT, name=_TEXT, file=_TEXT, line=_INTEGER),
    "ocrrl.Action": _object(timestamp=_TIME, **dict.fromkeys(ACTION_NAMES, _NUMBER)),
    "ocrrl.Gripper": _object(timestamp=_TIME, width_m=_NUMBER),
    "ocrrl.Tracking": _object(timestamp=_TIME, confidence=_NUMBER, shown_to_policies={"type": "boolean"}),
    "ocrrl.SafetyVerdict": _object(timestamp=_TIME, verdict=_TEXT, number=_INTEGER),
}
"""By name."""
