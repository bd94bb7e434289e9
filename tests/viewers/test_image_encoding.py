import cv2
import numpy as np

from ocrrl.viewers.image_encoding import jpeg, png


def decoded(content):
    return cv2.cvtColor(cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def test_a_small_object_keeps_its_colour():
    image = np.full((64, 64, 3), (30, 45, 90), np.uint8)
    image[30:35, 31:33] = (255, 140, 30)
    np.testing.assert_array_equal(decoded(png(image)), image)
    assert np.abs(decoded(jpeg(image)).astype(int) - image)[30:35, 31:33].mean() < 8
