import numpy as np
import pytest

from ocrrl.episodes.image_fit import ImageFit

SIZES = {"front": (64, 64)}
HALVES = np.repeat(np.repeat(np.array([[[200, 0, 0], [0, 0, 200]]], np.uint8), 480, 0), 320, 1)  # red left, blue right


def test_an_image_of_the_right_size_is_not_touched():
    image = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    assert ImageFit(SIZES).fit("front", image) is image
    assert ImageFit(SIZES).describe("front", (64, 64)) is None


def test_padding_keeps_all_of_the_image_between_black_bars():
    fitted = ImageFit(SIZES, "pad").fit("front", HALVES)
    assert fitted.shape == (64, 64, 3)
    assert not fitted[:8].any() and not fitted[-8:].any()
    assert (fitted[8:-8, 0] == (200, 0, 0)).all() and (fitted[8:-8, -1] == (0, 0, 200)).all()
    assert ImageFit(SIZES).describe("front", (480, 640)) == ("images.front: 480 x 640 made 64 x 64, padded with black")


def test_cropping_keeps_the_middle_and_fills_the_frame():
    edges = HALVES.copy()
    edges[:, :80] = edges[:, -80:] = 255  # what a square out of the middle leaves away
    fitted = ImageFit(SIZES, "crop").fit("front", edges)
    assert fitted.shape == (64, 64, 3) and fitted.max() == 200
    assert (fitted[:, :31] == (200, 0, 0)).all() and (fitted[:, 33:] == (0, 0, 200)).all()


def test_smaller_images_are_enlarged_and_each_pixel_is_the_mean_of_its_area():
    small = np.full((32, 32, 3), 7, np.uint8)
    assert (ImageFit(SIZES).fit("front", small) == 7).all()
    stripes = np.zeros((128, 128, 3), np.uint8)
    stripes[::2] = 100
    assert (ImageFit(SIZES).fit("front", stripes) == 50).all()


def test_an_unknown_fit_is_refused_with_the_choices():
    with pytest.raises(ValueError, match="image_fit must be one of pad, crop, got 'squash'"):
        ImageFit(SIZES, "squash")
