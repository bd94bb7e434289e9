"""What a form writes, it reads back as the same rotation; scipy reads it so, too."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from ocrrl.interface import rotations
from ocrrl.interface.rotation_forms import forms_of_width, from_form, in_form, rotation_width

TURNS = Rotation.random(50, np.random.default_rng(0))
WXYZ = np.roll(TURNS.as_quat(), 1, axis=-1)


@pytest.mark.parametrize("form", [form for width in (3, 4, 6, 9) for form in forms_of_width(width)])
def test_a_form_is_read_as_it_was_written(form):
    written = in_form(WXYZ, form)
    assert written.shape == (50, rotation_width(form))
    assert rotations.angle_between(from_form(written, form), WXYZ).max() < 1e-6


@pytest.mark.parametrize(
    ("form", "values"),
    [
        ("quaternion_xyzw", TURNS.as_quat()),
        ("rotation_vector_degrees", TURNS.as_rotvec(degrees=True)),
        ("rotation_6d", np.concatenate([TURNS.as_matrix()[:, :, 0], TURNS.as_matrix()[:, :, 1]], axis=-1)),
        ("rotation_6d_rows", TURNS.as_matrix()[:, :2].reshape(-1, 6)),
        ("matrix", TURNS.as_matrix().reshape(-1, 9)),
        ("euler_ZYX_degrees", TURNS.as_euler("ZYX", degrees=True)),
    ],
)
def test_a_form_is_written_as_scipy_writes_it(form, values):
    np.testing.assert_allclose(in_form(WXYZ, form), values, atol=1e-6)
