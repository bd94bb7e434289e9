"""Records chosen episodes of the control loop as episodes of the dataset format, with base action and residual."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np

from ocrrl import files
from ocrrl.episodes.episode_recorder import EpisodeRecorder
from ocrrl.interface.episode import Episode, EpisodeAttributes
from ocrrl.interface.observations import Images, Observation
from ocrrl.interface.protocols import Capture, Environment, Interruptible, Policy, StepResult
from ocrrl.rollouts.episode_outcome import EpisodeOutcome


class RolloutRecorder:
    """An observer that keeps the episodes of `seeds`; `episodes` holds the finished ones by seed."""

    def __init__(
        self,
        environment: Environment,
        operator: str,
        calibration: Mapping | None = None,
        versions: Mapping[str, str] | None = None,
        folder: Path | None = None,
        demonstrated: bool = False,
        policy: Policy | None = None,
        plan: str | None = None,
    ) -> None:
        """`operator` names who acted; `folder` is where the episodes will be written: no room there ends one at its first step.

        An episode that was `demonstrated` holds neither base action nor residual. Rows are marked in which somebody acted in
        place of `policy`, if it is `Interruptible`. `plan` is the hash of the plan that the episodes belong to.
        """
        self.seeds: Collection[int] = ()
        self.episodes: dict[int, Episode] = {}
        self._environment, self._operator = environment, operator
        self._calibration, self._versions, self._plan = calibration or {}, versions or {}, plan
        self._rows, self._folder = EpisodeRecorder(environment.num_envs), folder
        self._demonstrated, self._interruptible = demonstrated, policy if isinstance(policy, Interruptible) else None
        self._running: dict[int, int] = {}
        self._before: tuple[Images, Observation, np.ndarray, np.ndarray, np.ndarray] | None = None

    def begin(self, ids: np.ndarray, seeds: list[int]) -> None:
        self._running = {int(env): seed for env, seed in zip(ids, seeds, strict=True) if seed in self.seeds}
        self._rows.begin(self._running)

    def before_step(
        self,
        ids: np.ndarray,
        observation: Observation,
        capture: Capture,
        base_action: np.ndarray,
        residual: np.ndarray,
        action: np.ndarray,
    ) -> None:
        rows = self._recorded(ids)
        if len(rows):
            images = capture(ids[rows])
            if self._folder is not None and not any(self._rows.length(env) for env in self._running):
                needed = self._environment.tabletop_task.horizon * sum(frames.nbytes for frames in images.values())
                files.require_room(self._folder, needed, "an episode up to the horizon")
            self._before = images, observation.take(rows), action, base_action[rows], residual[rows]

    def after_step(self, ids: np.ndarray, result: StepResult) -> None:
        """Only now is it known what was applied."""
        rows = self._recorded(ids)
        if len(rows) and self._before is not None:
            images, observation, action, base_action, residual = self._before
            asked = () if self._demonstrated else (base_action, residual)
            marks = self._interruptible.interrupted(ids[rows]) if self._interruptible else None
            applied = result.applied(action)[rows]
            self._rows.append(ids[rows].tolist(), images, observation, applied, *asked, intervention=marks)

    def end(self, outcomes: list[EpisodeOutcome]) -> None:
        by_seed = {outcome.seed: outcome for outcome in outcomes}
        for env, seed in self._running.items():
            self.episodes[seed] = self._rows.finish(env, self._attributes(by_seed[seed]))

    def unfinished(self) -> dict[int, Episode]:
        """By seed, the episodes in progress as far as they came, failures: what is left of a loop that ended in an error."""
        begun = {env: seed for env, seed in self._running.items() if self._rows.length(env)}
        outcomes = {env: EpisodeOutcome(seed, False, self._rows.length(env), 0.0) for env, seed in begun.items()}
        return {begun[env]: self._rows.finish(env, self._attributes(outcome)) for env, outcome in outcomes.items()}

    def _recorded(self, ids: np.ndarray) -> np.ndarray:
        """Which of the rows `ids` (n,) are environments whose episode is kept."""
        return np.array([row for row, env in enumerate(ids) if int(env) in self._running], int)

    def _attributes(self, outcome: EpisodeOutcome) -> EpisodeAttributes:
        calibration, versions, seed = self._calibration, self._versions, outcome.seed
        attributes = episode_attributes(self._environment, self._operator, outcome.success, seed, calibration, versions)
        return attributes if self._plan is None else replace(attributes, plan=self._plan)


def episode_attributes(
    environment: Environment, operator: str, success: bool, seed: int, calibration: Mapping, versions: Mapping[str, str]
) -> EpisodeAttributes:
    """Of an episode that was recorded in `environment`."""
    task = environment.tabletop_task
    return EpisodeAttributes(
        tabletop_task=task.slug,
        instruction=task.instruction,
        operator=operator,
        cell=environment.cell,
        success=success,
        seed=seed,
        calibration=dict(calibration),
        versions=dict(versions),
        object_names=tuple(tracked.name for tracked in task.objects),
    )


def package_versions() -> dict[str, str]:
    """Library versions by package name, for the attributes of a recording."""
    return {name: version(name) for name in ("ocrrl", "mujoco", "numpy", "franky-sim")}
