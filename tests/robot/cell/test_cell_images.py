import numpy as np
import pytest

from ocrrl.robot.cell.cell_images import CameraView, CellCamera, CellImages, view_of

COLOUR = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)


class Still:
    """A camera whose image does not change."""

    def latest(self):
        return self

    colour = COLOUR


def means(part: np.ndarray, height: int, width: int) -> np.ndarray:
    return part.reshape(height, part.shape[0] // height, width, part.shape[1] // width, 3).mean(axis=(1, 3))


def test_each_pixel_is_the_mean_of_its_area():
    image = view_of(COLOUR, CameraView.around(8, 4, 40, (10, 10)))
    assert image.dtype == np.uint8 and np.abs(image - means(COLOUR[4:44, 8:48], 10, 10)).max() <= 0.51


def test_a_view_of_the_same_size_is_the_crop():
    assert np.array_equal(view_of(COLOUR, CameraView.around(16, 0, 48, (48, 48))), COLOUR[:, 16:])


def test_a_wide_image_shows_more_at_both_sides_of_the_square_and_a_high_one_less():
    """As in the simulators, whose field of view is that of an image's height."""
    wide, high = (CameraView.around(20, 8, 24, image) for image in ((12, 18), (12, 6)))
    assert (wide.x0, wide.width, wide.y0, wide.height) == (14, 36, 8, 24)
    assert (high.x0, high.width, high.height) == (26, 12, 24)
    assert np.abs(view_of(COLOUR, wide) - means(COLOUR[8:32, 14:50], 12, 18)).max() <= 0.51
    assert view_of(COLOUR, high).shape == (12, 6, 3)


@pytest.mark.parametrize("image", [(24, 24), (24, 36)])
def test_a_view_that_leaves_the_image_is_refused(image):
    view = CameraView.around(20, 0, 48, image)
    with pytest.raises(
        ValueError, match=r"inside the image of 64 x 48 pixels, got x (20 to 68|8 to 80), y 0 to 48: move"
    ):
        view_of(COLOUR, view)
    view.check_resolution(80, 48)


def test_an_image_that_would_have_to_be_enlarged_is_refused():
    with pytest.raises(
        ValueError, match=r"must be 1 to 10 pixels high, the view's height, got 11: enlarging adds nothing"
    ):
        CameraView.around(0, 0, 10, (11, 11))


def test_a_camera_that_only_the_tracker_sees_gives_the_vla_no_image():
    front, wrist = (
        CellCamera(Still(), None, {"serial": "1"}),
        CellCamera(Still(), CameraView.around(20, 4, 20, (10, 20)), {}),
    )
    images = CellImages({"front": front, "wrist": wrist})
    assert images.begun() and {name: image.shape for name, image in images.latest(print).items()} == {
        "wrist": (1, 10, 20, 3)
    }
