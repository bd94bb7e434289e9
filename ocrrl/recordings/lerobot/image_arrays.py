"""Collects the images of one episode, each resized as it is read, within a memory limit.

Legend: n rows of the episode.
"""

from collections.abc import Mapping

import numpy as np
from jaxtyping import UInt8

from ocrrl.episodes.episode_checks import EpisodeRejected, EpisodeRequirements


class ImageArrays:
    """The arrays of one episode's images, made when their size is known and held to what memory may be used."""

    def __init__(self, expected: EpisodeRequirements, rows: int) -> None:
        self._expected, self._rows, self._bytes = expected, rows, 0.0
        self.images: dict[str, UInt8[np.ndarray, "n h w 3"]] = {}
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
