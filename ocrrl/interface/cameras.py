"""The cameras whose images a VLA sees, and the size of each one's images: the section `cameras` of params.yaml."""

import re
from collections.abc import Collection, Mapping

from ocrrl.interface.names import shown

CameraSizes = Mapping[str, tuple[int, int]]
"""Height and width [pixel] by camera name, in the order of the names."""

DEFAULT_CAMERAS: CameraSizes = {"front": (64, 64), "wrist": (64, 64)}
CAMERA_NAME = re.compile(r"[a-z0-9][a-z0-9_]*")
LEAST = 16
MOST_HEIGHT, MOST_WIDTH = 480, 640
"""[pixel], of a colour image of the cells' cameras and of MuJoCo's off-screen buffer."""
MOST_CAMERAS = 16
NEXT_STEP = "`dvc repro` makes them again with the declared ones, or declare those that are there"


def checked_cameras(cameras: CameraSizes, where: str) -> CameraSizes:
    """`cameras` in the order of their names; ValueError that begins with `where` for a name or size that cannot be.

    Files do not keep the order of a mapping, so no result may depend on it.
    """
    if not 1 <= len(cameras) <= MOST_CAMERAS:
        raise ValueError(f"{where} must name 1 to {MOST_CAMERAS} cameras, got {len(cameras)}")
    for name, (height, width) in cameras.items():
        if not CAMERA_NAME.fullmatch(name):
            raise ValueError(f"{where} must have names of a-z, 0-9 and _, got {shown(name)}")
        if not (LEAST <= height <= MOST_HEIGHT and LEAST <= width <= MOST_WIDTH):
            raise ValueError(
                f"{where}.{name} must be a height of {LEAST} to {MOST_HEIGHT} and a width of {LEAST} to {MOST_WIDTH} pixels, "
                f"got {shown([height, width])}"
            )
    return {name: cameras[name] for name in sorted(cameras)}


def require_known_cameras(cameras: CameraSizes, known: Collection[str], owner: str) -> None:
    """ValueError that names the cameras that `owner` has, `known`, unless each of `cameras` is among them."""
    if unknown := [name for name in cameras if name not in known]:
        raise ValueError(
            f"cameras must be among those of {owner}, {', '.join(known)}, got {shown(unknown[0])}: correct the section "
            "`cameras` of params.yaml"
        )


def require_cameras(found: CameraSizes, declared: CameraSizes, owner: str, next_step: str = NEXT_STEP) -> None:
    """ValueError with the sizes that `owner` has, `found`, and the `declared` ones, unless they are the same."""
    if {name: tuple(size) for name, size in found.items()} != dict(declared):
        raise ValueError(
            f"{owner} must have images of the cameras of params.yaml, {described(declared)}, got {described(found)}: {next_step}"
        )


def described(cameras: CameraSizes) -> str:
    """Such as `front 96 x 128, wrist 64 x 64`."""
    return ", ".join(f"{name} {height} x {width}" for name, (height, width) in sorted(cameras.items())) or "no camera"
