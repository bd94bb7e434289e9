"""Writes an episode as an MCAP file that Foxglove opens: JSON messages on one timeline, from 0 s.

| topic | message |
|---|---|
| `/cameras/CAMERA` | foxglove.CompressedImage, JPEG or PNG |
| `/tf` | foxglove.FrameTransforms: `base` to `gripper`, `command` and every object |
| `/joint_states`, `/gripper` | foxglove.JointStates [rad]; width [m] |
| `/objects/OBJECT`, `/objects/OBJECT/tracking` | foxglove.PoseInFrame; confidence, and whether the policies saw the object |
| `/action`, `/base_action`, `/residual` | steps [m], [rad], gripper opening |
| `/safety` | the safety gate's verdict |
| `/log` | foxglove.Log: instruction at the start, result at the end |
"""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ocrrl.interface.actions import ACTION_NAMES
from ocrrl.interface.episode import Episode
from ocrrl.viewers.foxglove_schemas import SCHEMAS
from ocrrl.viewers.gate_verdicts import VERDICTS, safety_verdicts, shown_to_policies
from ocrrl.viewers.image_encoding import jpeg, png

BASE = "base"
"""The frame of every pose."""
JOINTS = tuple(f"fr3_joint{k}" for k in range(1, 8))
"""As in Franka's robot description."""
_INFO, _WARNING = 2, 3  # foxglove.Log's levels
type Message = tuple[str, str, dict[str, Any]]
"""Topic, name of the schema, content without its time."""


def write_mcap(path: Path, episode: Episode, headline: str, lossless: bool = False) -> None:
    """Write `episode` to `path`, which gets its name when it is whole; `headline` ends its log.

    `lossless` keeps images to the byte (PNG). ModuleNotFoundError where mcap is not installed.
    """
    from mcap.writer import Writer

    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("wb") as file:
            writer = Writer(file)
            writer.start(library="ocrrl")
            writer.add_metadata("episode", {name: _text(value) for name, value in episode.attributes.shown().items()})
            channels: dict[str, int] = {}
            schemas = {
                name: writer.register_schema(name, "jsonschema", json.dumps(schema | {"title": name}).encode())
                for name, schema in SCHEMAS.items()
            }
            for time, (topic, schema, content) in _timed(episode, headline, lossless):
                if topic not in channels:
                    channels[topic] = writer.register_channel(topic, "json", schemas[schema])
                data = json.dumps(content, allow_nan=False).encode()
                writer.add_message(channels[topic], log_time=time, publish_time=time, data=data)
            writer.finish()
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def _timed(episode: Episode, headline: str, lossless: bool) -> Iterator[tuple[int, Message]]:
    """Every message with its time [ns], in the order of time."""
    attributes = episode.attributes
    times = [round(float(time) * 1e9) for time in episode.timestamps]
    verdicts, shown = safety_verdicts(episode), shown_to_policies(episode)
    began = f"{attributes.instruction} (operator {attributes.operator}, cell {attributes.cell})"
    yield times[0], _log(times[0], _INFO, began)
    for step, time in enumerate(times):
        stamp = _stamp(time)
        for camera, frames in episode.images.items():
            yield time, _image(stamp, camera, frames[step], lossless)
        yield time, _transforms(stamp, episode, step)
        joints = [
            {"name": name, "position": float(q)} for name, q in zip(JOINTS, episode.joint_positions[step], strict=True)
        ]
        yield time, ("/joint_states", "foxglove.JointStates", {"timestamp": stamp, "joints": joints})
        width = {"timestamp": stamp, "width_m": float(episode.gripper_width[step])}
        yield time, ("/gripper", "ocrrl.Gripper", width)
        for topic in ("action", "base_action", "residual"):
            if (values := getattr(episode, topic)) is not None:
                named = dict(zip(ACTION_NAMES, map(float, values[step]), strict=True))
                yield time, (f"/{topic}", "ocrrl.Action", {"timestamp": stamp} | named)
        if verdicts is not None:
            number = int(verdicts[step])
            verdict = {"timestamp": stamp, "verdict": VERDICTS[number], "number": number}
            yield time, ("/safety", "ocrrl.SafetyVerdict", verdict)
        if shown is not None:
            for message in _objects(stamp, episode, step, shown[step]):
                yield time, message
    yield times[-1], _log(times[-1], _INFO if attributes.success else _WARNING, headline)


def _objects(stamp: dict[str, int], episode: Episode, step: int, shown: np.ndarray) -> Iterator[Message]:
    for index, name in enumerate(episode.attributes.object_names):
        if episode.object_poses is not None and np.isfinite(pose := episode.object_poses[step, index]).all():
            content = {
                "timestamp": stamp,
                "frame_id": BASE,
                "pose": {"position": _vector(pose), "orientation": _turn(pose)},
            }
            yield f"/objects/{name}", "foxglove.PoseInFrame", content
        if episode.object_confidence is not None:
            tracking = {
                "confidence": float(episode.object_confidence[step, index]),
                "shown_to_policies": bool(shown[index]),
            }
            yield f"/objects/{name}/tracking", "ocrrl.Tracking", {"timestamp": stamp} | tracking


def _transforms(stamp: dict[str, int], episode: Episode, step: int) -> Message:
    frames = {"gripper": episode.gripper_pose[step], "command": episode.commanded_pose[step]}
    if episode.object_poses is not None:
        frames |= {name: episode.object_poses[step, k] for k, name in enumerate(episode.attributes.object_names)}
    transforms = [
        {
            "timestamp": stamp,
            "parent_frame_id": BASE,
            "child_frame_id": name,
            "translation": _vector(pose),
            "rotation": _turn(pose),
        }
        for name, pose in frames.items()
        if np.isfinite(pose).all()
    ]
    return "/tf", "foxglove.FrameTransforms", {"transforms": transforms}


def _image(stamp: dict[str, int], camera: str, frame: np.ndarray, lossless: bool) -> Message:
    data = base64.b64encode(png(frame) if lossless else jpeg(frame)).decode()
    content = {"timestamp": stamp, "frame_id": camera, "data": data, "format": "png" if lossless else "jpeg"}
    return f"/cameras/{camera}", "foxglove.CompressedImage", content


def _log(time: int, level: int, message: str) -> Message:
    content = {"timestamp": _stamp(time), "level": level, "message": message, "name": "ocrrl", "file": "", "line": 0}
    return "/log", "foxglove.Log", content


def _stamp(time: int) -> dict[str, int]:
    return {"sec": time // 10**9, "nsec": time % 10**9}


def _vector(pose: np.ndarray) -> dict[str, float]:
    return dict(zip("xyz", map(float, pose[:3]), strict=True))


def _turn(pose: np.ndarray) -> dict[str, float]:
    return dict(zip("wxyz", map(float, pose[3:]), strict=True))


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
