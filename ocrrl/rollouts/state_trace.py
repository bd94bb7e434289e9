"""The true course of episodes, for judging what went wrong in them. T control steps, O tracked objects."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Protocol

import numpy as np
from jaxtyping import Float32

from ocrrl.interface.observations import Observation
from ocrrl.interface.protocols import Capture, Environment, StepResult
from ocrrl.rollouts.episode_outcome import EpisodeOutcome


@dataclass(frozen=True)
class StateTrace:
    """One episode; a row is the state before a control step and what was done in that step. Robot base frame, wxyz."""

    gripper_pose: Float32[np.ndarray, "T 7"]
    """Measured."""
    commanded_pose: Float32[np.ndarray, "T 7"]
    gripper_width: Float32[np.ndarray, " T"]
    """Distance between the fingers [m]."""
    object_poses: Float32[np.ndarray, "T O 7"]
    """As they are, not as a tracker gives them."""
    action: Float32[np.ndarray, "T 7"]
    """Base and residual composed."""
    residual: Float32[np.ndarray, "T 7"]
    """Zero where no residual ran."""

    def __len__(self) -> int:
        return len(self.action)


class TrueState(Protocol):
    """Of N environments."""

    @property
    def object_poses(self) -> np.ndarray: ...


class KnowsTrueState(Environment, Protocol):
    """A simulated environment, which knows where its objects are."""

    def true_state(self) -> TrueState: ...


class StateRecorder:
    """An observer of the control loop; `traces` holds the course of every finished episode by seed."""

    def __init__(self, environment: KnowsTrueState) -> None:
        self.traces: dict[int, StateTrace] = {}
        self.environment = environment
        self._seeds: dict[int, int] = {}
        self._rows: dict[int, list[tuple[np.ndarray, ...]]] = {}

    def begin(self, ids: np.ndarray, seeds: Sequence[int]) -> None:
        self._seeds = {int(env): seed for env, seed in zip(ids, seeds, strict=True)}
        self._rows = {env: [] for env in self._seeds}

    def before_step(
        self,
        ids: np.ndarray,
        observation: Observation,
        capture: Capture,
        base_action: np.ndarray,
        residual: np.ndarray,
        action: np.ndarray,
    ) -> None:
        columns = (
            observation.gripper_pose,
            observation.commanded_pose,
            observation.gripper_width,
            self.environment.true_state().object_poses[ids],
            action,
            residual,
        )
        for row, env in enumerate(ids.tolist()):
            self._rows[env].append(tuple(np.array(column[row], np.float32) for column in columns))

    def after_step(self, ids: np.ndarray, result: StepResult) -> None:
        pass

    def end(self, outcomes: Sequence[EpisodeOutcome]) -> None:
        for env, seed in self._seeds.items():
            columns = zip(*self._rows[env], strict=True)
            names = (field.name for field in fields(StateTrace))
            self.traces[seed] = StateTrace(**{name: np.stack(c) for name, c in zip(names, columns, strict=True)})
