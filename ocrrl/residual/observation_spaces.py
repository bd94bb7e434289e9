"""What enters actor and critics, and which learner goes with it (Table 2b): object poses, images, true state, a teacher's residuals.

Algorithm 1 is the same for all of them. Environments that do not decide need no frame and no true state.
Legend: N environments, n of them selected by ids (n,); D length of the observation in a row of the replay buffer.
"""

import dataclasses
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ocrrl.interface.actions import ACTION_DIM
from ocrrl.interface.cameras import CameraSizes
from ocrrl.interface.observations import Observation, residual_observation, residual_observation_dim
from ocrrl.interface.protocols import Environment, PlaceableEnvironment
from ocrrl.interface.residual_observations import (
    images_at,
    privileged_observation,
    require_privileged_state,
    robot_observation,
    robot_observation_dim,
)
from ocrrl.interface.tabletop_tasks import TabletopTask
from ocrrl.residual.images.distillation import Student
from ocrrl.residual.images.frames import FrameStore
from ocrrl.residual.images.image_policy import PREFIX, ImageResidualPolicy
from ocrrl.residual.images.image_td3 import ImageTD3
from ocrrl.residual.residual_config import ResidualConfig, in_action_units
from ocrrl.residual.residual_policy import PrivilegedPolicy, ResidualPolicy, TrainedPolicy, load_residual
from ocrrl.residual.td3 import TD3, UpdateStatistics
from ocrrl.residual.transitions import TransitionRow

Phase = Float[np.ndarray, "n 2"] | None


class Learner(Protocol):
    """`td3.TD3`, or what takes its place in Algorithm 1."""

    layout: TransitionRow
    device: Any

    @property
    def updates(self) -> int: ...
    def update(self, batch: Tensor, offline_count: int = 0, /) -> None: ...
    def residual(self, observation: Float[np.ndarray, "n D"], /) -> Float[np.ndarray, "n 7"]: ...
    def statistics(self) -> UpdateStatistics: ...
    def actor_weights(self) -> dict[str, np.ndarray]: ...
    def get_state(self) -> dict[str, np.ndarray]: ...
    def set_state(self, state: dict[str, np.ndarray], /) -> None: ...


class ObservationSpace(Protocol):
    """How an environment is observed, and what learns from it."""

    @property
    def dim(self) -> int:
        """D."""
        ...

    @property
    def reenacted_in(self) -> PlaceableEnvironment | None:
        """Where demonstrations must be acted again, since what is observed of them was not recorded; None where it was."""
        ...

    @property
    def frames(self) -> FrameStore | None:
        """What the frame numbers in its observations stand for, if it has such."""
        ...

    def observe(
        self,
        ids: Int[np.ndarray, " n"],
        deciding: Bool[np.ndarray, " n"],
        observation: Observation,
        base_action: Float[np.ndarray, "n 7"],
        phase: Phase,
        generator: np.random.Generator,
    ) -> Float[np.ndarray, "n D"]:
        """The observations of the environments `ids`, of which those `deciding` must be whole."""
        ...

    def learner(self, seed: int) -> Learner: ...

    def policy(self, weights: dict[str, np.ndarray], largest_delay: int) -> TrainedPolicy:
        """The policy that a learner's `actor_weights` stand for."""
        ...


def observation_space(config: ResidualConfig, environment: Environment, work: Path) -> ObservationSpace:
    """The one that `config.observation` names; frames are kept in the folder `work`."""
    if config.observation == "objects":
        return ObjectSpace(config, environment.tabletop_task)
    if config.observation == "privileged":
        return PrivilegedSpace(config, environment)
    cameras = image_cameras(config, environment)
    images = ImageSpace(config, environment, cameras, FrameStore(work, cameras))
    return images if config.observation == "images" else DistilledSpace(config, environment, images)


def image_cameras(config: ResidualConfig, environment: Any) -> CameraSizes:
    """The cameras that `environment` takes the VLA's images with, at the residual's size."""
    return dict.fromkeys(sorted(environment.cameras), (config.images.size, config.images.size))


class ObjectSpace:
    """Object poses with noise and dropout (Eq. 2, 4 and 5)."""

    reenacted_in, frames = None, None

    def __init__(self, config: ResidualConfig, task: TabletopTask) -> None:
        self._config, self._task = config, task
        self._augmentation = config.pose_augmentation()
        self.dim = residual_observation_dim(self._task, config.chunk_phase)

    def observe(
        self,
        ids: np.ndarray,
        deciding: np.ndarray,
        observation: Observation,
        base_action: np.ndarray,
        phase: Phase,
        generator: np.random.Generator,
    ) -> np.ndarray:
        poses, visible = self._augmentation.augment(observation.object_poses, generator, self._task)
        return residual_observation(dataclasses.replace(observation, object_poses=poses), base_action, visible, phase)

    def learner(self, seed: int) -> TD3:
        return TD3(self.dim, self._config, seed)

    def policy(self, weights: dict[str, np.ndarray], largest_delay: int) -> ResidualPolicy:
        return _actor(ResidualPolicy, self._config, weights, largest_delay)


class PrivilegedSpace:
    """True poses without noise or dropout, velocities and contact forces: a teacher's."""

    frames = None

    def __init__(self, config: ResidualConfig, environment: Environment) -> None:
        self.reenacted_in = _placeable(environment)
        self._config, self._state = config, require_privileged_state(environment)
        self.dim = residual_observation_dim(environment.tabletop_task, config.chunk_phase) + self._state.dim

    def observe(
        self,
        ids: np.ndarray,
        deciding: np.ndarray,
        observation: Observation,
        base_action: np.ndarray,
        phase: Phase,
        generator: np.random.Generator,
    ) -> np.ndarray:
        state = np.zeros((len(ids), self._state.dim), np.float32)
        state[deciding] = self._state.read(ids[deciding])
        return privileged_observation(observation, base_action, phase, state)

    def learner(self, seed: int) -> TD3:
        return TD3(self.dim, self._config, seed)

    def policy(self, weights: dict[str, np.ndarray], largest_delay: int) -> PrivilegedPolicy:
        return _actor(PrivilegedPolicy, self._config, weights, largest_delay)


