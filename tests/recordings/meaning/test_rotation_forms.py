"""Every form of rotation is read as the rotation it stands for; numbers that are none are refused."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from ocrrl.episodes.episode_checks import EpisodeRejected
from ocrrl.interface import rotations
from ocrrl.interface.rotation_forms import check_rotation_form, forms_of_width, rotation_width
from ocrrl.recordings.meaning.rotation_forms import to_quaternions

TURNS = Rotation.random(50, np.random.default_rng(0))
WXYZ = np.roll(TURNS.as_quat(), 1, axis=-1)
MATRICES = TURNS.as_matrix()


@pytest.mark.parametrize(
    ("form", "values"),
    [
        ("quaternion_wxyz", WXYZ),
        ("quaternion_xyzw", TURNS.as_quat()),
        ("rotation_vector", TURNS.as_rotvec()),
        ("rotation_vector_degrees", TURNS.as_rotvec(degrees=True)),
        ("rotation_6d", np.concatenate([MATRICES[:, :, 0], MATRICES[:, :, 1]], axis=-1)),
        ("rotation_6d_rows", MATRICES[:, :2].reshape(-1, 6)),
        ("matrix", MATRICES.reshape(-1, 9)),
        *(
            (form, TURNS.as_euler(form.split("_")[1], degrees=form.endswith("_degrees")))
            for form in ("euler_xyz", "euler_zyx", "euler_XYZ", "euler_ZYX_degrees", "euler_zyz", "euler_yxz_degrees")
        ),
    ],
)
def test_a_form_is_read_as_scipy_writes_it(form, values):
    assert rotation_width(form) == values.shape[1]
    read = to_quaternions("gripper_pose", values, form)
    assert rotations.angle_between(read, WXYZ).max() < 1e-6
    np.testing.assert_allclose(np.linalg.norm(read, axis=-1), 1.0, atol=1e-9)


def test_there_is_a_form_for_every_order_of_axes():
    assert len([form for form in forms_of_width(3) if form.startswith("euler")]) == 48
    with pytest.raises(
        ValueError, match=r"rotation_form must be one of quaternion_wxyz, .*euler_xyz and other orders.*got 'euler'"
    ):
        check_rotation_form("rotation_form", "euler")


@pytest.mark.parametrize(
    ("form", "values", "message"),
    [
        (
            "quaternion_wxyz",
            [[1, 0, 0, 0], [0, 0, 0, 0]],
            r"unit quaternions \(wxyz\), got a norm of 0.0000 at step 1 .all zeros",
        ),
        ("quaternion_xyzw", [[0, 0, 0, 2]], r"unit quaternions \(xyzw\), got a norm of 2.0000 at step 0"),
        (
            "rotation_vector",
            [[0, 0, 0], [0, 180.0, 0]],
            r"in radians for rotation_vector, got 180 at step 1 .degrees\?",
        ),
        ("euler_xyz", [[0, 180.0, 0]], r"degrees\? then rotation_form: euler_xyz_degrees"),
        ("rotation_6d", [[1, 0, 0, 1, 0, 0]], "rotations for rotation_6d: unit vectors at right angles"),
        ("rotation_6d", [[0, 0, 0, 0, 0, 0]], "rotations for rotation_6d"),
        ("matrix", [[1, 0, 0, 0, 1, 0, 0, 0, -1]], "rotations for matrix"),
        ("matrix", [[1, 0, 0, 0, 1, 0, 0, 0, np.nan]], "finite, got nan at step 0"),
    ],
)
def test_numbers_that_are_no_rotation_are_refused(form, values, message):
    with pytest.raises(EpisodeRejected, match=message):
        to_quaternions("gripper_pose", np.array(values, float), form)
