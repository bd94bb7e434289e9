"""A simulated RGB-D camera: colour and aligned depth with a stereo camera's errors, for object tracking.

The model of the errors: depth noise that neighbouring pixels share and that grows with depth squared (a disparity error,
Ahn et al. 2019 measured it so for the D435), a part of it fixed in the image, holes along depth edges, a range.
"""

# pyright: reportAttributeAccessIssue=false, reportOptionalMemberAccess=false, reportOptionalCall=false
from dataclasses import dataclass

import cv2
import mujoco
import numpy as np

from ocrrl.rendering_faults import rendering_named
from ocrrl.sim.scene import COLLISION_GROUP, place

WIDTH, HEIGHT = 640, 480
FOVY = 42.0  # [deg] of a D435's colour stream at 640 x 480
_MARGIN = 64  # [pixels] by which noise fields exceed the image: a draw is a shift of them
_FIELDS = 4
_FIELD_SEED = 435


@dataclass(frozen=True)
class RgbdErrors:
    """Sizes of the errors; standard deviations unless said otherwise. All zero: what an ideal camera sees."""

    depth_noise: float = 0.0035
    """[m] at `reference_depth`, fresh in every image."""
    depth_noise_width: float = 2.5
    """[pixels] over which neighbours share it."""
    fixed_depth_noise: float = 0.0012
    """[m] at `reference_depth`, the same in every image."""
    fixed_depth_noise_width: float = 20.0
    """[pixels]"""
    reference_depth: float = 0.7
    """[m] at which the noise is as given; it grows with depth squared."""
    edge_jump: float = 0.015
    """[m] between neighbouring pixels from which on they are an edge."""
    edge_width: int = 2
    """[pixels] either side of an edge where most of the depth is missing."""
    depth_range: tuple[float, float] = (0.28, 3.0)
    """[m]; nothing is measured outside."""
    colour_noise: float = 4.0
    """[grey levels]"""
    exposure: tuple[float, float] = (0.92, 1.08)
    """Range of the brightness drawn for every image."""

    def __post_init__(self) -> None:
        sizes = (self.depth_noise, self.fixed_depth_noise, self.edge_width, self.colour_noise)
        if (
            min(sizes) < 0
            or min(self.depth_noise_width, self.fixed_depth_noise_width) <= 0
            or self.reference_depth <= 0
        ):
            raise ValueError(f"errors of an RGB-D camera must have sizes of 0 or more and widths above 0, got {self}")
        for name in ("depth_range", "exposure"):
            low, high = getattr(self, name)
            if not 0 <= low < high:
                raise ValueError(f"{name} must be two increasing numbers of 0 or more, got {(low, high)}")


