import json

import numpy as np
import pytest

from ocrrl.interface.observations import RobotState
from ocrrl.policies.checkpoint import load_policy
from ocrrl.policies.image_sizes import require_images, resizes
from ocrrl.policies.lerobot_vla import load_lerobot_vla
from tests.policies.tiny_act import write_act


def folder_with(path, config):
    (path / "config.json").write_text(json.dumps(config))
    return path


def config(**cameras):
    features = {f"observation.images.{name}": {"type": "VISUAL", "shape": [3, *size]} for name, size in cameras.items()}
    return {"type": "act", "input_features": features | {"observation.state": {"type": "STATE", "shape": [8]}}}


def test_a_vla_of_other_sizes_or_cameras_is_refused_with_both_and_the_next_step(tmp_path):
    folder = folder_with(tmp_path, config(front=(96, 128)))
    require_images(folder, {"front": (96, 128), "wrist": (64, 64)})  # it need not look at every camera
    with pytest.raises(
        ValueError,
        match=r"takes images of front 96 x 128, params.yaml declares front 64 x 64: `dvc repro` trains it again",
    ):
        require_images(folder, {"front": (64, 64)})
    with pytest.raises(ValueError, match=r"takes images of front 96 x 128, params.yaml declares wrist 96 x 128"):
        require_images(folder, {"wrist": (96, 128)})


def test_a_policy_that_resizes_images_itself_takes_any_size_but_no_other_camera(tmp_path):
    folder = folder_with(tmp_path, config(front=(224, 224)) | {"type": "pi05", "image_resolution": [224, 224]})
    require_images(folder, {"front": (96, 128)})
    with pytest.raises(ValueError, match="declares wrist 96 x 128"):
        require_images(folder, {"wrist": (96, 128)})
    assert resizes({"type": "groot"}) and resizes({"type": "smolvla", "resize_imgs_with_padding": [512, 512]})
    assert not resizes({"type": "act"}) and not resizes({"type": "xvla", "resize_imgs_with_padding": None})


def test_a_folder_that_says_nothing_of_images_is_left_to_its_own_handshake(tmp_path):
    require_images(tmp_path, {"front": (64, 64)})


def test_an_act_is_never_fed_images_of_another_size(tmp_path):
    folder = write_act(tmp_path / "act")
    with pytest.raises(
        ValueError, match=r"takes images of front 32 x 32, wrist 32 x 32, params.yaml declares front 64 x 64"
    ):
        load_policy(folder, "lift it", 1, "cpu", cameras={"front": (64, 64)})
    vla = load_lerobot_vla(folder, "cpu", "act")
    robot = RobotState.at_rest(np.zeros((1, 8), np.float32))
    for size in ((32, 32), (64, 64)):
        images = {camera: np.zeros((1, *size, 3), np.uint8) for camera in ("front", "wrist")}
        if size == (32, 32):
            assert vla.predict_chunk(images, robot, "lift it").shape == (1, 4, 7)
            continue
        with pytest.raises(
            ValueError, match=r"camera front must have shape \(n, \*\(32, 32, 3\)\), got \(1, 64, 64, 3\)"
        ):
            vla.predict_chunk(images, robot, "lift it")
