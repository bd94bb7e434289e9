"""Instructions for setting a real table: an initial state in words, and an image from the cell's camera."""

import math
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from ocrrl.files import write_bytes
from ocrrl.interface.cells import Cell
from ocrrl.perception.calibration.calibration_file import CameraCalibration
from ocrrl.robot.cell.checked_cell import CheckedCell
from ocrrl.robot.operator.operator_at_terminal import OperatorAtTerminal
from ocrrl.robot.operator.terminal_keys import TerminalKeys
from ocrrl.sim.initial_state import LEGEND, InitialStateView

if TYPE_CHECKING:
    from ocrrl.tabletop.parts.scene import TabletopScene

FOLDER = "initial_states"


class SetUpSheet:
    """Called with a seed it gives the words, having written `<folder>/initial_states/<seed>.png`."""

    def __init__(self, scene: "TabletopScene", calibration: CameraCalibration, folder: Path) -> None:
        """`calibration` is of a fixed camera, whose principal point is taken to be in the middle.

        RuntimeError where nothing can be drawn.
        """
        seen = calibration.intrinsics
        fovy = math.degrees(2 * math.atan(seen.height / (2 * seen.fy)))
        self._view = InitialStateView(scene, np.array(calibration.camera_pose), seen.width, seen.height, fovy)
        self._camera, self._folder = calibration.camera, folder / FOLDER

    def __call__(self, seed: int) -> str:
        path = self._folder / f"{seed}.png"
        done, png = cv2.imencode(".png", cv2.cvtColor(self._view.image(seed), cv2.COLOR_RGB2BGR))
        if not done:
            raise RuntimeError(f"{path} could not be written as PNG")
        write_bytes(path, png.tobytes())
        words = "\n".join(f"  {line}" for line in self._view.words(seed))
        return f"Initial state {seed} ({LEGEND}):\n{words}\n  as camera {self._camera} sees it: {path}\n"

    def close(self) -> None:
        """Free the renderer's context."""
        self._view.close()


def operator_beside(
    cell: Cell,
    scene: "TabletopScene",
    checked: CheckedCell | None,
    folder: Path,
    opened: ExitStack,
    keys: TerminalKeys | None = None,
) -> OperatorAtTerminal | None:
    """The operator beside hardware, who is shown initial states in `folder`; None where no hardware is. `opened` closes it.

    RuntimeError without a terminal (unless `keys` has one), or where nothing can be drawn.
    """
    if cell.name != "fr3" or checked is None:
        return None
    sheet = SetUpSheet(scene, checked.calibrations[checked.file.tracking.camera], folder)
    opened.callback(sheet.close)
    return OperatorAtTerminal(keys, describe=sheet)
