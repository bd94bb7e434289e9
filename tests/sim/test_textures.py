import numpy as np
import pytest

from ocrrl.sim.textures import TEXTURES, require_textures


@pytest.mark.parametrize("name", TEXTURES)
def test_a_texture_repeats_without_a_seam_and_is_drawn_from_its_generator_alone(name):
    image, again, other = (TEXTURES[name](np.random.default_rng(seed), 64) for seed in (3, 3, 4))
    assert image.shape == (64, 64, 3) and image.dtype == np.uint8
    np.testing.assert_array_equal(image, again)
    assert (image != other).any()
    assert image.astype(float).std() > 1 and 20 < image.mean() < 240
    steps = np.abs(np.diff(image.astype(float), axis=0)).mean(axis=(1, 2))
    seam = np.abs(image[0].astype(float) - image[-1]).mean()
    assert seam <= steps.max() + 4


def test_an_unknown_texture_is_named_with_the_known_ones():
    with pytest.raises(
        ValueError, match=r"^textures must be one or more of noise, wood, tiles, cloth, plaster, got 'marble'"
    ):
        require_textures(["wood", "marble"], "textures")
    with pytest.raises(ValueError, match="got none"):
        require_textures([], "textures")
