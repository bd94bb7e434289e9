import numpy as np
import pytest

from ocrrl.episodes import pixels

cv2 = pytest.importorskip("cv2")


@pytest.fixture(params=[(1, 1), (1, 9), (2, 3), (5, 5), (33, 47), (64, 64)])
def image(request):
    return np.random.default_rng(0).integers(0, 256, (*request.param, 3), dtype=np.uint8)


def test_without_opencv_a_blurred_image_has_the_same_bytes(image):
    for each in (image, (image > 250).astype(np.uint8) * 255):
        assert np.array_equal(pixels.blurred_by_numpy(each), pixels.blurred(each))


def test_without_opencv_a_resized_image_differs_by_one_level_at_most(image, monkeypatch):
    for size in [(1, 1), (8, 8), (20, 70), (64, 64), (100, 90)]:
        there = pixels.resized(image, *size)
        with monkeypatch.context() as patch:
            patch.setattr(pixels, "cv2", None)
            without = pixels.resized(image, *size)
        assert there.shape == without.shape == (*size, 3)
        assert np.abs(there.astype(int) - without).max() <= 1, size
