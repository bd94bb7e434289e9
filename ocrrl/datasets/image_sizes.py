"""The cameras and image sizes of a LeRobotDataset, held against the declared ones."""

from collections.abc import Iterable
from pathlib import Path

from ocrrl.interface.cameras import CameraSizes, require_cameras
from ocrrl.interface.json_file import read_json_object
from ocrrl.interface.lerobot_keys import IMAGE_PREFIX


def require_datasets_of(roots: Iterable[Path], cameras: CameraSizes) -> None:
    """ValueError unless the dataset at each of `roots` has images of `cameras`, and no others; one that is missing says so later."""
    for root in roots:
        path = root / "meta/info.json"
        if path.is_file():
            features = read_json_object(path)["features"]
            found = {
                name.removeprefix(IMAGE_PREFIX): (int(feature["shape"][0]), int(feature["shape"][1]))
                for name, feature in features.items()
                if name.startswith(IMAGE_PREFIX)
            }
            require_cameras(found, cameras, str(root))
