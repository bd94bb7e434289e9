"""Motions written as our own format, robomimic's HDF5 and a LeRobotDataset v3 have them; every part can be edited before."""

# pyright: reportIndexIssue=false, reportAttributeAccessIssue=false, reportArgumentType=false, reportOperatorIssue=false, reportCallIssue=false
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from benchmarks.hostile.motion import CAMERAS, INSTRUCTION, Motion
from ocrrl.episodes.episode_store import write_episode
from ocrrl.interface import rotations
from ocrrl.interface.actions import step_between
from ocrrl.interface.episode import Episode, EpisodeAttributes

Edit = Callable[[Any], object]
STATE = ("x", "y", "z", "rx", "ry", "rz", "width", *(f"q{joint}" for joint in range(1, 8)))
ACTION = ("x", "y", "z", "rx", "ry", "rz", "gripper")
DATA = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEO = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
EPISODES = "meta/episodes/chunk-000/file-000.parquet"
LEROBOT_MAPPING = {
    "cell": "my_cell",
    "images": {camera: f"observation.images.{camera}" for camera in CAMERAS},
    "position": "observation.state[x,y,z]",
    "rotation": "observation.state[rx,ry,rz]",
    "gripper_width": "observation.state[width]",
    "gripper_command": "action[gripper]",
    "joint_positions": "observation.state[q1,q2,q3,q4,q5,q6,q7]",
}
ROBOMIMIC_MAPPING = {
    "cell": "robosuite",
    "images": {"front": "agentview_image", "wrist": "robot0_eye_in_hand_image"},
    "quaternion_order": "xyzw",
    "actions": "from_poses",
    "control_hz": 20,
}


def own(path: Path, motion: Motion, edit: Edit | None = None, scale: int = 1) -> Path:
    """An episode file, its images `scale` times as large; `edit` is given it open for writing."""
    following = np.concatenate([motion.pose[1:], motion.pose[-1:]])
    episode = Episode(
        attributes=EpisodeAttributes(
            *("cube_lift", INSTRUCTION, "somebody", "my_cell", True),
            calibration={"front": {"fovy": 34.0}},
            versions={"ocrrl": "0.1.0"},
            object_names=("cuboid",),
        ),
        images={camera: motion.images(camera, scale) for camera in CAMERAS},
        gripper_pose=motion.pose,
        commanded_pose=motion.pose,
        joint_positions=motion.joints,
        gripper_width=motion.width,
        action=np.concatenate([step_between(motion.pose, following), motion.opening[:, None]], -1),
        timestamps=motion.t,
        object_poses=motion.cube[:, None],
        object_confidence=np.ones((len(motion), 1)),
    )
    write_episode(path, episode)
    if edit:
        with h5py.File(path, "r+") as file:
            edit(file)
    return path


def robomimic(
    path: Path, motions: Sequence[Motion], demo_edit: dict[int, Edit] | None = None, file_edit: Edit | None = None
) -> Path:
    """A robomimic file; `demo_edit` by number of the demonstration, `file_edit` is given the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        data.attrs["total"] = sum(len(motion) for motion in motions)
        kwargs = {"robots": ["Panda"], "control_freq": motions[0].hz}
        data.attrs["env_args"] = json.dumps({"env_name": "Lift", "type": 1, "env_kwargs": kwargs})
        for number, motion in enumerate(motions):
            demo = data.create_group(f"demo_{number}")
            demo.attrs["num_samples"] = len(motion)
            obs = demo.create_group("obs")
            obs["robot0_eef_pos"] = motion.pose[:, :3]
            obs["robot0_eef_quat"] = np.roll(motion.pose[:, 3:], -1, 1)
            obs["robot0_joint_pos"] = motion.joints
            obs["robot0_gripper_qpos"] = np.stack([motion.width / 2, -motion.width / 2], 1)
            for camera, key in ROBOMIMIC_MAPPING["images"].items():
                obs[key] = motion.images(camera)
            steps = np.diff(motion.pose[:, :3], axis=0, append=motion.pose[-1:, :3]) / 0.05
            demo["actions"] = np.concatenate([steps, 0 * steps, 1 - 2 * motion.opening[:, None]], 1)
            demo["rewards"] = np.append(np.zeros(len(motion) - 1), 1.0)
            demo["dones"] = np.append(np.zeros(len(motion) - 1, int), 1)
            if demo_edit and number in demo_edit:
                demo_edit[number](demo)
        if file_edit:
            file_edit(file)
    return path


@dataclass
class LeRobotEdits:
    """What is done to a LeRobotDataset while it is written."""

    kind: str = "video"
    codec: str = "h264"
    pixels: str = "yuv420p"
    scale: int = 1
    """Of the images' sides."""
    numbers: Sequence[int] | None = None
    state: Callable[[np.ndarray], np.ndarray] | None = None
    """Of the rows (F, 14) of all episodes."""
    columns: Edit | None = None
    """Given every column by name, numpy arrays."""
    table: Callable[[pa.Table], pa.Table] | None = None
    episodes: Callable[[list[dict]], list[dict]] | None = None
    info: Edit | None = None
    frames: Callable[[str, np.ndarray], np.ndarray] | None = None


