"""Images, learned from a teacher's residuals in place of rewards (DAgger)."""

from pathlib import Path
from typing import Any

import numpy as np

from ocrrl import files
from ocrrl.interface.actions import ACTION_DIM
from ocrrl.interface.observations import Observation
from ocrrl.interface.protocols import Environment
from ocrrl.interface.residual_observations import (
    privileged_observation,
    require_privileged_state,
)
from ocrrl.residual.images.distillation import Student
from ocrrl.residual.images.image_policy import ImageResidualPolicy
from ocrrl.residual.observation_spaces.images import ImageSpace
from ocrrl.residual.observation_spaces.space import ChunkFeatures
from ocrrl.residual.residual_config import ResidualConfig, in_action_units
from ocrrl.residual.residual_policy import PrivilegedPolicy, load_residual


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
        chunks: ChunkFeatures,
        generator: np.random.Generator,
    ) -> np.ndarray:
        rows = np.zeros((len(ids), self.dim), np.float32)
        rows[:, :-ACTION_DIM] = self._images.observe(ids, deciding, observation, base_action, chunks, generator)
        if deciding.any():
            seen = privileged_observation(
                observation.take(np.flatnonzero(deciding)),
                base_action[deciding],
                None if chunks is None else chunks[deciding],
                self._state.read(ids[deciding]),
            )
            rows[deciding, -ACTION_DIM:] = self._teacher.residual(seen) / self._teacher.scale
        return rows

    def learner(self, seed: int) -> Student:
        images = self._images
        return Student(images.robot_dim, len(images.cameras), images.frames, self._config, seed)

    def policy(self, weights: dict[str, np.ndarray], largest_delay: int) -> ImageResidualPolicy:
        return self._images.policy(weights, largest_delay)


def described_teacher(config: ResidualConfig) -> dict[str, Any]:
    """For config.json: which teacher a student learned from; nothing for others."""
    folder = Path(config.teacher)
    return {"teacher": {"folder": str(folder), "fingerprint": files.fingerprint(folder)}} if config.teacher else {}


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
        told = teacher.observation if isinstance(teacher, ImageResidualPolicy) else "objects"
        raise ValueError(
            f"{where} must be a residual with observation: privileged, got {told} in {folder}: train one first"
        )
    needed = {
        "residual_scale": [float(x) for x in in_action_units(config.residual_scale)],
        "action_repeat": config.action_repeat,
        "chunk_phase": config.chunk_phase,
        "coming_actions": config.coming_actions,
    }
    found = {
        "residual_scale": [float(x) for x in teacher.scale],
        "action_repeat": teacher.every,
        "chunk_phase": teacher.chunk_phase,
        "coming_actions": teacher.coming_actions,
    }
    if wrong := [name for name, value in needed.items() if found[name] != value]:
        name = wrong[0]
        raise ValueError(
            f"{where} must have the student's {name}, {needed[name]}, got {found[name]} in {folder}: train both with the same"
        )
    return teacher
