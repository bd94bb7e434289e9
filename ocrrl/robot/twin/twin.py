"""The twin: a simulated cell in this process, in the robot's place. No result from it is a robot's.

It differs from the training simulator in looks (visual meshes, light, table, camera poses, sensor noise), in dynamics
(drawn once a cell, outside what training sees as such) and in its object poses (a tracker's errors).
"""

# pyright: reportAttributeAccessIssue=false
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ocrrl.interface.actions import CONTROL_HZ
from ocrrl.interface.cameras import DEFAULT_CAMERAS, CameraSizes
from ocrrl.interface.observations import Images, Observation
from ocrrl.interface.protocols import StepResult
from ocrrl.robot.twin.noisy_tracker import NoisyPoses, TrackerErrors
from ocrrl.sim.dynamics import Dynamics, DynamicsRange
from ocrrl.sim.environment import SimEnvironment
from ocrrl.sim.scene import Camera, Look
from ocrrl.tabletop.parts.scene import SceneState, TabletopScene

if TYPE_CHECKING:
    import mujoco

FRONT_CAMERA = Camera((1.02, 0.045, 0.66), (0.47, 0.02, 0.06), 36.0)  # 6 cm and 4.6 deg from the simulator's
WRIST_CAMERA = Camera((0.10, 0.008, 0.02), (0.035, 0.0, 0.20), 72.0)
SENSOR_NOISE = 4.0  # grey levels, standard deviation
EXPOSURE = (0.92, 1.08)  # drawn once an image

TWIN_LOOK = Look(
    visual_meshes=True,
    cameras={"front": FRONT_CAMERA, "wrist": replace(WRIST_CAMERA, on_hand=True)},
    table_rgb=(0.18, 0.23, 0.38),
    table_checker_rgb=(0.15, 0.20, 0.34),
    object_tint=(0.95, 0.88, 0.78),
    light_position=(0.2, -0.6, 1.6),
    light_diffuse=(0.75, 0.70, 0.62),
    light_ambient=(0.25, 0.25, 0.28),
    background_rgb=(0.22, 0.24, 0.28),
)


def draw_cell_dynamics(cell_seed: int) -> Dynamics:
    """The dynamics of one twin cell: friction x0.6-0.8, mass +-25%, grip x0.7, joint friction, lag, 50 ms latency."""
    generator = np.random.default_rng(cell_seed)
    return Dynamics(
        friction_scale=generator.uniform(0.6, 0.8),
        mass_scale=generator.uniform(0.75, 1.25),
        gripper_force_scale=0.7,
        joint_friction_scale=generator.uniform(1.5, 2.0),
        servo_stiffness_scale=generator.uniform(0.6, 0.8),
        latency_steps=1,
    )


