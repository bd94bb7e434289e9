"""Before each run: compares a fixed camera's image with its calibration.

What disagrees is refused, never corrected: a camera that was knocked needs a person, not an offset.
"""

from dataclasses import dataclass

import numpy as np

from ocrrl.interface import rigid
from ocrrl.interface.frames import Frame
from ocrrl.perception.calibration.charuco_board import CharucoBoard
from ocrrl.perception.calibration.plane import MIN_POINTS, fit_plane


@dataclass(frozen=True)
class CheckLimits:
    """How far what is seen may be from where it should be."""

    height_mm: float = 5.0
    """Of the table over z = 0, at the middle of `TableArea`."""
    tilt_deg: float = 1.0
    table_share: float = 0.4
    """Of the area's depth points at least must be of one plane, or it is not the table that is seen."""
    board_mm: float = 5.0
    board_deg: float = 1.5
    depth_scale: float = 0.01
    """|scale - 1|; one percent is 7 mm at 0.7 m."""

    def __post_init__(self) -> None:
        for name, limit in vars(self).items():
            if not limit > 0:
                raise ValueError(f"a calibration check's {name} must be above 0, got {limit}")


@dataclass(frozen=True)
class TableArea:
    """Where there is table, in base [m]; points up to `reach` over and under it are looked at."""

    low: tuple[float, float] = (0.30, -0.25)
    high: tuple[float, float] = (0.70, 0.25)
    reach: float = 0.08

    def __post_init__(self) -> None:
        if not all(low < high for low, high in zip(self.low, self.high, strict=True)) or not self.reach > 0:
            raise ValueError(f"a table's area must have low < high in x and y, and a reach above 0 m, got {self}")


@dataclass(frozen=True)
class TableCheck:
    """The table's plane against z = 0 in base."""

    height_mm: float
    """Positive where the table seems to stand above z = 0."""
    tilt_deg: float
    table_share: float
    distance_ratio: float
    """Distance from the camera to the plane that is seen over that to z = 0: the depth scale, if the calibration is right."""

    def complaints(self, limits: CheckLimits) -> list[str]:
        if self.table_share < limits.table_share:
            return [
                f"one plane must hold at least {limits.table_share:.0%} of what is seen in the table's area, got "
                f"{self.table_share:.0%}: clear the table, or the camera looks elsewhere"
            ]
        found = []
        if abs(self.height_mm) > limits.height_mm:
            found.append(
                f"the table must be within {limits.height_mm:g} mm of z = 0, got {self.height_mm:+.1f} mm (or depth that is "
                f"{100 * (self.distance_ratio - 1):+.1f} % wrong)"
            )
        if self.tilt_deg > limits.tilt_deg:
            found.append(f"the table must be level within {limits.tilt_deg:g} deg, got {self.tilt_deg:.1f} deg")
        return found


@dataclass(frozen=True)
class BoardCheck:
    """A board that lies where it was measured to lie."""

    position_mm: float
    """Of its centre."""
    rotation_deg: float
    depth_scale: float | None
    """Depth over the distance that the board's size in the image tells, which needs no depth; None without depth on it."""

    def complaints(self, limits: CheckLimits) -> list[str]:
        found = []
        if self.position_mm > limits.board_mm:
            found.append(f"the board must be within {limits.board_mm:g} mm of its place, got {self.position_mm:.1f} mm")
        if self.rotation_deg > limits.board_deg:
            found.append(f"the board must be turned at most {limits.board_deg:g} deg, got {self.rotation_deg:.1f} deg")
        if self.depth_scale is not None and abs(self.depth_scale - 1) > limits.depth_scale:
            found.append(
                f"depth must be right within {100 * limits.depth_scale:g} %, got {100 * (self.depth_scale - 1):+.1f} % (the "
                "camera's depth needs calibrating: RealSense Viewer, On-Chip Calibration)"
            )
        return found


def check_table(frame: Frame, area: TableArea) -> TableCheck:
    """The plane that `frame`'s depth shows where the table is. RuntimeError if depth shows next to nothing there."""
    points = _points_in_base(frame)
    inside = ((points[:, :2] > area.low) & (points[:, :2] < area.high)).all(axis=1) & (
        np.abs(points[:, 2]) < area.reach
    )
    if inside.sum() < MIN_POINTS:
        raise RuntimeError(
            f"the table must be seen by depth from x, y {area.low} to {area.high} m, got {inside.sum()} points there: free the "
            "camera's sight, or calibrate it again (docs/calibrate.md)"
        )
    plane = fit_plane(points[inside])
    camera = frame.camera_pose[:3]
    return TableCheck(
        height_mm=1000 * plane.height_at(*np.mean([area.low, area.high], axis=0)),
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


def refuse_complaints(camera: str, checks: list[TableCheck | BoardCheck], limits: CheckLimits) -> None:
    """RuntimeError with everything that `checks` found beyond `limits`."""
    complaints = [complaint for check in checks for complaint in check.complaints(limits)]
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
