"""The looks of the same initial states side by side, as Fig. 8 has them: docs/looks.md.

    python -m benchmarks.looks figure [--tasks cube_lift ...] [--seed 25] [--size 200] [--to docs/looks.jpg]

A row is a tabletop task; columns are the twin, which stands in for the real camera, the realistic look of the training simulator
in two episodes, and its plain look, each by the front and the wrist camera.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np

from ocrrl.interface.cameras import CameraSizes
from ocrrl.tabletop.registry import slugs
from ocrrl.worlds import make_simulator, make_twin

CAMERAS: tuple[str, ...] = ("front", "wrist")
COLUMNS = ("twin", "realistic", "realistic, another episode", "plain")
CAPTION = 18  # [pixels]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["figure"])
    parser.add_argument("--tasks", nargs="+", default=slugs(), help="tabletop tasks (all)")
    parser.add_argument("--seed", type=int, default=25, help="of the first initial state (25)")
    parser.add_argument("--size", type=int, default=200, help="height and width of an image [pixel] (200)")
    parser.add_argument("--to", type=Path, default=Path("docs/looks.jpg"), help="picture to write (docs/looks.jpg)")
    options = parser.parse_args()
    cameras = dict.fromkeys(CAMERAS, (options.size, options.size))
    rows = [row(slug, options.seed, cameras) for slug in options.tasks]
    picture = np.concatenate([caption(rows[0].shape[1] // len(COLUMNS)), *rows])
    cv2.imwrite(str(options.to), picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 80])
    print(f"{options.to}: {', '.join(options.tasks)} by {', '.join(COLUMNS)}")


def row(slug: str, seed: int, cameras: CameraSizes) -> np.ndarray:
    """Images of `slug` in a row (size, 8 x size, 3) uint8 RGB; the second realistic one is of the next seed."""
    ids = np.arange(2)
    twin, simulator = make_twin(slug, 2, cameras), make_simulator(slug, 2, cameras=cameras, look="realistic")
    for world in (twin, simulator):
        world.reset(ids, [seed, seed + 1])
    shown = (twin.capture(ids), 0), (simulator.capture_at(ids, cameras), 0)
    shown += (simulator.capture_at(ids, cameras), 1), (simulator.capture(ids), 0)
    for world in (twin, simulator):
        world.close()
    return np.concatenate([images[camera][env] for images, env in shown for camera in CAMERAS], axis=1)


def caption(width: int) -> np.ndarray:
    """The columns' names, each over `width` pixels."""
    bar = np.full((CAPTION, width * len(COLUMNS), 3), 255, np.uint8)
    for column, name in enumerate(COLUMNS):
        cv2.putText(
            bar, name, (column * width + 4, CAPTION - 5), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA
        )
    return bar


if __name__ == "__main__":
    main()
