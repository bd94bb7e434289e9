"""Renders images of a scene, one simulation after another, in one off-screen context."""

# pyright: reportAttributeAccessIssue=false
import mujoco
import numpy as np

from ocrrl.interface.observations import Images
from ocrrl.rendering_faults import rendering_named
from ocrrl.sim.scene import ARM_GROUP, COLLISION_GROUP


class SceneRenderer:
    """Renders every camera of `model` at `size` x `size` pixels; belongs to the thread that made it."""

    def __init__(self, model: mujoco.MjModel, size: int):
        self._model, self._data = model, mujoco.MjData(model)
        self.cameras = tuple(model.camera(i).name for i in range(model.ncam))
        with rendering_named():
            self._renderer = mujoco.Renderer(model, size, size)
        scene = self._renderer.scene
        scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = False
        scene.flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = False
        hand = model.body("hand").id
        self._options = {name: _options(on_hand=model.camera(name).bodyid[0] == hand) for name in self.cameras}

    def render(self, qpos: np.ndarray) -> Images:
        """Images (n, size, size, 3) uint8 a camera, of the configurations `qpos` (n, nq)."""
        size = self._renderer.height
        images = {name: np.empty((len(qpos), size, size, 3), np.uint8) for name in self.cameras}
        for row, configuration in enumerate(qpos):
            self._data.qpos[:] = configuration
            mujoco.mj_kinematics(self._model, self._data)
            mujoco.mj_comPos(self._model, self._data)
            mujoco.mj_camlight(self._model, self._data)
            for name in self.cameras:
                self._renderer.update_scene(self._data, name, self._options[name])
                self._renderer.render(out=images[name][row])
        return images

    def close(self) -> None:
        self._renderer.close()


def _options(on_hand: bool) -> mujoco.MjvOption:
    """What a camera draws; one on the hand never sees the arm, whose meshes cost most of an image."""
    options = mujoco.MjvOption()
    options.geomgroup[COLLISION_GROUP] = 0
    options.geomgroup[ARM_GROUP] = not on_hand
    return options
