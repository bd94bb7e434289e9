"""What the simulator knows and no deployed policy is told: object velocities and contact forces, for a teacher residual.

Legend: n environments, B bodies of the objects, K = 9 B + 6 numbers.
"""

# pyright: reportAttributeAccessIssue=false
from collections.abc import Sequence

import mujoco
import numpy as np
from jaxtyping import Float, Int
from mujoco.batch import Batch

FINGERS = ("left_finger", "right_finger")
SPEED_SCALE = 0.1  # [m/s] that one unit of a velocity stands for
TURN_SCALE = 1.0  # [rad/s]
FORCE_SCALE = 1.0  # [N] below which forces count in proportion, above by their logarithm


class PrivilegedState:
    """Reads velocities and contact forces of single environments, with the model's nominal masses and friction."""

    def __init__(self, model: mujoco.MjModel, bodies: Sequence[str], batch: Batch) -> None:
        """`bodies` are those of the objects, `batch` the environments."""
        self._model, self._data = model, mujoco.MjData(model)
        self._states = [batch.bind(name) for name in ("qpos", "qvel", "ctrl")]
        self._objects = [model.body(name).id for name in bodies]
        self._touched = [*self._objects, *(model.body(name).id for name in FINGERS)]
        self.dim = 6 * len(self._objects) + 3 * len(self._touched)

    def read(self, ids: Int[np.ndarray, " n"]) -> Float[np.ndarray, "n K"]:
        """Of each object's body its angular and linear velocity, then the net contact force on each body and finger, base frame."""
        model, data, velocity = self._model, self._data, np.zeros(6)
        rows = np.zeros((len(ids), self.dim), np.float32)
        for row, now in enumerate(zip(*(state[ids] for state in self._states), strict=True)):
            data.qpos[:], data.qvel[:], data.ctrl[:] = now
            mujoco.mj_forward(model, data)
            mujoco.mj_rnePostConstraint(model, data)
            moved = []
            for body in self._objects:
                mujoco.mj_objectVelocity(model, data, mujoco.mjtObj.mjOBJ_BODY, body, velocity, 0)
                moved.append(velocity / np.repeat([TURN_SCALE, SPEED_SCALE], 3))
            forces = np.arcsinh(data.cfrc_ext[self._touched, 3:] / FORCE_SCALE) / 2.0
            rows[row] = np.concatenate([*moved, forces.ravel()])
        return np.clip(rows, -5.0, 5.0)
