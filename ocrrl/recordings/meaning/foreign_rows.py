"""Converts the rows of another format to an episode: resampled to the control rate, with our actions.

Legend: T recorded rows, R resampled rows; poses are position [m] and wxyz quaternion, robot base frame.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int, UInt8

from ocrrl.episodes.episode_checks import STEP_ROUNDING, EpisodeRejected, check_finite, check_unit_quaternions
from ocrrl.interface.actions import (
    CONTROL_HZ,
    MAX_ROTATION_STEP,
    MAX_TRANSLATION_STEP,
    ROTATION_LEASH,
    TRANSLATION_LEASH,
    advance_command,
    limit,
    step_between,
)
from ocrrl.interface.episode import Episode, EpisodeAttributes
from ocrrl.interface.resampling import interpolate, interpolate_poses
from ocrrl.interface.tabletop_tasks import TabletopTask

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
    at = resampled_rows(count, rows.recorded_hz)
    nearest = nearest_rows(at)
    gripper_pose = interpolate_poses(rows.gripper_pose, at)
    opening = rows.opening[nearest]
    notes: tuple[str, ...] = ()
    if rows.steps is not None:
        action = np.concatenate([rows.steps[nearest], opening[:, None]], axis=-1)
        commanded = _commanded_poses(gripper_pose, action)
        notes = _dragged(commanded, action)
    elif rows.targets is not None:
        targets = interpolate_poses(rows.targets, at)
        action, commanded = actions_towards(gripper_pose, targets, opening)
    else:
        action, commanded = actions_from_poses(gripper_pose, opening)
    names = tuple(tracked.name for tracked in task.objects) if rows.object_poses else ()
    poses = [interpolate_poses(rows.object_poses[name], at) for name in names]
    episode = Episode(
        attributes=replace(attributes, object_names=names),
        images={camera: frames[nearest] for camera, frames in rows.images.items()},
        gripper_pose=gripper_pose,
        commanded_pose=commanded,
        joint_positions=interpolate(rows.joint_positions, at),
        gripper_width=interpolate(rows.gripper_width[:, None], at)[:, 0],
        object_poses=np.stack(poses, axis=1) if names else None,
        object_confidence=np.ones((len(at), len(names))) if names else None,
        action=action,
        timestamps=np.arange(len(at)) / CONTROL_HZ,
    )
    return episode, notes


def _check_rows(rows: ForeignRows, task: TabletopTask) -> None:
    poses = {"gripper_pose": rows.gripper_pose} | {
        f"object_poses.{n}": values for n, values in rows.object_poses.items()
    }
    numbers = {name: value for name, value in vars(rows).items() if isinstance(value, np.ndarray)}
    for name, values in (numbers | poses).items():
        check_finite(name, values)
    for name, values in poses.items():
        check_unit_quaternions(name, values[:, 3:])
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


def resampled_rows(rows: int, recorded_hz: float) -> Float[np.ndarray, " R"]:
    """The (fractional) recorded rows at which `CONTROL_HZ` samples fall, from the first to at most the last."""
    last = (rows - 1) / recorded_hz
    return np.arange(int(np.floor(last * CONTROL_HZ + 1e-9)) + 1) * (recorded_hz / CONTROL_HZ)


def nearest_rows(at: Float[np.ndarray, " R"]) -> Int[np.ndarray, " R"]:
    """The recorded row nearest to each of `at`: for images and commands."""
    return np.floor(at + 0.5).astype(int)


def actions_from_poses(
    poses: Float[np.ndarray, "T 7"], opening: Float[np.ndarray, " T"]
) -> tuple[Float[np.ndarray, "T 7"], Float[np.ndarray, "T 7"]]:
    """The actions that bring a command from each measured pose to the next, with the commanded gripper `opening` in [0, 1].

    As `actions_towards`; where no step is beyond the limits, the commanded poses are the measured ones. The last action
    stands still.
    """
    following = np.concatenate([poses[1:], poses[-1:]])
    steps = step_between(poses, following)
    if _within_limits(steps):
        return np.concatenate([steps, opening[:, None]], axis=-1), poses
    return actions_towards(poses, following, opening)


def actions_towards(
    measured: Float[np.ndarray, "T 7"], targets: Float[np.ndarray, "T 7"], opening: Float[np.ndarray, " T"]
) -> tuple[Float[np.ndarray, "T 7"], Float[np.ndarray, "T 7"]]:
    """The actions (T, 7) that bring a command from the first `measured` pose after the `targets`, and the pose commanded
    before each (T, 7).

    The target of a row is where the command should be after its action. A step beyond the limits is made as far as they
    allow, the rest in the steps that follow. Raises `EpisodeRejected` where the command would fall behind the measured
    pose by more than the leash of `ocrrl.interface.actions`, or a target is further from it than that.
    """
    commanded, actions = [measured[0]], []
    for step, (pose, target) in enumerate(zip(measured, targets, strict=True)):
        action = limit(np.concatenate([step_between(commanded[-1], target), opening[step : step + 1]]))
        following = advance_command(commanded[-1], pose, action)
        if not np.allclose(step_between(commanded[-1], following), action[:6], rtol=0.0, atol=1e-6):
            raise _off_the_leash(commanded[-1], pose, step, measured)
        actions.append(action)
        commanded.append(following)
    return np.stack(actions), np.stack(commanded[:-1])


def _within_limits(steps: np.ndarray) -> bool:
    return bool(
        np.abs(steps[:, :3]).max(initial=0.0) <= MAX_TRANSLATION_STEP + STEP_ROUNDING
        and np.linalg.norm(steps[:, 3:], axis=-1).max(initial=0.0) <= MAX_ROTATION_STEP + STEP_ROUNDING
    )


def _off_the_leash(commanded: np.ndarray, pose: np.ndarray, step: int, measured: np.ndarray) -> EpisodeRejected:
    behind = step_between(commanded, pose)
    moved = step_between(measured[:-1], measured[1:])
    speed, turn = (
        float(np.linalg.norm(part, axis=-1).max(initial=0.0)) * CONTROL_HZ for part in (moved[:, :3], moved[:, 3:])
    )
    return EpisodeRejected(
        "action",
        f"steps (at most {MAX_TRANSLATION_STEP:g} m a component, {MAX_ROTATION_STEP:g} rad) that keep the command within"
        f" {TRANSLATION_LEASH:g} m and {ROTATION_LEASH:g} rad of the measured pose",
        f"{np.linalg.norm(behind[:3]):.3g} m and {np.linalg.norm(behind[3:]):.3g} rad at step {step}: the arm moves at up to"
        f" {speed:.2g} m/s and {turn:.2g} rad/s",
    )
