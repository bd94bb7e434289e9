"""The one way from another format's rows to an episode: resampled to the control rate, with our actions.

Legend: T recorded rows.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, UInt8

from ocrrl.episodes.episode_checks import QUATERNION_TOLERANCE, EpisodeRejected
from ocrrl.interface.actions import CONTROL_HZ, advance_command, step_between
from ocrrl.interface.episode import Episode, EpisodeAttributes
from ocrrl.interface.tabletop_tasks import TabletopTask
from ocrrl.recordings.meaning import pose_steps

DRAGGED = 0.1
"""The share of steps at which the leash may hold the command back before it is said."""


@dataclass
class ForeignRows:
    """What a mapping found, in our units and frames, at the recording's own rate."""

    images: dict[str, UInt8[np.ndarray, "T H W 3"]]
    gripper_pose: Float[np.ndarray, "T 7"]
    joint_positions: Float[np.ndarray, "T 7"]
    gripper_width: Float[np.ndarray, " T"]
    object_poses: dict[str, Float[np.ndarray, "T 7"]]
    """By object name; empty where the recording has none."""
    opening: Float[np.ndarray, " T"]
    """The commanded gripper opening in [0, 1]."""
    steps: Float[np.ndarray, "T 6"] | None
    """The commanded steps [m, rad]; None to derive them from poses."""
    recorded_hz: float
    targets: Float[np.ndarray, "T 7"] | None = None
    """The gripper poses commanded at each row; None, with `steps` None: the next measured ones."""


def episode_from_rows(
    rows: ForeignRows, task: TabletopTask, attributes: EpisodeAttributes
) -> tuple[Episode, tuple[str, ...]]:
    """The episode of `rows` at `CONTROL_HZ`, and notes on its actions.

    Actions from poses take the measured pose for the commanded one. Raises `EpisodeRejected` for rows that do not fit
    together or that hold no steps, non-finite numbers, non-unit quaternions, or motion that no actions make.
    """
    _check_rows(rows, task)
    count = len(rows.gripper_pose)
    at = pose_steps.resampled_rows(count, rows.recorded_hz)
    nearest = pose_steps.nearest_rows(at)
    gripper_pose = pose_steps.interpolate_poses(rows.gripper_pose, at)
    opening = rows.opening[nearest]
    notes: tuple[str, ...] = ()
    if rows.steps is not None:
        action = np.concatenate([rows.steps[nearest], opening[:, None]], axis=-1)
        commanded = _commanded_poses(gripper_pose, action)
        notes = _dragged(commanded, action)
    elif rows.targets is not None:
        targets = pose_steps.interpolate_poses(rows.targets, at)
        action, commanded = pose_steps.actions_towards(gripper_pose, targets, opening)
    else:
        action, commanded = pose_steps.actions_from_poses(gripper_pose, opening)
    names = tuple(tracked.name for tracked in task.objects) if rows.object_poses else ()
    poses = [pose_steps.interpolate_poses(rows.object_poses[name], at) for name in names]
    episode = Episode(
        attributes=replace(attributes, object_names=names),
        images={camera: frames[nearest] for camera, frames in rows.images.items()},
        gripper_pose=gripper_pose,
        commanded_pose=commanded,
        joint_positions=pose_steps.interpolate(rows.joint_positions, at),
        gripper_width=pose_steps.interpolate(rows.gripper_width[:, None], at)[:, 0],
        object_poses=np.stack(poses, axis=1) if names else None,
        object_confidence=np.ones((len(at), len(names))) if names else None,
        action=action,
        timestamps=np.arange(len(at)) / CONTROL_HZ,
    )
    return episode, notes


def _check_rows(rows: ForeignRows, task: TabletopTask) -> None:
    count = len(rows.opening)
    if count == 0:
        raise EpisodeRejected("actions", "at least one step", "zero steps (a zero-length episode)")
    named = {name: value for name, value in vars(rows).items() if isinstance(value, np.ndarray)}
    named |= {f"object_poses.{name}": poses for name, poses in rows.object_poses.items()}
    named |= {f"images.{camera}": frames for camera, frames in rows.images.items()}
    for name, values in named.items():
        if len(values) != count:
            raise EpisodeRejected(name, f"{count} rows, one an action", f"{len(values)}")
        if not np.isfinite(values).all():
            raise EpisodeRejected(
                name, "finite", f"NaN or infinity at step {int(np.argwhere(~np.isfinite(values))[0, 0])}"
            )
        if name == "gripper_pose" or name.startswith("object_poses"):
            norm = np.linalg.norm(values[:, 3:], axis=-1)
            worst = int(np.abs(norm - 1).argmax())
            if abs(norm[worst] - 1) > QUATERNION_TOLERANCE:
                raise EpisodeRejected(name, "of unit quaternions", f"a norm of {norm[worst]:.4f} at step {worst}")
        if name.startswith("images") and (values.dtype != np.uint8 or values.ndim != 4 or values.shape[3] != 3):
            raise EpisodeRejected(name, "uint8 of shape (T, height, width, 3)", f"{values.dtype} {values.shape}")
    wanted = {tracked.name for tracked in task.objects}
    if rows.object_poses and set(rows.object_poses) != wanted:
        raise EpisodeRejected(
            "object_poses", f"those of {', '.join(sorted(wanted))}", ", ".join(sorted(rows.object_poses))
        )


def _commanded_poses(measured: np.ndarray, action: np.ndarray) -> np.ndarray:
    """The commanded pose before each `action` (T, 7), from the first measured pose on, kept on the leash."""
    commanded = [measured[0]]
    for step in range(len(action) - 1):
        commanded.append(advance_command(commanded[-1], measured[step], action[step]))
    return np.stack(commanded)


def _dragged(commanded: np.ndarray, action: np.ndarray) -> tuple[str, ...]:
    """A note where the steps lead so far from the measured poses that the leash holds the command back."""
    made = step_between(commanded[:-1], commanded[1:])
    held = ~np.isclose(made, action[:-1, :6], rtol=0.0, atol=1e-6).all(axis=-1)
    if not held.size or held.mean() <= DRAGGED:
        return ()
    return (
        "actions: the steps lead further than the measured poses go (action_scale? or a controller that starts each from"
        " the measured pose: then actions: from_poses)",
    )