class RgbdCamera:
    """Renders the camera `camera` of `model` with errors; belongs to the thread that made it.

    `fovy` [deg] replaces the field of view that the model gives that camera.
    """

    def __init__(self, model: mujoco.MjModel, camera: str, fovy: float = FOVY, errors: RgbdErrors | None = None):
        names = [model.camera(i).name for i in range(model.ncam)]
        if camera not in names:
            raise ValueError(f"the RGB-D camera must be one of the model's: {', '.join(names)}; got {camera!r}")
        if not 0 < fovy < 180:
            raise ValueError(f"the RGB-D camera's fovy must be between 0 and 180 deg, got {fovy}")
        self._model, self._data, self._fovy = model, mujoco.MjData(model), fovy
        self._errors = errors or RgbdErrors()
        self._camera = mujoco.MjvCamera()
        self._camera.type, self._camera.fixedcamid = mujoco.mjtCamera.mjCAMERA_FIXED, model.camera(camera).id
        self._options = mujoco.MjvOption()
        self._options.geomgroup[COLLISION_GROUP] = 0
        self._scene = mujoco.MjvScene(model, maxgeom=1000)
        self._scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = False
        self._scene.flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = False
        self._rectangle = mujoco.MjrRect(0, 0, WIDTH, HEIGHT)
        # mujoco.Renderer draws once for colour and again for depth; with the meshes of the arm that is twice 20 ms.
        with rendering_named():
            self._context, self._closed = mujoco.GLContext(WIDTH, HEIGHT), False
            self._context.make_current()
            self._drawing = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100.value)
        self._drawing.readDepthMap = mujoco.mjtDepthMap.mjDEPTH_ZEROFAR
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN.value, self._drawing)

        generator = np.random.default_rng(_FIELD_SEED)
        shape = (HEIGHT + _MARGIN, WIDTH + _MARGIN)
        self._depth_fields = [_smooth_noise(generator, shape, self._errors.depth_noise_width) for _ in range(_FIELDS)]
        self._fixed_field = _smooth_noise(generator, (HEIGHT, WIDTH), self._errors.fixed_depth_noise_width)
        self._colour_fields = [
            np.rint(generator.normal(scale=self._errors.colour_noise, size=(*shape, 3))).astype(np.int16)
            for _ in range(_FIELDS)
        ]
        self._pose = self._optical_pose()

    @property
    def intrinsics(self) -> tuple[int, int, float, float, float, float]:
        """Width, height, fx, fy, cx, cy [pixels], pixel centres at whole numbers."""
        focal = float(0.5 * HEIGHT / np.tan(np.deg2rad(self._fovy) / 2))
        return WIDTH, HEIGHT, focal, focal, (WIDTH - 1) / 2, (HEIGHT - 1) / 2

    @property
    def camera_pose(self) -> np.ndarray:
        """Pose (7,) of the optical frame (x right, y down, z into the scene) in the base frame: [m], wxyz."""
        return self._pose.copy()

    def render(self, qpos: np.ndarray, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Colour (H, W, 3) uint8 RGB and the depth (H, W) float32 [m] aligned to it, 0 where nothing was measured.

        `qpos` (nq,) are the model's generalised positions; the errors are drawn from `generator`.
        """
        if self._closed:
            raise RuntimeError("the RGB-D camera was closed: make another one")
        colour, depth = self._draw(qpos)
        return self._expose(colour, generator), self._measure(depth, generator)

    def close(self) -> None:
        """Free the rendering context."""
        if not self._closed:
            self._context.make_current()
            self._drawing.free()
            self._context.free()
            self._closed = True

    def _draw(self, qpos: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        model, data = self._model, self._data
        place(model, data, qpos)
        everything = mujoco.mjtCatBit.mjCAT_ALL.value
        mujoco.mjv_updateScene(model, data, self._options, None, self._camera, everything, self._scene)
        for view in self._scene.camera:
            view.frustum_top = view.frustum_near * np.tan(np.deg2rad(self._fovy) / 2)
            view.frustum_bottom, view.frustum_width, view.frustum_center = -view.frustum_top, 0.0, 0.0
        colour = np.empty((HEIGHT, WIDTH, 3), np.uint8)
        depth = np.empty((HEIGHT, WIDTH), np.float32)
        self._context.make_current()
        mujoco.mjr_render(self._rectangle, self._scene, self._drawing)
        mujoco.mjr_readPixels(colour, depth, self._rectangle, self._drawing)
        # The buffer holds near (far - z) / (z (far - near)): 1 at the near plane, 0 at the far one.
        near, far = self._scene.camera[0].frustum_near, self._scene.camera[0].frustum_far
        depth = np.float32(near * far) / (depth * np.float32(far - near) + np.float32(near))
        return np.ascontiguousarray(colour[::-1]), depth[::-1]

    def _optical_pose(self) -> np.ndarray:
        mujoco.mj_kinematics(self._model, self._data)
        mujoco.mj_camlight(self._model, self._data)
        camera = self._camera.fixedcamid
        matrix = self._data.cam_xmat[camera].reshape(3, 3) * (1.0, -1.0, -1.0)  # MuJoCo: y up, z backwards
        quaternion = np.zeros(4)
        mujoco.mju_mat2Quat(quaternion, matrix.ravel())
        return np.concatenate([self._data.cam_xpos[camera], quaternion])

    def _expose(self, colour: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        gain = generator.uniform(*self._errors.exposure)
        noise = _window(self._colour_fields[generator.integers(_FIELDS)], generator)
        exposed = cv2.convertScaleAbs(colour, alpha=gain)
        return cv2.add(exposed, noise, dtype=cv2.CV_8U) if self._errors.colour_noise > 0 else exposed

    def _measure(self, depth: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        errors = self._errors
        noise = _window(self._depth_fields[generator.integers(_FIELDS)], generator)
        measured = depth + (depth / errors.reference_depth) ** 2 * (
            errors.depth_noise * noise + errors.fixed_depth_noise * self._fixed_field
        )
        low, high = errors.depth_range
        measured[(depth < low) | (depth > high)] = 0.0
        if errors.edge_width > 0:
            kernel = np.ones((3, 3), np.uint8)
            jump = cv2.dilate(depth, kernel) - cv2.erode(depth, kernel)
            edges = (jump > errors.edge_jump * (1 + depth / errors.reference_depth)).view(np.uint8)
            wide = cv2.dilate(edges, np.ones((2 * errors.edge_width - 1,) * 2, np.uint8))
            ragged = _window(self._depth_fields[generator.integers(_FIELDS)], generator)
            measured[(wide > 0) & (ragged > -0.8)] = 0.0
        return measured.astype(np.float32, copy=False)


def _smooth_noise(generator: np.random.Generator, shape: tuple[int, int], width: float) -> np.ndarray:
    """A field of unit variance, float32, whose neighbours within `width` pixels are alike."""
    field = cv2.GaussianBlur(generator.standard_normal(shape, dtype=np.float32), (0, 0), width)
    return field / field.std()


def _window(field: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """An image's part of `field`, from a place that is drawn."""
    top, left = generator.integers(0, _MARGIN, 2)
    return field[top : top + HEIGHT, left : left + WIDTH]
