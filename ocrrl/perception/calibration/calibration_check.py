"""Before each run: compares a fixed camera's image with its calibration.

What disagrees is refused, never corrected: a camera that was knocked needs a person, not an offset.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ocrrl.interface import rigid
from ocrrl.interface.frames import Frame
from ocrrl.perception.calibration.charuco_board import CharucoBoard

MOST_HEIGHT_MM, MOST_TILT_DEG = 5.0, 1.0
"""Of the table over z = 0, at the middle of its area; of its tilt."""
LEAST_TABLE_SHARE = 0.4
"""Of the area's depth points at least must be of one plane, or it is not the table that is seen."""
MOST_BOARD_MM, MOST_BOARD_DEG = 5.0, 1.5
MOST_DEPTH_ERROR = 0.01
"""|scale - 1|; one percent is 7 mm at 0.7 m."""
AREA_LOW, AREA_HIGH, AREA_REACH = (0.30, -0.25), (0.70, 0.25), 0.08
"""Where there is table, in base [m]; points up to the reach over and under it are looked at."""
HYPOTHESES = 200  # for a plane
TOLERANCE = 0.008
"""A point so near to the plane is of it [m]: about two standard deviations of a D435's depth at 0.7 m."""
MIN_POINTS, MAX_POINTS = 200, 5000


@dataclass(frozen=True)
class Plane:
    """The points p with `normal` · p = `offset`; in the frame of the points."""

    normal: Float[np.ndarray, " 3"]
    """Of unit length; its z is not negative."""
    offset: float
    """[m]"""
    inliers: float
    """Share of the points within `TOLERANCE` of it."""

    @property
    def tilt(self) -> float:
        """Between its normal and the z axis [rad]."""
        return float(np.arctan2(np.linalg.norm(self.normal[:2]), self.normal[2]))

    def height_at(self, x: float, y: float) -> float:
        """Its z above (x, y) [m]."""
        return float((self.offset - self.normal[:2] @ [x, y]) / self.normal[2])


@dataclass(frozen=True)
class TableCheck:
    """The table's plane against z = 0 in base."""

    height_mm: float
    """Positive where the table seems to stand above z = 0."""
    tilt_deg: float
    table_share: float
    distance_ratio: float
    """Distance from the camera to the plane that is seen over that to z = 0: the depth scale, if the calibration is right."""

    def complaints(self) -> list[str]:
        if self.table_share < LEAST_TABLE_SHARE:
            return [
                f"one plane must hold at least {LEAST_TABLE_SHARE:.0%} of what is seen in the table's area, got "
                f"{self.table_share:.0%}: clear the table, or the camera looks elsewhere"
            ]
        found = []
        if abs(self.height_mm) > MOST_HEIGHT_MM:
            found.append(
                f"the table must be within {MOST_HEIGHT_MM:g} mm of z = 0, got {self.height_mm:+.1f} mm (or depth that is "
                f"{100 * (self.distance_ratio - 1):+.1f} % wrong)"
            )
        if self.tilt_deg > MOST_TILT_DEG:
            found.append(f"the table must be level within {MOST_TILT_DEG:g} deg, got {self.tilt_deg:.1f} deg")
        return found


@dataclass(frozen=True)
class BoardCheck:
    """A board that lies where it was measured to lie."""

    position_mm: float
    """Of its centre."""
    rotation_deg: float
    depth_scale: float | None
    """Depth over the distance that the board's size in the image tells, which needs no depth; None without depth on it."""

    def complaints(self) -> list[str]:
        found = []
        if self.position_mm > MOST_BOARD_MM:
            found.append(f"the board must be within {MOST_BOARD_MM:g} mm of its place, got {self.position_mm:.1f} mm")
        if self.rotation_deg > MOST_BOARD_DEG:
            found.append(f"the board must be turned at most {MOST_BOARD_DEG:g} deg, got {self.rotation_deg:.1f} deg")
        if self.depth_scale is not None and abs(self.depth_scale - 1) > MOST_DEPTH_ERROR:
            found.append(
                f"depth must be right within {100 * MOST_DEPTH_ERROR:g} %, got {100 * (self.depth_scale - 1):+.1f} % (the "
                "camera's depth needs calibrating: RealSense Viewer, On-Chip Calibration)"
            )
        return found


