"""`ocrrl view`: an episode in Rerun, its pictures, poses, actions and confidences on one time line."""

from pathlib import Path

from ocrrl.datasets.episode_store import read_episode
from ocrrl.interface.actions import ACTION_NAMES


def view_episode(path: Path, save: Path | None = None) -> None:
    """Open `path` in the Rerun viewer, or write it as an .rrd file to `save`.

    Raises RuntimeError with the remedy where Rerun is not installed.
    """
    try:
        import rerun as rr
    except ImportError as error:
        raise RuntimeError("rerun-sdk must be installed to view episodes: uv pip install 'ocrrl[dev]'") from error

    episode = read_episode(path)
    attributes = episode.attributes
    rr.init(f"{attributes.tabletop_task} · {path.name}", spawn=save is None)
    if save is not None:
        rr.save(str(save))
    facts = "\n".join(f"- {name}: {value}" for name, value in vars(attributes).items())
    rr.log("episode", rr.TextDocument(facts, media_type="text/markdown"), static=True)
    for step, time in enumerate(episode.timestamps):
        rr.set_time("time", duration=float(time))
        for camera, frames in episode.images.items():
            rr.log(f"cameras/{camera}", rr.Image(frames[step]))
        _log_pose(rr, "world/gripper", episode.gripper_pose[step])
        _log_pose(rr, "world/command", episode.commanded_pose[step])
        rr.log("gripper/width_m", rr.Scalars(float(episode.gripper_width[step])))
        for index, name in enumerate(attributes.object_names):
            if episode.object_poses is not None and episode.object_confidence is not None:
                _log_pose(rr, f"world/{name}", episode.object_poses[step, index])
                rr.log(f"confidence/{name}", rr.Scalars(float(episode.object_confidence[step, index])))
        for kind in ("action", "base_action", "residual"):
            values = getattr(episode, kind)
            if values is not None:
                for name, value in zip(ACTION_NAMES, values[step], strict=True):
                    rr.log(f"{kind}/{name}", rr.Scalars(float(value)))


def _log_pose(rr, entity: str, pose) -> None:
    w, x, y, z = pose[3:]
    rr.log(entity, rr.Transform3D(translation=pose[:3], quaternion=rr.Quaternion(xyzw=[x, y, z, w])))
    rr.log(entity, rr.TransformAxes3D(0.05) if hasattr(rr, "TransformAxes3D") else rr.Points3D([pose[:3]]))