class ImageSpace:
    """The robot's observation and the number of a frame of the declared cameras."""

    def __init__(
        self, config: ResidualConfig, environment: Environment, cameras: CameraSizes, frames: FrameStore
    ) -> None:
        self.reenacted_in = _placeable(environment)
        self._config, self._environment, self.cameras, self.frames = config, environment, cameras, frames
        self._images = images_at(environment, cameras, config.images.look)
        self.robot_dim = robot_observation_dim(config.chunk_phase)
        self.dim = self.robot_dim + 1

    def observe(
        self,
        ids: np.ndarray,
        deciding: np.ndarray,
        observation: Observation,
        base_action: np.ndarray,
        phase: Phase,
        generator: np.random.Generator,
    ) -> np.ndarray:
        rows = np.zeros((len(ids), self.dim), np.float32)
        rows[:, :-1] = robot_observation(observation, base_action, phase)
        if deciding.any():
            rows[deciding, -1] = self.frames.add(self._images(ids[deciding], self._environment.capture))
        return rows

    def learner(self, seed: int) -> ImageTD3:
        return ImageTD3(self.robot_dim, len(self.cameras), self.frames, self._config, seed)

    def policy(self, weights: dict[str, np.ndarray], largest_delay: int) -> ImageResidualPolicy:
        actor = _actor(ResidualPolicy, self._config, weights, largest_delay)
        encoder = {name.removeprefix(PREFIX): value for name, value in weights.items() if name.startswith(PREFIX)}
        return ImageResidualPolicy(actor, encoder, self.cameras, self._config.images.look, self._config.observation)


class DistilledSpace:
    """An image space whose rows end with the residual of a teacher in units of the scale."""

    def __init__(self, config: ResidualConfig, environment: Environment, images: ImageSpace) -> None:
        self._config, self._images = config, images
        self.reenacted_in, self.frames = images.reenacted_in, images.frames
        self._state, self._teacher = require_privileged_state(environment), load_teacher(config, environment)
        self.dim = images.dim + ACTION_DIM

    def observe(
        self,
        ids: np.ndarray,
        deciding: np.ndarray,
        observation: Observation,
        base_action: np.ndarray,
        phase: Phase,
        generator: np.random.Generator,
    ) -> np.ndarray:
        rows = np.zeros((len(ids), self.dim), np.float32)
        rows[:, :-ACTION_DIM] = self._images.observe(ids, deciding, observation, base_action, phase, generator)
        if deciding.any():
            seen = privileged_observation(
                observation.take(np.flatnonzero(deciding)),
                base_action[deciding],
                None if phase is None else phase[deciding],
                self._state.read(ids[deciding]),
            )
            rows[deciding, -ACTION_DIM:] = self._teacher.residual(seen) / self._teacher.scale
        return rows

    def learner(self, seed: int) -> Student:
        images = self._images
        return Student(images.robot_dim, len(images.cameras), images.frames, self._config, seed)

    def policy(self, weights: dict[str, np.ndarray], largest_delay: int) -> ImageResidualPolicy:
        return self._images.policy(weights, largest_delay)


def load_teacher(config: ResidualConfig, environment: Environment) -> PrivilegedPolicy:
    """The residual in the folder `config.teacher`; ValueError or FileNotFoundError that names it and what it must be."""
    folder, where = Path(config.teacher), "train_residual.teacher"
    if not (folder / "config.json").is_file():
        raise FileNotFoundError(
            f"{where} must name the folder of a trained residual, got {folder}, which has no config.json: train one with "
            "observation: privileged, and keep its folder there"
        )
    teacher = load_residual(folder, environment.tabletop_task)
    if not isinstance(teacher, PrivilegedPolicy):
        raise ValueError(
            f"{where} must be a residual with observation: privileged, got another in {folder}: train one first"
        )
    needed = {
        "residual_scale": [float(x) for x in in_action_units(config.residual_scale)],
        "action_repeat": config.action_repeat,
        "chunk_phase": config.chunk_phase,
    }
    found = {
        "residual_scale": [float(x) for x in teacher.scale],
        "action_repeat": teacher.every,
        "chunk_phase": teacher.chunk_phase,
    }
    if wrong := [name for name, value in needed.items() if found[name] != value]:
        name = wrong[0]
        raise ValueError(
            f"{where} must have the student's {name}, {needed[name]}, got {found[name]} in {folder}: train both with the same"
        )
    return teacher


def _placeable(environment: Environment) -> PlaceableEnvironment:
    if not isinstance(environment, PlaceableEnvironment):
        raise ValueError(
            f"cell {environment.cell} must be one that can be put into a recorded state (reset_to), to observe the demonstrations: "
            "train in the simulator, or with observation: objects"
        )
    return environment


def _actor[P: ResidualPolicy](
    kind: type[P], config: ResidualConfig, weights: dict[str, np.ndarray], largest_delay: int
) -> P:
    layers = {name: value for name, value in weights.items() if not name.startswith(PREFIX)}
    scale = in_action_units(config.residual_scale)
    return kind(layers, scale, config.layer_norm, config.action_repeat, largest_delay, config.chunk_phase)
