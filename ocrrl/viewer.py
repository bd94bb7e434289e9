"""`ocrrl view`: an episode in Rerun, its pictures, poses, actions and confidences on one time line."""

from pathlib import Path

from ocrrl.datasets.episode_store import read_episode
from ocrrl.datasets.validation import validate_episode_file
from ocrrl.interface.actions import ACTION_NAMES


def view_episode(path: Path, save: Path | None = None) -> None:
    """Open `path` in the Rerun viewer, or write it as an .rrd file to `save`.

    Raises EpisodeRejected for what is no sound episode, RuntimeError with the remedy where Rerun is not installed.
    """
    try:
        import rerun as rr
    except ImportError as error:
        raise RuntimeError("rerun-sdk must be installed to view episodes: uv pip install 'ocrrl[dev]'") from error

    validate_episode_file(path, path.parent)
    episode = read_episode(path)
    attributes = episode.attributes
    recording = rr.RecordingStream("ocrrl")
    if save is None:
        recording.spawn()
    else:
        recording.save(str(save))
    facts = "\n".join(f"- {name}: {value}" for name, value in vars(attributes).items())
    recording.log("episode", rr.TextDocument(facts, media_type="text/markdown"), static=True)
    for step, time in enumerate(episode.timestamps):
        recording.set_time("time", duration=float(time))
        for camera, frames in episode.images.items():
            recording.log(f"cameras/{camera}", rr.Image(frames[step]))
        _log_pose(rr, recording, "world/gripper", episode.gripper_pose[step])
        _log_pose(rr, recording, "world/command", episode.commanded_pose[step])
        recording.log("gripper/width_m", rr.Scalars(float(episode.gripper_width[step])))
        for index, name in enumerate(attributes.object_names):
            if episode.object_poses is not None and episode.object_confidence is not None:
                _log_pose(rr, recording, f"world/{name}", episode.object_poses[step, index])
                recording.log(f"confidence/{name}", rr.Scalars(float(episode.object_confidence[step, index])))
        for kind in ("action", "base_action", "residual"):
            values = getattr(episode, kind)
            if values is not None:
                for name, value in zip(ACTION_NAMES, values[step], strict=True):
                    recording.log(f"{kind}/{name}", rr.Scalars(float(value)))
    recording.flush()


def _log_pose(rr, recording, entity: str, pose) -> None:
    w, x, y, z = pose[3:]
    recording.log(entity, rr.Transform3D(translation=pose[:3], quaternion=rr.Quaternion(xyzw=[x, y, z, w])))
    recording.log(entity, rr.TransformAxes3D(0.05))
