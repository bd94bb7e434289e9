import re

import numpy as np
import pytest
from PIL import Image

from ocrrl.interface import rigid
from ocrrl.perception.calibration.charuco_board import CharucoBoard, print_board
from tests.perception.calibration.synthetic_views import BOARD, D435, image_of_board, project

INCH = 0.0254
POSE = np.array([-0.12, -0.07, 0.6, 0.97, 0.15, 0.18, 0.05])
POSE[3:] /= np.linalg.norm(POSE[3:])


def test_corners_are_found_where_the_board_is_without_a_bias():
    """Half a pixel, OpenCV's other convention, would turn the camera by 0.05 degrees."""
    errors = []
    for seed in range(5):
        found = BOARD.find(image_of_board(POSE, np.random.default_rng(seed)))
        assert found is not None and len(found.ids) == 24
        errors.append(found.pixels - project(POSE, BOARD.corners[found.ids]))
    errors = np.concatenate(errors)
    assert np.abs(errors.mean(axis=0)).max() < 0.05
    assert np.sqrt((errors**2).sum(axis=-1).mean()) < 0.3


def test_the_pose_of_a_board_comes_from_its_corners():
    found = BOARD.find(image_of_board(POSE, np.random.default_rng(0)))
    assert found is not None
    metres, radians = rigid.distance(BOARD.pose(found, D435), POSE)
    assert metres < 0.002 and np.rad2deg(radians) < 0.5


def test_where_no_board_is_nothing_is_found():
    noise = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    assert BOARD.find(noise) is None


def test_a_print_is_at_true_scale_and_is_found(tmp_path):
    path = tmp_path / "board.png"
    print_board(BOARD, path)
    image = Image.open(path)
    dpi = image.info["dpi"]
    assert np.allclose(np.array(image.size) / dpi * INCH, (0.297, 0.210), atol=1e-4)
    found = BOARD.find(np.asarray(image.convert("RGB")))
    assert found is not None and len(found.ids) == 24
    metres = found.pixels / dpi * INCH
    steps = BOARD.corners[found.ids, :2] - BOARD.corners[found.ids[0], :2]
    assert np.abs(metres - metres[0] - steps).max() < 1e-4  # a dot of 300 dpi is 0.085 mm


def test_a_board_prints_to_a_pdf_as_large_as_it_needs(tmp_path):
    path = tmp_path / "board.pdf"
    print_board(CharucoBoard(9, 9, 0.05, 0.04), path)
    box = re.search(rb"MediaBox \[ 0 0 ([\d.]+) ([\d.]+) \]", path.read_bytes())
    assert box is not None
    assert np.allclose([float(side) / 72 * INCH for side in box.groups()], 0.49, atol=1e-4)


def test_a_board_is_printed_to_an_image_or_a_page(tmp_path):
    with pytest.raises(ValueError, match=r"printed to a \.png or a \.pdf, got .*board\.txt"):
        print_board(BOARD, tmp_path / "board.txt")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"columns": 2}, "at least 3 squares, got 2x5"),
        ({"marker": 0.04}, r"marker must be in \(0, square 0.038\) m, got 0.04"),
        ({"dictionary": "DICT_9X9"}, "dictionary must be one of DICT_4X4_50, .*got 'DICT_9X9'"),
        ({"columns": 20, "rows": 20}, "dictionary must have 200 markers, DICT_4X4_50 has fewer"),
    ],
)
def test_a_board_that_is_none_is_refused(wrong, said):
    with pytest.raises(ValueError, match=said):
        CharucoBoard(**wrong)
