"""How long a VLA takes to answer one robot: a JSON file that `ocrrl measure-latency` writes, and a model's folder carries.

`{"format_version": 1, "policy": {...}, "device": "cuda", "frame_age": 0.0, "seconds": [0.141, ...]}`: `policy` is the kind of VLA
that was measured (`policy_kind`), `frame_age` [s] is counted in each of `seconds`.
"""

import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ocrrl import files
from ocrrl.interface.json_file import read_json_object, said
from ocrrl.interface.observations import GRIPPER_DOWN, MAX_GRIPPER_WIDTH, WORKSPACE_CENTRE, RobotState
from ocrrl.interface.protocols import VLA
from ocrrl.policies.chunk_delay import ChunkDelay, measured_delay
from ocrrl.policies.image_sizes import image_sizes
from ocrrl.policies.lerobot_window import chunk_field

NAME = "latency.json"
VLA_FILE = "vla.json"
"""In the place of config.json where a server has the model (`ocrrl.policies.remote.vla_file`)."""
FORMAT_VERSION = 1
MOST_SECONDS = 60.0
REMEDY = "measure it with `ocrrl measure-latency`, or fetch it (`dvc pull`)"
WARM_UP = 3  # answers that are not counted: compilation, caches


def policy_kind(folder: Path) -> dict[str, Any]:
    """What a latency depends on, of the VLA in `folder`: its type, the actions in a chunk, the cameras' image sizes [pixel].

    ValueError for a config.json that does not say it. The type of a VLA on a policy server names protocol and version.
    """
    if (folder / VLA_FILE).is_file():
        return _remote_kind(folder / VLA_FILE)
    path = folder / "config.json"
    config = read_json_object(path)
    images = {camera: list(size) for camera, size in image_sizes(config).items()}
    kind = {"type": config.get("type"), "chunk_size": config.get(chunk_field(config.get("type"))), "images": images}
    if not isinstance(kind["type"], str) or type(kind["chunk_size"]) is not int or not images:
        raise ValueError(f"{path} must have a type, a {chunk_field(kind['type'])} and image features, got {said(kind)}")
    return kind


def _remote_kind(path: Path) -> dict[str, Any]:
    content = read_json_object(path)
    cameras = content.get("cameras")
    found = cameras.items() if isinstance(cameras, Mapping) else ()
    images = {name: camera.get("size") for name, camera in found if isinstance(camera, Mapping)}
    kind = {"type": f"remote {content.get('version')}", "chunk_size": content.get("chunk_size"), "images": images}
    if type(kind["chunk_size"]) is not int or not images:
        raise ValueError(f"{path} must have a version, a chunk_size and cameras with sizes, got {said(kind)}")
    return kind


def measure(
    vla: VLA,
    images: Mapping[str, tuple[int, int]],
    instruction: str,
    requests: int,
    clock: Callable[[], float] = time.perf_counter,
) -> list[float]:
    """Seconds that `vla` takes for each of `requests` chunks of one robot, after `WARM_UP`; `images`: (height, width) by camera."""
    generator = np.random.default_rng(0)
    robot = RobotState.at_rest(np.concatenate([WORKSPACE_CENTRE, GRIPPER_DOWN, [MAX_GRIPPER_WIDTH]])[None])
    seconds = []
    for _ in range(WARM_UP + requests):
        frames = {name: generator.integers(0, 256, (1, *size, 3), np.uint8) for name, size in images.items()}
        begun = clock()
        vla.predict_chunk(frames, robot, instruction)
        seconds.append(clock() - begun)
    return seconds[WARM_UP:]


def write_latency(path: Path, kind: Mapping[str, Any], device: str, frame_age: float, seconds: list[float]) -> None:
    """Write the file; `seconds` are the VLA's alone, `frame_age` is added to each."""
    files.write_json(
        path,
        {
            "format_version": FORMAT_VERSION,
            "policy": dict(kind),
            "device": device,
            "frame_age": frame_age,
            "seconds": [round(frame_age + second, 6) for second in seconds],
        },
    )


def read_latency(path: Path, kind: Mapping[str, Any]) -> list[float]:
    """The measured seconds in `path`, of a VLA of `kind`. ValueError naming the field for a file that is damaged or of another VLA."""
    content = read_json_object(path, remedy=REMEDY)
    if content.get("format_version") != FORMAT_VERSION:
        raise ValueError(f"{path}: format_version must be {FORMAT_VERSION}, got {said(content.get('format_version'))}")
    seconds = content.get("seconds")
    numbers = seconds if isinstance(seconds, list) else []
    if not numbers or not all(type(s) in (int, float) and math.isfinite(s) and 0 < s <= MOST_SECONDS for s in numbers):
        raise ValueError(f"{path}: seconds must be numbers above 0, at most {MOST_SECONDS:g}, got {said(seconds)}")
    measured = content.get("policy")
    if measured != dict(kind):
        raise ValueError(
            f"{path}: policy must be the VLA that it is used with, {said(dict(kind))}, got {said(measured)}: measure this one with "
            "`ocrrl measure-latency`"
        )
    return [float(second) for second in numbers]


def delay_of(folder: Path) -> ChunkDelay:
    """The delays of the chunks of the VLA in `folder`: measured, if the folder carries a `latency.json`, else none."""
    path = folder / NAME
    return measured_delay(read_latency(path, policy_kind(folder))) if path.is_file() else ChunkDelay()
