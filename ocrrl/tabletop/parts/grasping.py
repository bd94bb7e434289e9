"""Reward terms of grasping: distance of an open hand to a grasp, and whether it holds the object.

Legend: N environments; gripper frame: x along the pads, y the closing axis, z the approach.
"""

# pyright: reportAttributeAccessIssue=false
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float

from ocrrl.interface import rotations
from ocrrl.interface.observations import GRIPPER_DOWN, MAX_GRIPPER_WIDTH
from ocrrl.tabletop.parts.scene import SceneState

if TYPE_CHECKING:
    import mujoco

REACH_DISTANCES = (0.10, 0.03)  # [m] at which the coarse and the fine half of closeness have fallen to 1 - tanh(1)
CARRIED_DISTANCE = 0.30  # [m], across the table
RELEASED_WIDTH = 0.012  # [m] by which the fingers stand further apart than what they held


def add_box(
    spec: "mujoco.MjSpec",
    name: str,
    position: tuple[float, float, float],
    half_size: tuple[float, float, float],
    mass: float,
    rgba: tuple[float, float, float, float],
) -> None:
    """A free box to grasp: body, joint and geom called `name`; `position` and `half_size` [m], `mass` [kg]."""
    import mujoco

    body = spec.worldbody.add_body(name=name, pos=position)
    body.add_freejoint(name=name)
    body.add_geom(
        name=name,
        type=mujoco.mjtGeom.mjGEOM_BOX,
        size=half_size,
        mass=mass,
        rgba=rgba,
        condim=4,
        friction=[1.0, 0.005, 0.0001],
    )


def closeness(distance: Float[np.ndarray, " N"]) -> Float[np.ndarray, " N"]:
    """In [0, 1], 1 at distance 0 [m]: felt from afar and steep near the goal."""
    return np.mean([1.0 - np.tanh(distance / scale) for scale in REACH_DISTANCES], axis=0)


def carried_to(distance: Float[np.ndarray, " N"]) -> Float[np.ndarray, " N"]:
    """In [0, 1], 1 at distance 0 [m] from where an object is to go: an even slope over the table, steep near the goal."""
    return 0.5 * np.clip(1.0 - distance / CARRIED_DISTANCE, 0.0, 1.0) + 0.5 * (
        1.0 - np.tanh(distance / REACH_DISTANCES[1])
    )


def openness(state: SceneState) -> Float[np.ndarray, " N"]:
    """In [0, 1], 1 with the fingers wide apart."""
    return np.clip(state.gripper_width / MAX_GRIPPER_WIDTH, 0.0, 1.0)


def let_go(state: SceneState, width: float) -> Float[np.ndarray, " N"]:
    """In [0, 1]: how far the fingers have opened from an object `width` [m] across that they held."""
    return np.clip((state.gripper_width - width) / (MAX_GRIPPER_WIDTH - width), 0.0, 1.0)


def reach(distance: np.ndarray, squareness: np.ndarray, state: SceneState) -> Float[np.ndarray, " N"]:
    """In [0, 1]: full only with the hand open and square to the object, so that closing early in the air does not pay."""
    return closeness(distance) * (0.4 + 0.6 * openness(state)) * (0.5 + 0.5 * squareness)


def holds(state: SceneState, offset: Float[np.ndarray, " N"], width: float) -> Bool[np.ndarray, " N"]:
    """Whether an object `width` [m] across is between the pads: `offset` [m] from the gripper frame small, fingers on it."""
    return (offset < 0.02) & (np.abs(state.gripper_width - width) < 0.01)


def released(state: SceneState, width: float) -> Bool[np.ndarray, " N"]:
    """Whether the fingers stand further apart than an object `width` [m] across that they held."""
    return state.gripper_width > width + RELEASED_WIDTH


def axis_in_gripper(state: SceneState, index: int, axis: tuple[float, float, float]) -> Float[np.ndarray, "N 3"]:
    """An axis of object `index`, given in its own frame, in the gripper frame."""
    to_gripper = rotations.conjugate(state.gripper_pose[:, 3:])
    turn = rotations.multiply(to_gripper, state.object_poses[:, index, 3:])
    return rotations.rotate(turn, np.asarray(axis))


def across(axis: Float[np.ndarray, "N 3"]) -> Float[np.ndarray, " N"]:
    """In [0, 1]: the angle between the closing axis and `axis` (gripper frame), 1 at right angles; even, so that a hand
    turned along what it should grasp across is drawn round as well as one that is nearly there."""
    return np.arccos(np.clip(np.abs(axis[:, 1]), 0.0, 1.0)) / (np.pi / 2)


def distance_to_axis(
    position: Float[np.ndarray, "N 3"], axis: Float[np.ndarray, "N 3"], half_length: float
) -> Float[np.ndarray, " N"]:
    """Distance [m] of the origin from the segment of `half_length` about `position` along the unit vector `axis`."""
    along = np.clip((position * axis).sum(-1), -half_length, half_length)
    return np.linalg.norm(position - along[:, None] * axis, axis=-1)


def turned_down(yaw: float) -> Float[np.ndarray, "4"]:
    """Orientation of a gripper that points down, turned by `yaw` [rad] about the vertical."""
    return rotations.multiply(np.array([np.cos(yaw / 2), 0.0, 0.0, np.sin(yaw / 2)]), GRIPPER_DOWN)
