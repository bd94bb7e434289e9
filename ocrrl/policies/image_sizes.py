"""Which cameras, and images of which size, the VLA in a folder takes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ocrrl.interface.cameras import CameraSizes, described
from ocrrl.interface.json_file import read_json_object
from ocrrl.interface.lerobot_keys import IMAGE_PREFIX

_RESIZED_TO = ("image_resolution", "resize_imgs_with_padding", "resize_shape", "image_resize_shape")
"""Fields of LeRobot's configurations (pi, SmolVLA and X-VLA, diffusion, DiT) with the size that such a policy brings images to."""
_RESIZING_TYPES = ("groot",)
"""Of policies whose backbone's image processor does it."""


def resizes(config: Mapping[str, Any]) -> bool:
    """Whether a policy with LeRobot's configuration `config` takes images of any size, and resizes them itself."""
    return config.get("type") in _RESIZING_TYPES or any(config.get(name) is not None for name in _RESIZED_TO)


def image_sizes(config: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
    """Height and width [pixel] by camera, of a policy with LeRobot's configuration `config`; empty where it says none."""
    inputs = config.get("input_features")
    return {
        name.removeprefix(IMAGE_PREFIX): tuple(feature["shape"][1:])
        for name, feature in (inputs.items() if isinstance(inputs, Mapping) else ())
        if isinstance(feature, Mapping) and feature.get("type") == "VISUAL"
    }


def require_images(folder: Path, cameras: CameraSizes) -> None:
    """ValueError unless `cameras`, the declared ones, have what the VLA in `folder` takes; a folder without config.json says none."""
    path = folder / "config.json"
    if not path.is_file():
        return
    config = read_json_object(path)
    taken, any_size = image_sizes(config), resizes(config)
    for name, size in taken.items():
        if name not in cameras or (not any_size and tuple(cameras[name]) != size):
            raise ValueError(
                f"{folder} takes images of {described(taken)}, params.yaml declares {described(cameras)}: `dvc repro` trains it "
                "again for those, or declare the cameras that it takes"
            )