def fit_plane(points: Float[np.ndarray, "N 3"], generator: np.random.Generator | None = None) -> Plane:
    """The plane with the most of `points`, by RANSAC (Fischler and Bolles 1981), then least squares over its own.

    The same points give the same plane unless a `generator` is given. Raises ValueError for fewer than `MIN_POINTS` points.
    """
    if len(points) < MIN_POINTS:
        raise ValueError(f"a plane must be fitted to at least {MIN_POINTS} points, got {len(points)}")
    generator = generator or np.random.default_rng(0)
    points = np.asarray(points, float)
    if len(points) > MAX_POINTS:
        points = points[generator.choice(len(points), MAX_POINTS, replace=False)]
    corners = points[generator.integers(len(points), size=(HYPOTHESES, 3))]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    lengths = np.linalg.norm(normals, axis=-1)
    real = lengths > 1e-9
    normals = normals[real] / lengths[real, None]
    offsets = (normals * corners[real, 0]).sum(axis=-1)
    counts = (np.abs(points @ normals.T - offsets) < TOLERANCE).sum(axis=0)
    normal, offset = normals[counts.argmax()], offsets[counts.argmax()]
    for _ in range(3):
        near = np.abs(points @ normal - offset) < TOLERANCE
        centre = points[near].mean(axis=0)
        normal = np.linalg.svd(points[near] - centre, full_matrices=False)[2][-1]
        offset = float(normal @ centre)
    near = np.abs(points @ normal - offset) < TOLERANCE
    if normal[2] < 0:
        normal, offset = -normal, -offset
    return Plane(normal, float(offset), float(near.mean()))


def check_table(frame: Frame) -> TableCheck:
    """The plane that `frame`'s depth shows where the table is. RuntimeError if depth shows next to nothing there."""
    points = _points_in_base(frame)
    inside = ((points[:, :2] > AREA_LOW) & (points[:, :2] < AREA_HIGH)).all(axis=1) & (
        np.abs(points[:, 2]) < AREA_REACH
    )
    if inside.sum() < MIN_POINTS:
        raise RuntimeError(
            f"the table must be seen by depth from x, y {AREA_LOW} to {AREA_HIGH} m, got {inside.sum()} points there: free the "
            "camera's sight, or calibrate it again (docs/calibrate.md)"
        )
    plane = fit_plane(points[inside])
    camera = frame.camera_pose[:3]
    return TableCheck(
        height_mm=1000 * plane.height_at(*np.mean([AREA_LOW, AREA_HIGH], axis=0)),
        tilt_deg=float(np.rad2deg(plane.tilt)),
        table_share=plane.inliers,
        distance_ratio=float((plane.normal @ camera - plane.offset) / camera[2]),
    )


def board_in_base(frame: Frame, board: CharucoBoard) -> np.ndarray:
    """Pose (7,) of `board` in base, as `frame` shows it. RuntimeError if it is not seen."""
    found = board.find(frame.colour)
    if found is None:
        raise RuntimeError(
            f"the board ({board.columns} x {board.rows}) must be seen by the camera, got an image without it: lay it in its "
            "place, free the camera's sight, see to the light"
        )
    return rigid.compose(frame.camera_pose, board.pose(found, frame.intrinsics))


def check_board(frame: Frame, board: CharucoBoard, expected_pose: np.ndarray) -> BoardCheck:
    """`board`, which should lie at `expected_pose` (7,) in base. RuntimeError if it is not seen."""
    pose = board_in_base(frame, board)
    centre = np.array([[board.size[0] / 2, board.size[1] / 2, 0.0]])
    apart = np.linalg.norm(rigid.apply(pose, centre) - rigid.apply(expected_pose, centre))
    in_camera = rigid.apply(rigid.compose(rigid.inverse(frame.camera_pose), pose), board.corners)
    k = frame.intrinsics
    columns = np.rint(k.fx * in_camera[:, 0] / in_camera[:, 2] + k.cx).astype(int)
    rows = np.rint(k.fy * in_camera[:, 1] / in_camera[:, 2] + k.cy).astype(int)
    inside = (columns >= 0) & (columns < k.width) & (rows >= 0) & (rows < k.height)
    depth = frame.depth[rows[inside], columns[inside]]
    ratios = (depth / in_camera[inside, 2])[depth > 0]
    return BoardCheck(
        position_mm=float(1000 * apart),
        rotation_deg=float(np.rad2deg(rigid.distance(pose, expected_pose)[1])),
        depth_scale=float(np.median(ratios)) if len(ratios) else None,
    )


def refuse_complaints(camera: str, checks: list[TableCheck | BoardCheck]) -> None:
    """RuntimeError with everything that `checks` found wrong."""
    complaints = [complaint for check in checks for complaint in check.complaints()]
    if complaints:
        raise RuntimeError(
            f"camera {camera} is not where its calibration says: {'; '.join(complaints)}. Look whether it, the table or the "
            "board was moved; then calibrate it again (docs/calibrate.md)"
        )


def _points_in_base(frame: Frame) -> np.ndarray:
    """Every second pixel of every second row that has depth, as points (N, 3) in base."""
    k = frame.intrinsics
    rows, columns = np.mgrid[0 : k.height : 2, 0 : k.width : 2]
    depth = frame.depth[rows, columns].astype(float)
    seen = depth > 0
    z = depth[seen]
    points = np.stack([(columns[seen] - k.cx) / k.fx * z, (rows[seen] - k.cy) / k.fy * z, z], axis=-1)
    return rigid.apply(frame.camera_pose, points)