def lerobot(root: Path, motions: Sequence[Motion], edits: LeRobotEdits | None = None) -> Path:
    """A LeRobotDataset v3 as `lerobot-record` lays it out."""
    edits = edits or LeRobotEdits()
    numbers, fps = list(edits.numbers or range(len(motions))), motions[0].hz
    starts = np.cumsum([0, *(len(motion) for motion in motions)])
    columns: dict[str, np.ndarray] = {
        "observation.state": np.concatenate([_state(motion) for motion in motions]).astype(np.float32),
        "action": np.concatenate([_action(motion) for motion in motions]).astype(np.float32),
        "timestamp": np.concatenate([motion.t for motion in motions]).astype(np.float32),
        "frame_index": np.concatenate([np.arange(len(motion)) for motion in motions]),
        "episode_index": np.repeat(numbers, np.diff(starts)),
        "index": np.arange(starts[-1]),
        "task_index": np.zeros(starts[-1], int),
    }
    if edits.state:
        columns["observation.state"] = edits.state(columns["observation.state"])
    episodes = [
        _episode(number, start, stop, fps, edits)
        for number, start, stop in zip(numbers, starts[:-1], starts[1:], strict=True)
    ]
    info = _info(columns, len(motions), int(starts[-1]), fps, edits)
    (root / "meta/episodes/chunk-000").mkdir(parents=True)
    (root / "data/chunk-000").mkdir(parents=True)
    if edits.columns:
        edits.columns(columns)
    arrays = {name: _column(values) for name, values in columns.items()}
    for camera in CAMERAS:
        key = f"observation.images.{camera}"
        frames = np.concatenate([motion.images(camera, edits.scale) for motion in motions])
        frames = edits.frames(camera, frames) if edits.frames else frames
        if edits.kind == "image":
            cells = [{"bytes": _png(frame), "path": None} for frame in frames]
            arrays[key] = pa.array(cells, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
        else:
            path = root / VIDEO.format(video_key=key, chunk_index=0, file_index=0)
            encode(path, frames, round(fps), edits.codec, edits.pixels)
    table = pa.table(arrays)
    pq.write_table(edits.table(table) if edits.table else table, root / DATA.format(chunk_index=0, file_index=0))
    pq.write_table(pa.Table.from_pylist(edits.episodes(episodes) if edits.episodes else episodes), root / EPISODES)
    pq.write_table(pa.table({"task_index": [0], "task": [INSTRUCTION]}), root / "meta/tasks.parquet")
    if edits.info:
        edits.info(info)
    (root / "meta/info.json").write_text(json.dumps(info, indent=1))
    return root


def encode(path: Path, frames: np.ndarray, fps: int, codec: str = "h264", pixels: str = "yuv420p") -> None:
    """Frames (T, H, W, 3) as a video."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, fps, options={"g": "2", "x265-params": "log-level=none"})
        stream.height, stream.width, stream.pix_fmt = frames.shape[1], frames.shape[2], pixels
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
        container.mux(stream.encode())


def _state(motion: Motion) -> np.ndarray:
    turn = rotations.to_rotation_vector(motion.pose[:, 3:])
    return np.concatenate([motion.pose[:, :3], turn, motion.width[:, None], motion.joints], 1)


def _action(motion: Motion) -> np.ndarray:
    return np.concatenate([_state(motion)[:, :6], motion.opening[:, None]], 1)


def _episode(number: int, start: int, stop: int, fps: float, edits: LeRobotEdits) -> dict:
    entry = {"episode_index": number, "tasks": [INSTRUCTION], "length": int(stop - start)}
    entry |= {
        "data/chunk_index": 0,
        "data/file_index": 0,
        "meta/episodes/chunk_index": 0,
        "meta/episodes/file_index": 0,
    }
    entry |= {"dataset_from_index": int(start), "dataset_to_index": int(stop)}
    for camera in CAMERAS if edits.kind == "video" else ():
        key = f"videos/observation.images.{camera}"
        entry |= {f"{key}/chunk_index": 0, f"{key}/file_index": 0}
        entry |= {f"{key}/from_timestamp": start / fps, f"{key}/to_timestamp": stop / fps}
    return entry


def _info(columns: dict[str, np.ndarray], episodes: int, frames: int, fps: float, edits: LeRobotEdits) -> dict:
    side = 64 * edits.scale
    names = ["height", "width", "channels"]
    features: dict[str, Any] = {
        f"observation.images.{camera}": {"dtype": edits.kind, "shape": [side, side, 3], "names": names}
        for camera in CAMERAS
    }
    for name, values in columns.items():
        known = {"observation.state": STATE, "action": ACTION}.get(name)
        shape = [values.shape[1]] if values.ndim == 2 else [1]
        features[name] = {"dtype": str(values.dtype), "shape": shape, "names": list(known) if known else None}
    return {
        "codebase_version": "v3.0",
        "fps": round(fps),
        "features": features,
        "total_episodes": episodes,
        "total_frames": frames,
        "total_tasks": 1,
        "chunks_size": 1000,
        "robot_type": "arm",
        "splits": {"train": f"0:{episodes}"},
        "data_path": DATA,
        "video_path": VIDEO,
    }


def _column(values: np.ndarray) -> pa.Array:
    if values.ndim == 1:
        return pa.array(values)
    return pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(values).ravel()), values.shape[1])


def _png(frame: np.ndarray) -> bytes:
    content = io.BytesIO()
    Image.fromarray(frame).save(content, "PNG")
    return content.getvalue()
