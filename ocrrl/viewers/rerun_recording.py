"""Shows episodes in Rerun: images, poses, actions, confidences and the gates' verdicts, of one episode or a whole session."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from ocrrl.interface.actions import ACTION_NAMES
from ocrrl.interface.episode import Episode
from ocrrl.viewers.gate_verdicts import VERDICTS, safety_verdicts, shown_to_policies
from ocrrl.viewers.image_encoding import jpeg
from ocrrl.viewers.session_episodes import SessionEpisode

PAUSE = 1.0
"""[s] between the episodes of a session on its timeline."""


def show_episode(episode: Episode, save: Path | None = None) -> None:
    """Open `episode` in the Rerun viewer, or write it as an .rrd file to `save`; ModuleNotFoundError where Rerun is not installed."""
    import rerun as rr

    recording = _recording(rr, save)
    facts = "\n".join(f"- {name}: {value}" for name, value in episode.attributes.shown().items())
    recording.log("episode", rr.TextDocument(facts, media_type="text/markdown"), static=True)
    _log_steps(rr, recording, episode, "time", 0.0, compress=False)
    recording.flush()


def show_session(episodes: Iterable[tuple[SessionEpisode, Episode]], save: Path | None = None) -> int:
    """Open all `episodes`, one after the other on the timeline `session`, or write them to the .rrd file `save`; how many.

    Images are compressed (JPEG): an hour of two cameras is 140 GB without. Episodes are read one at a time.
    """
    import rerun as rr

    recording = _recording(rr, save)
    start, count = 0.0, 0
    for listed, episode in episodes:
        if not count:
            recording.send_blueprint(_blueprint(sorted(episode.images)))
        success = episode.attributes.success
        recording.set_time("session", duration=start)
        recording.log("episodes", rr.TextLog(listed.headline(episode), level="INFO" if success else "WARN"))
        for kind in ("action", "base_action", "residual", "confidence", "gate", "cameras", "world"):
            recording.log(kind, rr.Clear(recursive=True))  # an episode may lack what the one before had
        recording.log("episode", rr.TextDocument(listed.headline(episode), media_type="text/markdown"))
        _log_steps(rr, recording, episode, "session", start, compress=True)
        start, count = start + float(episode.timestamps[-1]) + PAUSE, count + 1
    recording.flush()
    return count


def _recording(rr: Any, save: Path | None) -> Any:
    recording = rr.RecordingStream("ocrrl")
    if save is None:
        recording.spawn()
    else:
        recording.save(str(save))
    return recording


def _blueprint(cameras: list[str]) -> Any:
    import rerun.blueprint as rrb

    series = [
        rrb.TimeSeriesView(origin=origin, name=name)
        for origin, name in (
            ("base_action", "base action"),
            ("residual", "residual"),
            ("action", "applied action"),
            ("gate", f"gates (safety: {', '.join(f'{k} {verdict}' for k, verdict in enumerate(VERDICTS))})"),
            ("confidence", "pose confidence"),
        )
    ]
    scene = rrb.Vertical(
        rrb.Horizontal(
            rrb.Spatial3DView(origin="world"), *(rrb.Spatial2DView(origin=f"cameras/{camera}") for camera in cameras)
        ),
        rrb.TextLogView(origin="episodes"),
        row_shares=[3, 1],
    )
    return rrb.Blueprint(rrb.Horizontal(scene, rrb.Vertical(*series)), collapse_panels=True)


def _log_steps(rr: Any, recording: Any, episode: Episode, timeline: str, start: float, compress: bool) -> None:
    """Whole columns at once, which is ten times as fast as a call for every value."""
    times = [rr.TimeColumn(timeline, duration=start + episode.timestamps)]
    verdicts, shown = safety_verdicts(episode), shown_to_policies(episode)

    def series(entity: str, values: np.ndarray) -> None:
        recording.send_columns(entity, times, rr.Scalars.columns(scalars=np.asarray(values, float)))

    def poses(entity: str, values: np.ndarray) -> None:
        columns = rr.Transform3D.columns(translation=values[:, :3], quaternion=values[:, [4, 5, 6, 3]])  # xyzw
        recording.send_columns(entity, times, columns)
        recording.log(entity, rr.TransformAxes3D(0.05), static=True)

    for camera, frames in episode.images.items():
        if compress:
            images = rr.EncodedImage.columns(
                blob=[jpeg(frame) for frame in frames], media_type=["image/jpeg"] * len(frames)
            )
        else:
            kind = rr.components.ImageFormat(
                width=frames.shape[2], height=frames.shape[1], color_model="RGB", channel_datatype="U8"
            )
            recording.log(f"cameras/{camera}", rr.Image.from_fields(format=kind), static=True)
            images = rr.Image.columns(buffer=frames.reshape(len(frames), -1))
        recording.send_columns(f"cameras/{camera}", times, images)
    poses("world/gripper", episode.gripper_pose)
    poses("world/command", episode.commanded_pose)
    series("gripper/width_m", episode.gripper_width)
    if verdicts is not None:
        series("gate/safety", verdicts)
    for index, name in enumerate(episode.attributes.object_names):
        if episode.object_poses is not None and episode.object_confidence is not None and shown is not None:
            poses(f"world/{name}", episode.object_poses[:, index])
            series(f"confidence/{name}", episode.object_confidence[:, index])
            series(f"gate/{name}_shown", shown[:, index])
    for kind in ("action", "base_action", "residual"):
        values = getattr(episode, kind)
        if values is not None:
            for index, name in enumerate(ACTION_NAMES):
                series(f"{kind}/{name}", values[:, index])
