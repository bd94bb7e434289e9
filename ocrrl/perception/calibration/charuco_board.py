"""The ChArUco calibration board: a chessboard with a marker in each white square.

The board's frame: origin at its upper left corner, x to the right, y down, z into the board.
"""

from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, Int

from ocrrl.interface import rotations
from ocrrl.interface.frames import Intrinsics

DICTIONARIES = ("DICT_4X4_50", "DICT_4X4_100", "DICT_5X5_50", "DICT_5X5_100", "DICT_6X6_50", "DICT_APRILTAG_36h11")
MIN_CORNERS = 8
"""Fewer corners are no view: the pose they give is too loose."""


@dataclass(frozen=True)
class Corners:
    """Inner chessboard corners that were found in an image."""

    ids: Int[np.ndarray, " K"]
    pixels: Float[np.ndarray, "K 2"]


@dataclass(frozen=True)
class CharucoBoard:
    """A board of `columns` x `rows` squares; the default fills a sheet of A4."""

    columns: int = 7
    rows: int = 5
    square: float = 0.038
    """Side of a square [m], as measured on the print."""
    marker: float = 0.028
    """Side of a marker [m]."""
    dictionary: str = "DICT_4X4_50"
    _board: cv2.aruco.CharucoBoard = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.columns < 3 or self.rows < 3:
            raise ValueError(f"columns and rows must be at least 3 squares, got {self.columns}x{self.rows}")
        if not 0 < self.marker < self.square:
            raise ValueError(f"marker must be in (0, square {self.square:g}) m, got {self.marker:g}")
        if self.dictionary not in DICTIONARIES:
            raise ValueError(f"dictionary must be one of {', '.join(DICTIONARIES)}, got {self.dictionary!r}")
        markers = cv2.aruco.getPredefinedDictionary(getattr(cv2.aruco, self.dictionary))
        needed = self.columns * self.rows // 2
        if needed > len(markers.bytesList):
            raise ValueError(f"dictionary must have {needed} markers, {self.dictionary} has fewer")
        board = cv2.aruco.CharucoBoard((self.columns, self.rows), self.square, self.marker, markers)
        object.__setattr__(self, "_board", board)

    @property
    def size(self) -> tuple[float, float]:
        """Width and height [m]."""
        return self.columns * self.square, self.rows * self.square

    @property
    def corners(self) -> Float[np.ndarray, "C 3"]:
        """All inner corners in the board's frame [m]; a corner's id is its row here."""
        return np.asarray(self._board.getChessboardCorners(), float)

    def image(self, pixels_per_square: int) -> np.ndarray:
        """The board without a margin, (H, W) uint8, black on white."""
        return self._board.generateImage((self.columns * pixels_per_square, self.rows * pixels_per_square))

    def find(self, colour: np.ndarray) -> Corners | None:
        """The corners in `colour` (H, W, 3) RGB, to a fraction of a pixel; None for fewer than `MIN_CORNERS`."""
        grey = cv2.cvtColor(colour, cv2.COLOR_RGB2GRAY)
        pixels, ids, _, _ = cv2.aruco.CharucoDetector(self._board).detectBoard(grey)
        if ids is None or len(ids) < MIN_CORNERS:
            return None
        return Corners(np.asarray(ids).reshape(-1), self._refined(grey, np.asarray(pixels, np.float32).reshape(-1, 2)))

    def _refined(self, grey: np.ndarray, pixels: np.ndarray) -> np.ndarray:
        """Corners (K, 2) refined once more, with pixel centres at whole numbers.

        CharucoDetector puts the upper left pixel's centre at (0.5, 0.5), unlike cornerSubPix and the intrinsics (seen in
        OpenCV 4.13): left as it is, the camera would be turned by half a pixel.
        """
        centred = np.ascontiguousarray(pixels - np.float32(0.5))
        apart = np.linalg.norm(centred[:, None] - centred[None], axis=-1)
        np.fill_diagonal(apart, np.inf)
        # Up to the markers, which stand (square - marker) / 2 away, the image holds nothing but the corner.
        window = int(np.clip(apart.min() * (1 - self.marker / self.square) / 2, 2, 5))
        end = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 40, 1e-3)
        return np.asarray(cv2.cornerSubPix(grey, centred.reshape(-1, 1, 2), (window, window), (-1, -1), end), float)[
            :, 0
        ]

    def pose(self, found: Corners, intrinsics: Intrinsics) -> np.ndarray:
        """The board's pose (7,) in the camera's optical frame: position [m], wxyz, with the least reprojection error.

        IPPE (Collins and Bartoli 2014) gives both poses that a plane can have; the better one is refined.
        """
        points = self.corners[found.ids]
        matrix = camera_matrix(intrinsics)
        _, turns, steps, errors = cv2.solvePnPGeneric(points, found.pixels, matrix, None, flags=cv2.SOLVEPNP_IPPE)
        best = int(np.argmin(np.ravel(errors)))
        turn, step = cv2.solvePnPRefineLM(points, found.pixels, matrix, None, turns[best], steps[best])
        return np.concatenate([np.ravel(step), rotations.from_rotation_vector(np.ravel(turn))])


def camera_matrix(intrinsics: Intrinsics) -> Float[np.ndarray, "3 3"]:
    """The intrinsics as OpenCV takes them."""
    return np.array([[intrinsics.fx, 0, intrinsics.cx], [0, intrinsics.fy, intrinsics.cy], [0, 0, 1.0]])


A4 = (0.297, 0.210)  # [m]
RULER = 0.1  # [m]


def print_board(board: CharucoBoard, path: Path, dpi: int = 300) -> None:
    """Write `board` at true scale to `path` (.png with its resolution, or .pdf), on A4 or on paper as large as it needs.

    A line at the edge that is to measure 100 mm tells whether a printer scaled the page. Raises ValueError for other files.
    """
    from matplotlib.figure import Figure

    if path.suffix.lower() not in (".png", ".pdf"):
        raise ValueError(f"a board is printed to a .png or a .pdf, got {path}")
    width, height = board.size
    margin = 0.010
    page = A4 if width + margin <= A4[0] and height + margin <= A4[1] else (width + 4 * margin, height + 4 * margin)
    inch = 0.0254
    figure = Figure(figsize=(page[0] / inch, page[1] / inch))
    left, bottom = (page[0] - width) / 2, (page[1] - height) / 2
    axes = figure.add_axes((left / page[0], bottom / page[1], width / page[0], height / page[1]))
    axes.imshow(board.image(64), cmap="gray", interpolation="nearest", aspect="auto")
    axes.axis("off")
    ruler = figure.add_axes((left / page[0], 0.0, RULER / page[0], bottom / page[1]))
    ruler.set(xlim=(0, 1), ylim=(0, 1))
    ruler.axis("off")
    ruler.annotate(
        "",
        (0, 0.6),
        (1, 0.6),
        arrowprops={"arrowstyle": "|-|,widthA=0.25,widthB=0.25", "shrinkA": 0, "shrinkB": 0, "lw": 0.7},
    )
    words = (
        f"this line is 100 mm; squares {1000 * board.square:g} mm, markers {1000 * board.marker:g} mm, "
        f"{board.columns} x {board.rows}, {board.dictionary}; print at 100 %"
    )
    ruler.text(0, 0.15, words, fontsize=6, clip_on=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=dpi)
