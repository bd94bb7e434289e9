"""Images that a dataset keeps in its parquet files: PNG or JPEG, as bytes or as a file's path.

`ImageArrays` holds the images of an episode, from parquet files and from videos.
"""

import io
import struct
from collections.abc import Mapping

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps

from ocrrl.episodes.episode_checks import EpisodeRejected, EpisodeRequirements
from ocrrl.recordings.lerobot.dataset_files import DatasetFiles
from ocrrl.recordings.lerobot.parquet_rows import one_line

MAX_PIXELS = 25_000_000
"""Of one image: three times 4K. More is a mistake or an attack: 100 kB of PNG may stand for gigabytes."""
_LONGEST_PATH = 500  # characters
_FORMATS = ("PNG", "JPEG", "WEBP")
# What PIL raises for files that are cut, damaged or made to harm it.
_FAULTS = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    LookupError,
    OverflowError,
    struct.error,
    Image.DecompressionBombError,
)
_MODES = {
    "1": "1 bit with one channel",
    "L": "8 bit with one channel",
    "LA": "8 bit with one channel and alpha",
    "P": "a palette",
    "PA": "a palette and alpha",
    "RGBA": "8 bit with 4 channels (alpha)",
    "CMYK": "8 bit with 4 channels (CMYK)",
    "YCbCr": "8 bit YCbCr",
    "LAB": "8 bit Lab",
    "HSV": "8 bit HSV",
    "I": "32 bit with one channel",
    "F": "32 bit floats with one channel",
}


def decode_image(cell: object, field: str, files: DatasetFiles, where: str) -> UInt8[np.ndarray, "H W 3"]:
    """The image that a row's `cell` holds; `where` says which row of which file.

    Raises `EpisodeRejected` for `field` where there is none, where it is not 8 bit RGB, or where it is too large.
    """
    stored = _stored(cell, field, files, where)
    try:
        with Image.open(io.BytesIO(stored), formats=_FORMATS) as image:
            required, got = _colour(image, stored)
            if not got:
                # The orientation that a camera wrote beside the pixels is applied, as LeRobot's reader does.
                return np.asarray(ImageOps.exif_transpose(image))
    except _FAULTS as error:
        raise EpisodeRejected(field, "PNG or JPEG images", f"{one_line(error)} in {where}") from error
    raise EpisodeRejected(field, required, f"{got} in {where}")


def _stored(cell: object, field: str, files: DatasetFiles, where: str) -> bytes:
    if isinstance(cell, dict):
        cell = cell.get("bytes") or cell.get("path")
    if isinstance(cell, str):
        if len(cell) > _LONGEST_PATH or not cell.isprintable():
            got = f"a text of {len(cell)} characters in {where}"
            raise EpisodeRejected(field, "a PNG or JPEG image in every row, or the path of one", got)
        cell = files.find(cell).read_bytes()
    if not isinstance(cell, bytes):
        got = "no image" if cell is None else f"{type(cell).__name__}"
        raise EpisodeRejected(field, "a PNG or JPEG image in every row", f"{got} in {where}")
    return cell


def _colour(image: Image.Image, stored: bytes) -> tuple[str, str]:
    """What `image` must be and what it is; an empty text where it is 8 bit RGB of a size that is taken."""
    if image.width * image.height > MAX_PIXELS:
        return f"images of at most {MAX_PIXELS:,} pixels", f"{image.height} x {image.width}"
    deep = image.format == "PNG" and stored[24] == 16  # PIL itself makes 8 bits of 16 bit RGB
    if image.mode.startswith("I;16") or (deep and image.mode in ("I", "L")):
        return "8 bit RGB", "16 bit with one channel (depth?)"
    if deep:
        return "8 bit RGB", f"16 bit with {len(image.getbands())} channels"
    if image.mode != "RGB":
        return "8 bit RGB", _MODES.get(image.mode, image.mode)
    return "8 bit RGB", ""


class ImageArrays:
    """The arrays of one episode's images, made when their size is known and held to what memory may be used."""

    def __init__(self, expected: EpisodeRequirements, rows: int) -> None:
        self._expected, self._rows, self._bytes = expected, rows, 0.0
        self.images: dict[str, UInt8[np.ndarray, "T h w 3"]] = {}
        self.recorded: dict[str, tuple[int, int]] = {}
        """Height and width by camera."""

    def check_numbers(self, bytes_a_row: Mapping[str, float]) -> None:
        """Count what the numbers take, by column; raises `EpisodeRejected` where that is too much."""
        self._take("rows", sum(bytes_a_row.values()))

    def expect(self, camera: str, recorded: tuple[int, int]) -> None:
        """Make room for images recorded at `recorded` (height, width)."""
        if camera in self.recorded:
            return
        fit = self._expected.images
        height, width = recorded if fit is None else fit.sizes[camera]
        self._take(f"images.{camera}", 3.0 * height * width)
        self.recorded[camera] = recorded
        self.images[camera] = np.zeros((self._rows, height, width, 3), np.uint8)

    def put(self, camera: str, row: int, image: UInt8[np.ndarray, "H W 3"]) -> None:
        """Keep `image` at the size that is asked for; raises `EpisodeRejected` where its own is not that of the others."""
        size = image.shape[:2]
        self.expect(camera, size)
        if size != self.recorded[camera]:
            got = f"{size[0]} x {size[1]} at row {row} after {self.recorded[camera][0]} x {self.recorded[camera][1]}"
            raise EpisodeRejected(f"images.{camera}", "images of one size", got)
        fit = self._expected.images
        self.images[camera][row] = image if fit is None else fit.fit(camera, image)

    def _take(self, field: str, bytes_a_row: float) -> None:
        self._bytes += bytes_a_row * self._rows
        if self._bytes > self._expected.max_bytes:
            got = f"{self._bytes / 1e9:.3g} GB for {self._rows} rows"
            raise EpisodeRejected(field, f"an episode of at most {self._expected.max_bytes / 1e9:g} GB in memory", got)
