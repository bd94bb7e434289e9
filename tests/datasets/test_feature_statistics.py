import numpy as np

from ocrrl.datasets.feature_statistics import image_statistics, intensity_histogram, row_statistics


def test_image_statistics_are_those_of_the_pixels():
    frames = np.random.default_rng(0).integers(0, 256, (7, 9, 8, 3), dtype=np.uint8)
    statistics = image_statistics(intensity_histogram(frames), len(frames))
    pixels = row_statistics(frames.reshape(-1, 3) / 255.0)
    for name in ("min", "max", "mean", "std"):
        np.testing.assert_allclose(statistics[name].ravel(), pixels[name], atol=1e-12)
    np.testing.assert_allclose(statistics["q50"].ravel(), pixels["q50"], atol=0.01)
    assert statistics["mean"].shape == (3, 1, 1) and statistics["count"] == 7


def test_row_statistics_are_per_number():
    statistics = row_statistics(np.array([[0.0, 1.0], [2.0, 1.0]]))
    np.testing.assert_array_equal(statistics["mean"], [1.0, 1.0])
    np.testing.assert_array_equal(statistics["std"], [1.0, 0.0])
