"""Reads and writes poses of a scene's tracked objects in the simulator's generalised positions.

Legend: N environments, n of them selected by ids (n,), O tracked objects, q = qpos (N, nq).
"""

# pyright: reportAttributeAccessIssue=false
from typing import TYPE_CHECKING, Protocol

import numpy as np
from jaxtyping import Float, Int

from ocrrl.interface.tabletop_tasks import TabletopTask

if TYPE_CHECKING:
    import mujoco


class ObjectStates(Protocol):
    """Object poses to and from generalised positions, for N environments."""

    bodies: tuple[str, ...]
    """The bodies that the objects are made of: domain randomisation scales their masses, a look tints them."""
    resisting_joints: tuple[str, ...]
    """Joints whose dry friction is the object's own, scaled with the cell's friction."""

    def read(self, qpos: Float[np.ndarray, "N nq"]) -> Float[np.ndarray, "N O 7"]:
        """Poses of the tracked objects, quaternions as the simulator has them."""
        ...

    def write(self, qpos: Float[np.ndarray, "N nq"], ids: Int[np.ndarray, " n"], poses: Float[np.ndarray, "n O 7"]):
        """Put the objects of the environments `ids` at `poses`."""
        ...

    def get_state(self) -> dict[str, np.ndarray]:
        """What `qpos` does not tell, for a checkpoint."""
        ...

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        """Go on from `get_state`."""
        ...


class FreeObjects:
    """Objects that are each a body with a free joint of the same name."""

    resisting_joints = ()

    def __init__(self, task: TabletopTask, model: "mujoco.MjModel"):
        self.bodies = tuple(tracked.name for tracked in task.objects)
        addresses = [model.joint(name).qposadr[0] for name in self.bodies]
        self._slots = np.asarray(addresses)[:, None] + np.arange(7)

    def read(self, qpos: np.ndarray) -> np.ndarray:
        return qpos[:, self._slots]

    def write(self, qpos: np.ndarray, ids: np.ndarray, poses: np.ndarray) -> None:
        qpos[ids[:, None, None], self._slots] = poses

    def get_state(self) -> dict[str, np.ndarray]:
        return {}

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        assert not state
