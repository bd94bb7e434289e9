"""Masks for registering objects, from SAM 2 and one point on the object (clicked or predicted).

A mask takes 13 s on a CPU, so it is for registering, not for tracking. Source: Ravi et al., SAM 2: Segment Anything in
Images and Videos, 2024; the model is transformers' `Sam2Model`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float, UInt8

from ocrrl.interface import rotations
from ocrrl.interface.devices import chosen_device
from ocrrl.interface.frames import Frame
from ocrrl.interface.model_folder import require_model_folder
from ocrrl.interface.protocols import RobotPosture

if TYPE_CHECKING:
    from transformers import Sam2Model, Sam2Processor

DEFAULT_MODEL = "facebook/sam2.1-hiera-tiny"

Pixel = tuple[float, float]
"""x to the right, y down."""
PointOf = Callable[[Frame, int, RobotPosture], Pixel | None]
"""A pixel on an object of the frame, by the object's index, with the arm as it was; None where nobody knows one."""


class Sam2Masks:
    """`Masker`: the mask that SAM 2 itself rates highest at the object's point."""

    def __init__(self, model: "Sam2Model", processor: "Sam2Processor", point_of: PointOf, device: str = "auto") -> None:
        """`device` is auto, cpu or cuda."""
        self._device = chosen_device(device)
        self._model = model.to(self._device).eval()  # pyright: ignore[reportArgumentType]
        self._processor, self._point_of = processor, point_of

    def mask(self, frame: Frame, object_index: int, robot: RobotPosture) -> Bool[np.ndarray, "H W"] | None:
        """The object's pixels; None without a point in the image, or where SAM 2 finds nothing there."""
        point = self._point_of(frame, object_index, robot)
        height, width = frame.depth.shape
        if point is None or not (0 <= point[0] < width and 0 <= point[1] < height):
            return None
        mask = self.mask_at(frame.colour, point)
        return mask if mask.any() else None

    def mask_at(self, colour: UInt8[np.ndarray, "H W 3"], point: Pixel) -> Bool[np.ndarray, "H W"]:
        """The mask at `point`, which may be empty."""
        import torch

        inputs = self._processor(
            images=colour,
            input_points=[[[list(point)]]],  # images, objects, points, x and y
            input_labels=[[[1]]],  # on the object
            return_tensors="pt",
        ).to(self._device)
        with torch.inference_mode():
            outputs = self._model(**inputs, multimask_output=True)
        masks = self._processor.post_process_masks(outputs.pred_masks.cpu(), [list(colour.shape[:2])])[0]
        best = int(outputs.iou_scores[0, 0].argmax())
        return masks[0, best].numpy().astype(bool)


def load_sam2(point_of: PointOf, model: str = DEFAULT_MODEL, device: str = "auto") -> Sam2Masks:
    """SAM 2 from a local folder, which is looked through first, or, where there is a network, from the hub.

    Raises ValueError for a folder that is damaged or could run code, OSError where neither has the model.
    """
    from transformers import Sam2Model, Sam2Processor

    if Path(model).is_dir():
        require_model_folder(Path(model))
    opened = Sam2Model.from_pretrained(model, use_safetensors=True)  # a pickle could run code
    return Sam2Masks(opened, Sam2Processor.from_pretrained(model), point_of, device)


def pixel_of(frame: Frame, position: Float[np.ndarray, " 3"]) -> Pixel | None:
    """Where a position [m] in the base frame is in the image; None behind the camera. May lie outside the image."""
    camera, k = frame.camera_pose, frame.intrinsics
    x, y, z = rotations.rotate(rotations.conjugate(camera[3:]), position - camera[:3])
    return None if z <= 0 else (k.fx * x / z + k.cx, k.fy * y / z + k.cy)
