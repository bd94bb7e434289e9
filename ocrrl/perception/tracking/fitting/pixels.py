"""A part of a frame as rays, depths and colours, subsampled so that time does not grow with the object's size.

Legend: n pixels. A ray is the direction from the camera in the base frame whose step along the optical axis is 1 m, so
that a point is camera + depth x ray. A tint is (redness, yellowness, brightness): opponent colours over brightness,
which light and shade change little.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int8

from ocrrl.interface import rotations
from ocrrl.interface.frames import Frame
from ocrrl.perception.tracking.fitting.compiled import compiled

BACKGROUND, UNKNOWN, OBJECT, ROBOT, OTHER = 0, 1, 2, 3, 4
"""What a pixel shows by its colour: the table, neither, the object; or by geometry: the robot, another tracked object."""

FITTING = 11.0  # squared deviations of a tint, over their variances, up to which it is one's own
NOMINAL_SPREAD = np.array([0.10, 0.13, 0.45])  # of a tint that is only known on paper, in whatever light
_DARK = 30.0  # grey levels added to the sum of the channels: noise has no tint


@dataclass(frozen=True)
class Window:
    """A rectangle of the image [pixels], ends excluded, and the step between the pixels taken from it."""

    left: int
    top: int
    right: int
    bottom: int
    step: int

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns that are taken."""
        return -(-(self.bottom - self.top) // self.step), -(-(self.right - self.left) // self.step)


@dataclass(frozen=True)
class Pixels:
    """The pixels of a window, row by row."""

    window: Window
    camera: Float[np.ndarray, " 3"]
    """The optical centre in the base frame [m]."""
    rays: Float[np.ndarray, "n 3"]
    depth: Float[np.ndarray, " n"]
    """[m], 0 where nothing was measured."""
    tint: Float[np.ndarray, "n 3"]

    def points(self) -> Float[np.ndarray, "n 3"]:
        """In the base frame [m]; the camera itself where nothing was measured."""
        return self.camera + self.depth[:, None] * self.rays


def whole_window(frame: Frame, step: int) -> Window:
    """The whole image, every `step`-th pixel."""
    return Window(0, 0, frame.intrinsics.width, frame.intrinsics.height, step)


def window_around(
    frame: Frame, centre: Float[np.ndarray, " 3"], radius: float, margin: float, most_pixels: int, most_step: int = 1000
) -> Window | None:
    """The window of a ball at `centre` (base frame) and `margin` [m] around it; None where the camera does not see it."""
    return window_of(frame, centre[None], radius + margin, most_pixels, most_step)


def window_of(
    frame: Frame, points: Float[np.ndarray, "n 3"], margin: float, most_pixels: int, most_step: int = 1000
) -> Window | None:
    """The window of `points` (base frame) and `margin` [m] around them; None where the camera does not see it."""
    lens = frame.intrinsics
    x, y, z = rotations.rotate(rotations.conjugate(frame.camera_pose[3:]), points - frame.camera_pose[:3]).T
    if z.min() < 0.1:
        return None
    u, v, reach = lens.fx * x / z + lens.cx, lens.fy * y / z + lens.cy, margin / z
    left, right = max((u - reach * lens.fx).min(), 0), min((u + reach * lens.fx + 1).max(), lens.width)
    top, bottom = max((v - reach * lens.fy).min(), 0), min((v + reach * lens.fy + 1).max(), lens.height)
    left, right, top, bottom = int(left), int(right), int(top), int(bottom)
    if right - left < 4 or bottom - top < 4:
        return None
    step = int(np.ceil(np.sqrt((right - left) * (bottom - top) / most_pixels)))
    return Window(left, top, right, bottom, min(max(step, 1), most_step))


def pixels_of(frame: Frame, window: Window, depth_scale: float = 1.0) -> Pixels:
    """The pixels of `window`, their depths multiplied by `depth_scale`."""
    lens = frame.intrinsics
    rays, depth, tint = _extract(
        frame.colour,
        frame.depth,
        window.left,
        window.top,
        window.right,
        window.bottom,
        window.step,
        np.array([lens.fx, lens.fy, lens.cx, lens.cy]),
        rotations.to_matrix(frame.camera_pose[3:]),
        depth_scale,
    )
    return Pixels(window, frame.camera_pose[:3].astype(float), rays, depth, tint)


def tint_of(colour: tuple[float, float, float]) -> Float[np.ndarray, " 3"]:
    """The tint of an RGB colour in [0, 1]."""
    return np.array(_tint(255.0 * colour[0], 255.0 * colour[1], 255.0 * colour[2]))


@dataclass(frozen=True)
class ColourModel:
    """A tint and its spread (standard deviations)."""

    tint: Float[np.ndarray, " 3"]
    spread: Float[np.ndarray, " 3"]
    seen: bool = False
    """Whether it was learned in this light."""


def classify(pixels: Pixels, of_object: ColourModel, of_table: ColourModel) -> Int8[np.ndarray, " n"]:
    """OBJECT, BACKGROUND or UNKNOWN by colour alone."""
    return _classify(pixels.tint, of_object.tint, of_object.spread, of_table.tint, of_table.spread)


@compiled
def _tint(r, g, b):
    total = r + g + b + _DARK
    return (r - g) / total, (r + g - 2.0 * b) / total, (r + g + b) / 765.0


@compiled
def _extract(colour, depth, left, top, right, bottom, step, lens, rotation, scale):
    rows, columns = (bottom - top + step - 1) // step, (right - left + step - 1) // step
    n = rows * columns
    rays, depths, tints = np.empty((n, 3)), np.empty(n), np.empty((n, 3))
    i = 0
    for v in range(top, bottom, step):
        y = (v - lens[3]) / lens[1]
        for u in range(left, right, step):
            x = (u - lens[2]) / lens[0]
            for k in range(3):
                rays[i, k] = rotation[k, 0] * x + rotation[k, 1] * y + rotation[k, 2]
            depths[i] = depth[v, u] * scale
            r, g, b = float(colour[v, u, 0]), float(colour[v, u, 1]), float(colour[v, u, 2])
            tints[i, 0], tints[i, 1], tints[i, 2] = _tint(r, g, b)
            i += 1
    return rays, depths, tints


@compiled
def _classify(tint, mean, spread, table_mean, table_spread):
    n = len(tint)
    code = np.empty(n, np.int8)
    for i in range(n):
        own, table = 0.0, 0.0
        for k in range(3):
            own += ((tint[i, k] - mean[k]) / spread[k]) ** 2
            table += ((tint[i, k] - table_mean[k]) / table_spread[k]) ** 2
        if own < table and own < FITTING:
            code[i] = OBJECT
        elif table < FITTING:
            code[i] = BACKGROUND
        else:
            code[i] = UNKNOWN
    return code
