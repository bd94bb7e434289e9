"""A folder of views of a board: `capture.json` for the setup, a PNG and a JSON file per view."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from ocrrl.files import write_bytes, write_json
from ocrrl.interface.frames import Intrinsics
from ocrrl.perception.calibration.calibration_file import CaptureSetup
from ocrrl.perception.calibration.json_dataclass import read_dataclass, write_dataclass

FORMAT_VERSION = 1
SETUP = "capture.json"
REMEDY = "docs/calibrate.md says what a folder of views holds"


@dataclass(frozen=True)
class Joints:
    """What the JSON file of a view holds: joint positions [rad]."""

    joint_positions: tuple[float, float, float, float, float, float, float]


@dataclass(frozen=True)
class SavedView:
    """An image, and how the arm stood."""

    name: str
    colour: UInt8[np.ndarray, "H W 3"]
    joint_positions: Float[np.ndarray, " 7"]
    """[rad]"""


def write_setup(folder: Path, setup: CaptureSetup) -> None:
    """Write what views will be taken with; ValueError if the folder holds views taken with something else."""
    if (folder / SETUP).exists() and read_setup(folder) != setup:
        raise ValueError(
            f"{folder} must hold views taken with one camera, mounting and board, got {setup} beside {read_setup(folder)}: "
            "take these views into another folder"
        )
    write_dataclass(folder / SETUP, setup, FORMAT_VERSION)


def read_setup(folder: Path) -> CaptureSetup:
    """What the views in `folder` were taken with. FileNotFoundError, or ValueError that names the wrong field."""
    return read_dataclass(folder / SETUP, CaptureSetup, FORMAT_VERSION, REMEDY)


def count_views(folder: Path) -> int:
    """How many views are in `folder`."""
    return len(_view_files(folder))


def write_view(folder: Path, colour: np.ndarray, joint_positions: np.ndarray) -> Path:
    """Add a view: `colour` (H, W, 3) RGB, `joint_positions` (7,) [rad]. Its JSON file comes last: without it there is no view."""
    path = folder / f"view_{count_views(folder):03d}.json"
    done, png = cv2.imencode(".png", cv2.cvtColor(colour, cv2.COLOR_RGB2BGR))
    if not done:
        raise RuntimeError(f"{path.with_suffix('.png')} could not be written as PNG, shape {colour.shape}")
    write_bytes(path.with_suffix(".png"), png.tobytes())
    write_json(path, {"joint_positions": joint_positions.tolist()})
    return path


def read_views(folder: Path, intrinsics: Intrinsics) -> Iterator[SavedView]:
    """The views in `folder`, one after the other. Raises ValueError for one that is not as it must be, by name."""
    for path in _view_files(folder):
        joints = np.array(read_dataclass(path, Joints, None, REMEDY).joint_positions)
        image = cv2.imread(str(path.with_suffix(".png")), cv2.IMREAD_COLOR)
        wanted = (intrinsics.height, intrinsics.width, 3)
        if image is None or image.shape != wanted:
            got = "nothing that can be read" if image is None else image.shape
            raise ValueError(f"{path.with_suffix('.png')} must be an image of shape {wanted}, got {got}: {REMEDY}")
        yield SavedView(path.stem, cv2.cvtColor(image, cv2.COLOR_BGR2RGB), joints)


def _view_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("view_*.json"))
