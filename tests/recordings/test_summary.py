import numpy as np

from ocrrl.recordings.summary import CameraPlaces


def scene(seed, dimmed=0):
    """Six images of even areas, darker by `dimmed`, with noise of their own."""
    areas = np.random.default_rng(seed).integers(60, 240, (4, 4, 3))
    noise = np.random.default_rng(seed + dimmed).integers(-5, 6, (6, 32, 32, 3))
    return np.clip(np.kron(areas, np.ones((8, 8, 1), int)) - dimmed + noise, 0, 255).astype(np.uint8)


def places(*swapped):
    seen = CameraPlaces()
    for number, is_swapped in enumerate(swapped):
        front, wrist = scene(1, 8 * number), scene(2, 8 * number)
        seen.add(f"e{number}.h5", {"front": wrist, "wrist": front} if is_swapped else {"front": front, "wrist": wrist})
    return seen.swapped()


def test_an_episode_whose_cameras_changed_places_is_named():
    note = "images/front and images/wrist look like each other's in most episodes (swapped in this one?)"
    assert places(False, True, False, False) == [f"e1.h5: {note}"]
    assert places(True, False, False) == [f"e0.h5: {note}"]


def test_other_light_is_no_other_camera_and_two_episodes_are_no_majority():
    assert places(False, False, False, False) == [] and places(False, True) == []


def test_one_camera_and_episodes_without_images_are_passed_over():
    seen = CameraPlaces()
    for number in range(3):
        seen.add(f"e{number}.h5", {"front": scene(number)[: number % 2]})
    assert seen.swapped() == []
