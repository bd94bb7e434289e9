from dataclasses import replace

import numpy as np
import pytest

from ocrrl.interface import rotations
from ocrrl.perception.tracking.fitting.table_plane import find_table
from tests.perception.tracking.scenes import Studio


@pytest.fixture(scope="module")
def frame():
    studio = Studio("cube_lift")
    yield studio.shoot(studio.initial(0)).frame
    studio.close()


def test_a_calibrated_camera_needs_no_scale_and_sees_the_table_level(frame):
    table = find_table(frame)
    assert table.depth_scale == pytest.approx(1.0, abs=0.002) and table.tilt < np.deg2rad(0.5)
    assert table.colour.tint[1] < -0.2, "the twin's table is blue"


@pytest.mark.parametrize("scale", [0.985, 1.015])
def test_a_wrong_depth_scale_is_measured(frame, scale):
    table = find_table(replace(frame, depth=(frame.depth * np.float32(scale))))
    assert table.depth_scale == pytest.approx(1 / scale, abs=0.003)


def test_a_camera_that_was_turned_is_refused(frame):
    turn = rotations.from_rotation_vector(np.array([np.deg2rad(5.0), 0.0, 0.0]))
    turned = np.concatenate([frame.camera_pose[:3], rotations.multiply(turn, frame.camera_pose[3:])])
    with pytest.raises(RuntimeError, match="calibrate the camera again"):
        find_table(replace(frame, camera_pose=turned))


def test_a_covered_camera_is_refused(frame):
    with pytest.raises(RuntimeError, match="table must fill"):
        find_table(replace(frame, depth=np.zeros_like(frame.depth)))
