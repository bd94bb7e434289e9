"""The file of a hardware cell and the calibration that it names, for tests to break."""

from datetime import date
from pathlib import Path

import yaml

from ocrrl.perception.calibration.calibration_file import CameraCalibration, write_calibration
from ocrrl.perception.calibration.hand_eye_quality import Quality
from tests.perception.calibration.synthetic_views import BOARD, D435
from tests.perception.calibration.table_with_board import CAMERA

SERIAL = "000000000000"


def write_cell_file(folder: Path, **front: object) -> Path:
    """`folder`/cells/fr3.yaml with its camera `front` changed; its calibration is to lie in `folder`/cells/front.json."""
    sections = yaml.safe_load((Path(__file__).parents[3] / "cells" / "fr3.yaml").read_text())
    sections["cameras"]["front"] |= {"calibration": str(folder / "cells" / "front.json")} | front
    path = folder / "cells" / "fr3.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump(sections))
    return path


def write_front_calibration(folder: Path, made_on: date, **changed: object) -> None:
    """`folder`/cells/front.json, good for the cell file's camera `front` unless `changed`."""
    right = {
        "camera": "front",
        "serial": SERIAL,
        "mounting": "fixed",
        "intrinsics": D435,
        "camera_pose": tuple(CAMERA),
        "quality": Quality(0.21, 0.6, 0.05, 1.4, 0.1, 0.3),
        "views": 20,
        "board": BOARD,
        "made_on": made_on.isoformat(),
    }
    write_calibration(folder / "cells" / "front.json", CameraCalibration(**right | changed))
