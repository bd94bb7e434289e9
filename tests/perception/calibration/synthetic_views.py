"""Views of a board while an FR3 moves it or a camera on its hand, with everything known."""

import cv2
import numpy as np

from ocrrl.interface import rigid, rotations
from ocrrl.interface.fr3_chain import FR3
from ocrrl.interface.frames import Intrinsics
from ocrrl.interface.tabletop_tasks import HOME_JOINTS
from ocrrl.perception.calibration.charuco_board import CharucoBoard, Corners, camera_matrix
from ocrrl.perception.calibration.hand_eye import Mounting, View

D435 = Intrinsics(640, 480, 615.0, 614.0, 321.5, 238.5)
BOARD = CharucoBoard()


def looking(position: np.ndarray, at: np.ndarray, roll: float = 0.1) -> np.ndarray:
    """Pose (7,) of a camera at `position` that looks `at` a point, nearly upright."""
    z = (at - position) / np.linalg.norm(at - position)
    x = np.cross(z, [0.0, 0.0, 1.0])
    x /= np.linalg.norm(x)
    turn, _ = cv2.Rodrigues(np.stack([x, np.cross(z, x), z], axis=-1))
    upright = rotations.from_rotation_vector(turn.ravel())
    return np.concatenate(
        [position, rotations.multiply(upright, rotations.from_rotation_vector(np.array([0, 0, roll])))]
    )


class SyntheticCell:
    """A camera, a board and an arm; `mounting` says which of the two the arm moves."""

    def __init__(self, mounting: Mounting, seed: int = 0, spread: float = 0.35):
        self.mounting: Mounting = mounting
        self.generator, self._spread = np.random.default_rng(seed), spread
        home = FR3.gripper_pose(np.array(HOME_JOINTS)[None])[0]
        centre = np.array([-BOARD.size[0] / 2, -BOARD.size[1] / 2, 0.0, 1.0, 0.0, 0.0, 0.0])
        if mounting == "fixed":
            self.camera_pose = looking(home[:3] + np.array([0.62, 0.12, 0.1]), home[:3])
            facing = looking(home[:3], 2 * home[:3] - self.camera_pose[:3])  # its z away from the camera
            self.board_pose = rigid.compose(rigid.inverse(home), rigid.compose(facing, centre))
        else:
            on_table = np.array([home[0], home[1], 0.0, 0.0, 1.0, 0.0, 0.0])  # face up: its z into the table
            self.board_pose = rigid.compose(on_table, centre)
            camera = looking(home[:3] + np.array([0.06, 0.01, 0.05]), on_table[:3] + 0.01)
            self.camera_pose = rigid.compose(rigid.inverse(home), camera)

    def board_in_camera(self, gripper_pose: np.ndarray) -> np.ndarray:
        arm = gripper_pose if self.mounting == "fixed" else rigid.inverse(gripper_pose)
        return rigid.compose(rigid.inverse(self.camera_pose), rigid.compose(arm, self.board_pose))

    def joints(self, count: int) -> np.ndarray:
        """Joint positions (count, 7) from which the whole board is seen at less than 55 degrees."""
        found = []
        while len(found) < count:
            joints = np.array(HOME_JOINTS) + self.generator.uniform(-self._spread, self._spread, 7)
            pose = self.board_in_camera(FR3.gripper_pose(joints[None])[0])
            pixels = project(pose, BOARD.corners)
            inside = (pixels > 10).all() and (pixels < np.array([D435.width, D435.height]) - 10).all()
            axis = rotations.rotate(pose[3:], np.array([0.0, 0.0, 1.0]))
            if inside and 0.25 < pose[2] < 1.2 and axis[2] > np.cos(np.deg2rad(55)):
                found.append(joints)
        return np.array(found)

    def views(self, count: int, noise: float = 0.3) -> list[View]:
        """Views whose corners are off by `noise` pixels (standard deviation of each coordinate)."""
        views = []
        for gripper_pose in FR3.gripper_pose(self.joints(count)):
            pixels = project(self.board_in_camera(gripper_pose), BOARD.corners)
            pixels += self.generator.normal(scale=noise, size=pixels.shape)
            views.append(View(gripper_pose, Corners(np.arange(len(pixels)), pixels)))
        return views

    def image(self, joints: np.ndarray) -> np.ndarray:
        """What the camera sees (480, 640, 3) uint8: the board before grey, with a sensor's noise."""
        return image_of_board(self.board_in_camera(FR3.gripper_pose(joints[None])[0]), self.generator)


def project(board_in_camera: np.ndarray, points: np.ndarray, intrinsics: Intrinsics = D435) -> np.ndarray:
    """Pixels (N, 2) of `points` (N, 3) on the board."""
    seen = rigid.apply(board_in_camera, points) @ camera_matrix(intrinsics).T
    return seen[:, :2] / seen[:, 2:]


def image_of_board(board_in_camera: np.ndarray, generator: np.random.Generator, per_square: int = 40) -> np.ndarray:
    """The board warped into an image of the camera, four samples a pixel, with 3 grey levels of noise."""
    flat = cv2.copyMakeBorder(BOARD.image(per_square), *(per_square // 2,) * 4, cv2.BORDER_CONSTANT, value=255)
    metres = BOARD.square / per_square
    # Pixel centres are at whole numbers: the board's edge is half a pixel before the first of its image.
    edge = 0.5 * metres - (per_square // 2) * metres
    to_board = np.array([[metres, 0, edge], [0, metres, edge], [0, 0, 1.0]])
    matrix = rotations.to_matrix(board_in_camera[3:])
    to_image = camera_matrix(D435) @ np.column_stack([matrix[:, :2], board_in_camera[:3]]) @ to_board
    fine = np.array([[2.0, 0, 0.5], [0, 2.0, 0.5], [0, 0, 1]])
    size = (2 * D435.width, 2 * D435.height)
    drawn = cv2.warpPerspective(flat, fine @ to_image, size, flags=cv2.INTER_AREA, borderValue=110)
    small = cv2.resize(drawn, (D435.width, D435.height), interpolation=cv2.INTER_AREA).astype(float)
    noisy = 25 + 0.75 * small[..., None] + generator.normal(scale=3.0, size=(*small.shape, 3))
    return noisy.clip(0, 255).astype(np.uint8)
