"""Draws a tracker's estimate on an image: outlines, axes, confidence, opening of a drawer (Fig. 11)."""

from collections.abc import Mapping

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from ocrrl.interface import rotations
from ocrrl.interface.frames import Frame
from ocrrl.interface.observations import CONFIDENCE_THRESHOLD
from ocrrl.interface.protocols import PoseEstimate
from ocrrl.perception.tracking.fitting.drawer_slide import nearest_place, opening_of
from ocrrl.perception.tracking.fitting.pixels import pixels_of, whole_window
from ocrrl.perception.tracking.fitting.pose_fit import Body
from ocrrl.perception.tracking.fitting.render_and_compare import cast
from ocrrl.tabletop.parts.object_shapes import ObjectShape

TRUSTED, DOUBTED = (90, 220, 90), (230, 120, 60)  # RGB
AXIS_COLOURS = ((230, 60, 60), (60, 200, 60), (70, 110, 255))
AXIS_LENGTH = 0.05  # [m]
STEP = 2  # [pixels] between the rays that find an outline
BAR = (150, 12)  # [pixels] of a drawer's progress


def draw_overlay(frame: Frame, shapes: Mapping[str, ObjectShape], estimate: PoseEstimate) -> UInt8[np.ndarray, "H W 3"]:
    """The frame's colour with the outline of every object of `shapes`, by name, and axes, green where its pose is trusted."""
    image = frame.colour.copy()
    pixels = pixels_of(frame, whole_window(frame, STEP))
    for k, (name, shape) in enumerate(shapes.items()):
        body, pose, confidence = Body(shape), estimate.poses[k], float(estimate.confidence[k])
        colour = TRUSTED if confidence >= CONFIDENCE_THRESHOLD else DOUBTED
        hits = cast(body.rows, body.radius, rotations.to_matrix(pose[3:]), pose[:3], pixels.camera, pixels.rays)
        mask = (hits > 0).reshape(pixels.window.shape).astype(np.uint8)
        outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.polylines(image, [outline * STEP for outline in outlines], True, colour, 2, cv2.LINE_AA)
        _draw_axes(image, frame, pose)
        line = len(image) - 10 - 20 * (len(shapes) - 1 - k)
        label = f"{name} {confidence:.2f}"
        if shape.slide is not None:
            within = estimate.poses[list(shapes).index(shape.slide.within)]
            holder = Body(shapes[shape.slide.within]), rotations.to_matrix(within[3:]), within[:3]
            opening = opening_of(shape.slide, holder, nearest_place(shape.slide, holder, pose[:3]), pose[:3])
            label += f", {1000 * opening:.0f} mm out"
            _draw_bar(image, 260, line - BAR[1] + 2, opening / shape.slide.travel)
        cv2.putText(image, label, (8, line), cv2.FONT_HERSHEY_SIMPLEX, 0.5, colour, 1, cv2.LINE_AA)
    return image


def _draw_axes(image: np.ndarray, frame: Frame, pose: np.ndarray) -> None:
    tips = pose[:3] + AXIS_LENGTH * rotations.to_matrix(pose[3:]).T
    points = _project(frame, np.concatenate([pose[None, :3], tips]))
    for tip, colour in zip(points[1:], AXIS_COLOURS, strict=True):
        cv2.line(image, tuple(points[0]), tuple(tip), colour, 2, cv2.LINE_AA)


def _project(frame: Frame, points: Float[np.ndarray, "n 3"]) -> np.ndarray:
    """Pixels (n, 2), whole numbers, of points in the base frame."""
    lens = frame.intrinsics
    x, y, z = rotations.rotate(rotations.conjugate(frame.camera_pose[3:]), points - frame.camera_pose[:3]).T
    return np.rint(np.column_stack([lens.fx * x / z + lens.cx, lens.fy * y / z + lens.cy])).astype(int)


def _draw_bar(image: np.ndarray, left: int, top: int, share: float) -> None:
    width, height = BAR
    cv2.rectangle(image, (left, top), (left + round(width * share), top + height), (250, 200, 60), -1)
    cv2.rectangle(image, (left, top), (left + width, top + height), (255, 255, 255), 1)