class TwinPoses(Protocol):
    """A twin's object poses: made from the true ones with a tracker's errors, or by a tracker from the twin's images."""

    def reset(self, ids: np.ndarray, seeds: list[int]) -> None:
        """Begin new episodes in the environments `ids`; errors are drawn from `seeds`."""
        ...

    def start(self, ids: np.ndarray, true_poses: np.ndarray) -> None:
        """Episodes begin with the objects at `true_poses` (n, O, 7)."""
        ...

    def update(self, ids: np.ndarray, true_poses: np.ndarray) -> None:
        """One control step later they are at `true_poses`."""
        ...

    def estimate(self) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Canonical poses (N, O, 7), confidences (N, O) and, behind a gate, what it shows (N, O)."""
        ...


class TwinCell:
    """N twin cells with the same dynamics; implements `interface.protocols.Environment`, poses as a tracker gives them."""

    cell = "twin"

    def __init__(
        self,
        scene: TabletopScene,
        num_envs: int,
        cell_seed: int = 0,
        cameras: CameraSizes = DEFAULT_CAMERAS,
        errors: TrackerErrors | None = None,
        threads: int = 1,
        make_poses: Callable[[SimEnvironment], TwinPoses] | None = None,
    ):
        """`cameras` are those that `capture` takes images with; ValueError where the scene has not got one of them.

        `errors` are those of the simulated tracker; `make_poses` puts another source of poses in its place.
        """
        dynamics = DynamicsRange.fixed(draw_cell_dynamics(cell_seed))
        self._world = SimEnvironment(scene, num_envs, TWIN_LOOK, dynamics, cameras, threads)
        self._poses: TwinPoses = (
            NoisyPoses(scene.task, num_envs, errors) if make_poses is None else make_poses(self._world)
        )
        self._steps = np.zeros(num_envs, int)
        self.tabletop_task, self.num_envs = scene.task, num_envs

    @property
    def seeds(self) -> list[int]:
        """Of the N initial states."""
        return self._world.seeds

    @property
    def model(self) -> "mujoco.MjModel":
        """MuJoCo's, as `SimEnvironment.model`."""
        return self._world.model

    @property
    def commanded_pose(self) -> np.ndarray:
        """Commanded gripper poses (N, 7)."""
        return self._world.commanded_pose

    def reset(self, ids: np.ndarray, seeds: list[int]) -> None:
        self._world.reset(ids, seeds)
        self._steps[ids] = 0
        self._poses.reset(ids, seeds)
        self._poses.start(ids, self._world.true_state().object_poses[ids])

    def observe(self) -> Observation:
        poses, confidence, visible = self._poses.estimate()
        observation = self._world.observe()
        return replace(observation, object_poses=poses, object_confidence=confidence, object_visible=visible)

    def true_state(self) -> SceneState:
        """What the twin's operator sees with their own eyes; no policy is given it."""
        return self._world.true_state()

    def capture(self, ids: np.ndarray) -> Images:
        return self._exposed(self._world.capture(ids), ids)

    def capture_at(self, ids: np.ndarray, cameras: CameraSizes) -> Images:
        """As `interface.residual_observations.CapturesAtAnySize`, in the twin's own look and with its sensors' noise."""
        return self._exposed(self._world.capture_at(ids, cameras), ids)

    def _exposed(self, images: Images, ids: np.ndarray) -> Images:
        return {name: self._expose(images[name], ids, camera) for camera, name in enumerate(sorted(images))}

    def image(self, ids: np.ndarray, size: int, cameras: Sequence[str] = ()) -> Images:
        """Images of `size` x `size` pixels without sensor noise, by these or all cameras, for people; no policy is given them."""
        return self._world.image(ids, size, cameras)

    def step(self, actions: np.ndarray, ids: np.ndarray) -> StepResult:
        result = self._world.step(actions, ids)
        self._steps[ids] += 1
        self._poses.update(ids, self._world.true_state().object_poses[ids])
        return result

    def now(self) -> float:
        """Simulated time since the first environment's reset [s]."""
        return float(self._steps[0]) / CONTROL_HZ

    def require_fit(self) -> None:
        """It has no part that fails."""

    def come_to_rest(self, error: str = "") -> None:
        """No time passes in it between steps."""

    def close(self) -> None:
        """Free the renderer's context."""
        self._world.close()

    def calibration(self) -> dict[str, dict[str, object]]:
        """The cameras' poses and fields of view, for an episode's attributes."""
        return self._world.calibration()

    def _expose(self, frames: np.ndarray, ids: np.ndarray, camera: int) -> np.ndarray:
        noisy, grain = np.empty_like(frames), _grain(frames[0].size)
        for row, env in enumerate(ids):
            # Noise belongs to the instant, so that who else takes images does not change what a policy sees.
            generator = np.random.default_rng([self.seeds[env], 3, int(self._steps[env]), camera])
            seen = frames[row] * np.float32(generator.uniform(*EXPOSURE))
            start = generator.integers(len(grain) - seen.size)
            seen += grain[start : start + seen.size].reshape(seen.shape)
            noisy[row] = np.clip(seen, 0, 255, out=seen)
        return noisy


@cache
def _grain(size: int) -> np.ndarray:
    """Sensor noise of which every image of `size` values takes a stretch: to draw it anew costs as much as a camera on the hand."""
    return np.random.default_rng(0).standard_normal(size + 2**20, np.float32) * np.float32(SENSOR_NOISE)
