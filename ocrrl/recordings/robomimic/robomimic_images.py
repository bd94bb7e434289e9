"""Images of a robomimic demonstration."""

import h5py
import numpy as np

from ocrrl.episodes.episode_checks import EpisodeRejected, EpisodeRequirements
from ocrrl.episodes.hdf5_access import dataset_at, frames_at, hdf5_faults, shape_of


def demo_images(
    demo: h5py.Group, paths: dict[str, str], expected: EpisodeRequirements
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """The images by camera, at the sizes that are asked for, and notes; raises `EpisodeRejected`.

    `paths` are the arrays by camera. Whatever is no uint8 RGB is refused; sizes are checked before anything is read.
    """
    fit = expected.images
    cameras, notes = expected.cameras_among(paths, "mapping.images")
    images, room = {}, expected.max_bytes
    for camera in cameras:
        path = paths[camera]
        dataset = dataset_at(demo, path)
        shape = shape_of(dataset, path)
        with hdf5_faults(path):
            dtype = dataset.dtype
        if dtype != np.uint8 or len(shape) != 4 or shape[3] != 3:
            raise EpisodeRejected(
                f"images.{camera}",
                "uint8 of shape (T, height, width, 3)",
                f"{_kind(dtype)} {shape}{_hint(dtype, shape)}",
            )
        images[camera] = frames_at(demo, path, room, fit, camera)
        room -= images[camera].nbytes
        if fit is not None and (note := fit.describe(camera, (shape[1], shape[2]))):
            notes += (note,)
    return images, notes


def _kind(dtype: np.dtype) -> str:
    return "bytes of variable length" if dtype.kind == "O" else str(dtype)


def _hint(dtype: np.dtype, shape: tuple[int, ...]) -> str:
    if dtype.kind in "OSV" or len(shape) < 3:
        return " (compressed images? decode them to uint8 first)"
    hints = ["channels first"] if len(shape) == 4 and shape[1] in (1, 3, 4) and shape[3] not in (1, 3, 4) else []
    hints += ["0..1"] if dtype.kind == "f" else ["depth"] if dtype.itemsize > 1 or shape[-1] == 1 else []
    return f" ({', '.join(hints)}? write them as uint8 RGB, channels last)" if hints else ""
