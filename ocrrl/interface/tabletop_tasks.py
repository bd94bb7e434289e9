"""What both worlds must know of a tabletop task; its scene, reward and demonstrator are in `ocrrl.sim.<slug>`."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ocrrl.interface import rotations
from ocrrl.interface.poses import NO_SYMMETRY, Symmetry, axial_symmetry, cube_symmetry, square_prism_symmetry

Vector3 = tuple[float, float, float]
HOME_JOINTS = (0.0, -0.185, 0.0, -2.497, 0.0, 2.312, 0.7854)
"""[rad]; gripper at (0.45, 0, 0.25) m, pointing down."""


@dataclass(frozen=True)
class TrackedObject:
    """An object whose pose the residual observes, with the rotations that leave it looking the same."""

    name: str
    symmetry: Symmetry = NO_SYMMETRY
    reference_quaternion: tuple[float, float, float, float] = (1.0, 0.0, 0.0, 0.0)
    """Canonical poses start nearest to this one (wxyz, robot base frame)."""
    slide_axis: Vector3 | None = None
    """In the object's frame: it only slides along this axis, so that one number, the displacement, is tracked (A.10)."""


@dataclass(frozen=True)
class TabletopTask:
    """A tabletop task's contract: `horizon` is in control steps, `success_hold` the steps success must last."""

    slug: str
    instruction: str
    objects: tuple[TrackedObject, ...]
    horizon: int
    success_hold: int = 10
    home_joints: tuple[float, ...] = HOME_JOINTS
    """Where the arm starts [rad], clear of the objects."""

    def restrict_errors(
        self,
        quaternion: Float[np.ndarray, "*n O 4"],
        offset: Float[np.ndarray, "*n O 3"],
        turn: Float[np.ndarray, "*n O 3"],
    ) -> tuple[Float[np.ndarray, "*n O 3"], Float[np.ndarray, "*n O 3"]]:
        """Pose errors as tracking can make them: those of a sliding object lie along its slide.

        `offset` [m] in the base frame, `turn` a rotation vector [rad] in the object's own, of objects at `quaternion`.
        """
        for index, tracked in enumerate(self.objects):
            if tracked.slide_axis is not None:
                axis = rotations.rotate(quaternion[..., index, :], np.asarray(tracked.slide_axis))
                offset, turn = offset.copy(), turn.copy()
                offset[..., index, :] = (offset[..., index, :] * axis).sum(-1, keepdims=True) * axis
                turn[..., index, :] = 0.0
        return offset, turn


CUBE_LIFT = TabletopTask(
    slug="cube_lift",
    instruction="grasp the wooden cuboid and lift it",
    objects=(TrackedObject("cuboid", square_prism_symmetry()),),
    horizon=120,
)

PICK_AND_PLACE = TabletopTask(
    slug="pick_and_place",
    instruction="pick up the red cuboid and place it into the bowl",
    objects=(TrackedObject("cuboid", square_prism_symmetry()), TrackedObject("bowl", axial_symmetry())),
    horizon=200,
)

STACK_CUBE = TabletopTask(
    slug="stack_cube",
    instruction="stack the white cube on the green cube",
    objects=(TrackedObject("white_cube", cube_symmetry()), TrackedObject("green_cube", cube_symmetry())),
    horizon=200,
)

CLOSE_DRAWER = TabletopTask(
    slug="close_drawer",
    instruction="push the open drawer of the cabinet closed",
    objects=(TrackedObject("drawer", slide_axis=(0.0, -1.0, 0.0)), TrackedObject("cabinet")),
    horizon=140,
    home_joints=(-0.182, -0.136, -0.231, -2.298, -0.037, 2.165, 0.396),
)

STAND_CUP_UP = TabletopTask(
    slug="stand_cup_up",
    instruction="grasp the cup lying on its side and stand it upright",
    objects=(TrackedObject("cup", axial_symmetry(), (0.7071067811865476, 0.0, 0.7071067811865476, 0.0)),),
    horizon=180,
)

TABLETOP_TASKS = {task.slug: task for task in (CUBE_LIFT, PICK_AND_PLACE, STACK_CUBE, CLOSE_DRAWER, STAND_CUP_UP)}


def tabletop_task(slug: str) -> TabletopTask:
    """The tabletop task called `slug`; ValueError names the known ones."""
    if slug not in TABLETOP_TASKS:
        raise ValueError(f"tabletop task must be one of {', '.join(TABLETOP_TASKS)}, got {slug!r}")
    return TABLETOP_TASKS[slug]
