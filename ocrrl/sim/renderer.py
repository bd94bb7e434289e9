"""Draws a scene off screen, by the cameras and at the sizes that are asked for."""

# pyright: reportAttributeAccessIssue=false
import copy
from typing import Protocol

import mujoco
import numpy as np

from ocrrl.interface.cameras import CameraSizes
from ocrrl.interface.observations import Images
from ocrrl.rendering_faults import rendering_named
from ocrrl.sim.scene import ARM_GROUP, COLLISION_GROUP, place

_UNSEEN_GROUP = 5  # of geoms outside a camera's view; MuJoCo's options leave it out


class Dressing(Protocol):
    """Changes a renderer's model to an episode's look."""

    def dress(self, model: mujoco.MjModel, seed: int) -> None:
        """Give `model` the look of the episode of `seed`."""
        ...

    def shade(self, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        """Move what follows the scene's bodies, such as their shadows."""
        ...


class SceneRenderer:
    """Renders `cameras` of `model`, each at its height and width, off screen; belongs to the thread that made it."""

    def __init__(self, model: mujoco.MjModel, cameras: CameraSizes, dressing: Dressing | None = None):
        self._model, self._cameras, self._dressing = copy.copy(model), dict(cameras), dressing
        self._data = mujoco.MjData(self._model)
        with rendering_named():
            self._renderers = {size: mujoco.Renderer(self._model, *size) for size in dict.fromkeys(cameras.values())}
        for renderer in self._renderers.values():
            renderer.scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = False
            renderer.scene.flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = False
        self._groups = model.geom_group.copy()
        hand = model.body("hand").id
        self._ids = {name: model.camera(name).id for name in cameras}
        self._options = {name: _options(on_hand=model.cam_bodyid[which] == hand) for name, which in self._ids.items()}
        self._seed: int | None = None

    def render(self, qpos: np.ndarray, seeds: list[int]) -> Images:
        """Images (n, height, width, 3) uint8 by camera, of the configurations `qpos` (n, nq) in episodes of `seeds` (n)."""
        images = {name: np.empty((len(qpos), *size, 3), np.uint8) for name, size in self._cameras.items()}
        for row, (configuration, seed) in enumerate(zip(qpos, seeds, strict=True)):
            if self._dressing is not None and seed != self._seed:
                self._dressing.dress(self._model, seed)
                self._seed = seed
            place(self._model, self._data, configuration)
            if self._dressing is not None:
                self._dressing.shade(self._model, self._data)
            for name, size in self._cameras.items():
                renderer = self._renderers[size]
                self._leave_out_unseen(self._ids[name], size)
                renderer.update_scene(self._data, self._ids[name], self._options[name])
                renderer.render(out=images[name][row])
        return images

    def close(self) -> None:
        for renderer in self._renderers.values():
            renderer.close()

    def _leave_out_unseen(self, camera: int, size: tuple[int, int]) -> None:
        """Do not draw geoms whose bounding sphere lies outside the camera's field of view: most of the arm, most of the time."""
        model, data = self._model, self._data
        place = (data.geom_xpos - data.cam_xpos[camera]) @ data.cam_xmat[camera].reshape(3, 3)  # x right, y up, z back
        slope = np.tan(np.deg2rad(model.cam_fovy[camera]) / 2) * np.array([size[1] / size[0], 1.0])
        beyond = np.abs(place[:, :2]) + slope * place[:, 2:] > model.geom_rbound[:, None] * np.sqrt(1.0 + slope**2)
        unseen = beyond.any(axis=1) & (model.geom_rbound > 0.0)  # a plane has no radius
        model.geom_group[:] = np.where(unseen, _UNSEEN_GROUP, self._groups)


def _options(on_hand: bool) -> mujoco.MjvOption:
    """What a camera draws; one on the hand never sees the arm, whose meshes cost most of an image."""
    options = mujoco.MjvOption()
    options.geomgroup[COLLISION_GROUP] = 0
    options.geomgroup[ARM_GROUP] = not on_hand
    return options
