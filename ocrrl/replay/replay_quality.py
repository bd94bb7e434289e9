"""How well a replay followed its recording.

Legend: T steps, O tracked objects; positions [m], robot base frame.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from ocrrl.interface import rotations
from ocrrl.interface.episode import Episode

LIFTED = 0.01  # [m] above where the object began
GRASP_RADIUS = 0.10  # [m] between object and gripper frame


@dataclass(frozen=True)
class ReplayQuality:
    """One replayed episode's numbers; lengths in metres, None where there was nothing to measure."""

    source: str
    success: bool
    steps: int
    gripper_error_median: float
    gripper_error_max: float
    object_error_median: float | None
    object_error_max: float | None
    slip: float | None


def replay_quality(source: str, recorded: Episode, replayed: Episode) -> ReplayQuality:
    """Compare the rows that both have: gripper positions, and object positions where the recording was confident."""
    rows = min(len(recorded), len(replayed))
    gripper_error = np.linalg.norm(recorded.gripper_pose[:rows, :3] - replayed.gripper_pose[:rows, :3], axis=-1)
    seen, went = recorded.observation(), replayed.observation()
    object_error = np.zeros(0)
    if recorded.object_poses is not None:
        distance = np.linalg.norm(seen.object_poses[:rows, :, :3] - went.object_poses[:rows, :, :3], axis=-1)
        object_error = distance[seen.visible()[:rows]]
    return ReplayQuality(
        source=source,
        success=replayed.attributes.success,
        steps=len(replayed),
        gripper_error_median=float(np.median(gripper_error)),
        gripper_error_max=float(gripper_error.max()),
        object_error_median=float(np.median(object_error)) if len(object_error) else None,
        object_error_max=float(object_error.max()) if len(object_error) else None,
        slip=slip(went.gripper_pose, went.object_poses, replayed.action[:, 6] < 0.5),
    )


def slip(
    gripper_pose: Float[np.ndarray, "T 7"], object_poses: Float[np.ndarray, "T O 7"], closed: Bool[np.ndarray, " T"]
) -> float | None:
    """How far [m] a lifted object wandered in the gripper's frame, the worst of all lifts; None if nothing was lifted.

    An object counts as lifted while it is `LIFTED` above where it began, within `GRASP_RADIUS` of the gripper, and the
    fingers are told to be `closed`: a cup that was stood up is higher than before, but let go.
    """
    worst = None
    for k in range(object_poses.shape[1]):
        position = object_poses[:, k, :3]
        offset = position - gripper_pose[:, :3]
        lifted = (position[:, 2] > position[0, 2] + LIFTED) & (np.linalg.norm(offset, axis=-1) < GRASP_RADIUS) & closed
        in_gripper = rotations.rotate(rotations.conjugate(gripper_pose[:, 3:]), offset)
        for start, stop in _runs(lifted):
            moved = np.linalg.norm(in_gripper[start:stop] - in_gripper[start], axis=-1).max()
            worst = float(moved) if worst is None else max(worst, float(moved))
    return worst


def _runs(mask: np.ndarray) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(int)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
