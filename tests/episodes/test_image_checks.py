"""A dead camera is refused by name, an odd one is said, and every recording of ours passes."""

import numpy as np
import pytest

from ocrrl.datasets.video_file import VideoWriter, decode_video
from ocrrl.episodes.episode_checks import EpisodeRejected
from ocrrl.episodes.image_checks import check_images
from tests.episodes.toy_episodes import demonstrated, random_episode

STEPS = 30


def poses(moved=0.1):
    pose = np.tile([0.4, 0.0, 0.2, 0.0, 1.0, 0.0, 0.0], (STEPS, 1))
    pose[:, 2] -= moved * np.linspace(0, 1, STEPS)
    return pose


def scene(seed=0, size=48):
    return np.random.default_rng(seed).integers(20, 230, (size, size, 3), dtype=np.uint8)


def alive(seed=0, size=48):
    """A hand of 5 x 5 pixels crosses a scene."""
    frames = np.repeat(scene(seed, size)[None], STEPS, axis=0)
    for step in range(STEPS):
        frames[step, step : step + 5, 10:15] = (250, 30, 30)
    return frames


def even(*colour):
    return np.full((STEPS, 48, 48, 3), colour, np.uint8)


def in_video(frames, path, fps=20):
    writer = VideoWriter(path, fps, *frames.shape[1:3])
    writer.append(frames)
    writer.close()
    return np.stack([frame for _, frame in decode_video(path, fps, range(len(frames)))])


def test_cameras_that_work_pass_without_a_word():
    assert check_images({"front": alive(0), "wrist": alive(1)}, poses()) == ()


@pytest.mark.parametrize("episode", [*demonstrated([3, 4]), random_episode()])
def test_our_own_recordings_pass(episode):
    assert check_images(episode.images, episode.gripper_pose) == ()


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (even(0, 0, 0), "images/front must be more than black, got black images 30 times"),
        (even(4, 7, 5), "images/front must be more than black, got black images 30 times"),
        (even(255, 255, 255), "images/front must be more than white, got white images 30 times"),
        (even(255, 255, 255)[:1], "images/front must be more than white, got white images once"),
        (
            np.repeat(scene()[None], STEPS, axis=0),
            "images/front must be changing while the arm moves, got the same image 30 times",
        ),
    ],
)
def test_a_dead_camera_is_refused_by_name_unless_it_is_allowed(frames, message):
    images, moved = {"wrist": alive(1)[: len(frames)], "front": frames}, poses()[: len(frames)]
    with pytest.raises(EpisodeRejected, match=message) as refused:
        check_images(images, moved)
    assert "still_cameras: [front] takes it" in str(refused.value)
    assert check_images(images, moved, ("front",)) == ()


def test_white_images_with_bars_are_white():
    barred = np.pad(even(255, 255, 255), ((0, 0), (6, 6), (0, 0), (0, 0)))
    with pytest.raises(EpisodeRejected, match="white images"):
        check_images({"front": barred}, poses())


@pytest.mark.parametrize("dead", [np.repeat(scene()[None], STEPS, axis=0), even(0, 0, 0), even(255, 255, 255)])
def test_a_dead_camera_is_dead_in_a_video_too(tmp_path, dead):
    with pytest.raises(EpisodeRejected, match="images/front must"):
        check_images({"front": in_video(dead, tmp_path / "v.mp4")}, poses())


def test_a_small_hand_in_a_video_is_motion(tmp_path):
    assert check_images({"front": in_video(alive(size=64), tmp_path / "v.mp4")}, poses()) == ()


def test_an_image_may_stay_the_same_while_the_gripper_does():
    assert check_images({"front": np.repeat(scene()[None], STEPS, axis=0)}, poses(moved=0.015)) == ()


def test_one_even_colour_is_said_even_where_it_changes():
    grey = np.repeat(np.arange(60, 60 + STEPS, dtype=np.uint8), 48 * 48 * 3).reshape(STEPS, 48, 48, 3)
    assert check_images({"front": grey, "wrist": alive()}, poses()) == (
        "images/front: one even colour in every image (a camera that is not connected?)",
    )


def test_the_same_scene_compressed_twice_is_the_same():
    front = alive()
    wrist = front.copy()
    wrist[0, :20, :20] = 255 - wrist[0, :20, :20]
    said = ("images/front and images/wrist: the same images (one camera mapped twice?)",)
    assert check_images({"front": front, "wrist": wrist}, poses()) == (said if len(front) >= 10 else ())


def test_two_cameras_that_show_the_same_are_said():
    assert check_images({"front": alive(), "wrist": alive()}, poses()) == (
        "images/front and images/wrist: the same images (one camera mapped twice?)",
    )


def test_a_camera_that_drops_out_on_the_way_is_said():
    black = alive()
    black[5:9] = 0
    assert check_images({"front": black}, poses()) == (
        "images/front: black images at some steps (a camera that drops out?)",
    )
