import numpy as np
import pytest

from ocrrl.robot.cell.cell_images import CameraView, view_of


def test_each_pixel_is_the_mean_of_its_area():
    colour = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    image = view_of(colour, CameraView(x0=8, y0=4, size=40, image_size=10))
    means = colour[4:44, 8:48].reshape(10, 4, 10, 4, 3).mean(axis=(1, 3))
    assert image.dtype == np.uint8 and np.abs(image - means).max() <= 0.51


def test_a_view_of_the_same_size_is_the_crop():
    colour = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    assert np.array_equal(view_of(colour, CameraView(16, 0, 48, 48)), colour[:, 16:])


def test_a_square_that_leaves_the_image_is_refused():
    view = CameraView(20, 0, 48, 24)
    with pytest.raises(ValueError, match=r"inside the image of 64x48 pixels, got x 20 to 68, y 0 to 48"):
        view_of(np.zeros((48, 64, 3), np.uint8), view)
    view.check_resolution(68, 48)


@pytest.mark.parametrize("bad", [(-1, 0, 10, 5), (0, -1, 10, 5), (0, 0, 10, 11), (0, 0, 10, 0)])
def test_a_view_that_is_none_is_refused(bad):
    with pytest.raises(ValueError, match="must be"):
        CameraView(*bad)
