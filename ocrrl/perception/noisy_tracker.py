"""A pose tracker's errors, simulated: the twin's stand-in for an estimator on real images.

Unlike the training augmentation (Eq. 4-5), whose noise is fresh at every step, these errors last: a bias held for the
episode, drift, latency and bursts in which the object is lost. Legend: N environments, O tracked objects.
"""

from dataclasses import dataclass

import numpy as np

from ocrrl.interface import poses, rotations
from ocrrl.interface.actions import CONTROL_HZ
from ocrrl.interface.observations import CONFIDENCE_THRESHOLD
from ocrrl.interface.tabletop_tasks import TabletopTask


@dataclass(frozen=True)
class TrackerErrors:
    """Sizes of the errors: metres, radians, seconds; each maximum is the end of a uniform range from zero."""

    max_bias: float = 0.004
    max_rotation_bias: float = float(np.deg2rad(4.0))
    max_drift: float = 0.002
    max_jitter: float = 0.005
    max_rotation_jitter: float = 0.1
    latency: tuple[float, float] = (0.05, 0.10)
    lost_episodes: float = 1 / 3
    """Share of the episodes in which a burst loses the object."""
    lost_for: tuple[float, float] = (0.2, 1.0)
    lost_before: float = 4.0
    """Bursts begin within this time from the episode's start."""


class NoisyPoseTracker:
    """Implements `interface.protocols.PoseTracker` on true poses that `update` is fed with once a control step."""

    def __init__(self, task: TabletopTask, num_envs: int, errors: TrackerErrors | None = None):
        self._task, self._errors = task, errors or TrackerErrors()
        n, o = num_envs, len(task.objects)
        self._history_length = int(np.ceil(self._errors.latency[1] * CONTROL_HZ)) + 1
        self._history = np.zeros((n, self._history_length, o, 7))
        self._generators = [np.random.default_rng(0) for _ in range(n)]
        self._bias, self._rotation_bias = np.zeros((n, o, 3)), np.zeros((n, o, 3))
        self._drift = np.zeros((n, o, 3))
        self._latency, self._step = np.zeros(n, int), np.zeros(n, int)
        self._lost = np.zeros((n, 2), int)  # first step of the burst and the step after its last
        self._estimate = np.zeros((n, o, 7))
        self._confidence = np.zeros((n, o))
        self._reference = np.zeros(
            (n, o, 4)
        )  # the last confident orientation: an estimate gone astray must not move it

    def reset(self, ids: np.ndarray, seeds: list[int]) -> None:
        """Draw the errors of new episodes; call `start` with the first true poses next."""
        errors, o = self._errors, len(self._task.objects)
        for env, seed in zip(ids, seeds, strict=True):
            generator = self._generators[env] = np.random.default_rng([seed, 2])
            self._bias[env] = _directions(generator, o) * generator.uniform(0, errors.max_bias, (o, 1))
            self._rotation_bias[env] = _directions(generator, o) * generator.uniform(
                0, errors.max_rotation_bias, (o, 1)
            )
            self._drift[env], self._step[env] = 0.0, 0
            self._latency[env] = round(generator.uniform(*errors.latency) * CONTROL_HZ)
            first = generator.integers(0, int(errors.lost_before * CONTROL_HZ))
            lasting = round(generator.uniform(*errors.lost_for) * CONTROL_HZ)
            lost = generator.random() < errors.lost_episodes
            self._lost[env] = (first, first + lasting) if lost else (0, 0)

    def start(self, ids: np.ndarray, true_poses: np.ndarray) -> None:
        """Register the objects: `true_poses` (n, O, 7) at the episodes' start fill the history."""
        self._history[ids] = true_poses[:, None]
        for index, tracked in enumerate(self._task.objects):
            self._reference[ids, index] = np.asarray(tracked.reference_quaternion)
        self._measure(ids)

    def update(self, ids: np.ndarray, true_poses: np.ndarray) -> None:
        """One control step later the objects are at `true_poses` (n, O, 7)."""
        self._history[ids] = np.roll(self._history[ids], 1, axis=1)
        self._history[ids, 0] = true_poses
        self._step[ids] += 1
        self._measure(ids)

    def estimate(self) -> tuple[np.ndarray, np.ndarray]:
        return self._estimate.copy(), self._confidence.copy()

    def _measure(self, ids: np.ndarray) -> None:
        for env in ids:
            generator, errors = self._generators[env], self._errors
            o = len(self._task.objects)
            pull = generator.normal(scale=0.1 * errors.max_drift, size=(o, 3))
            self._drift[env] = np.clip(self._drift[env] + pull, -errors.max_drift, errors.max_drift)
            jitter_scale = generator.uniform(0, errors.max_jitter, (o, 1))
            jitter = generator.uniform(-1, 1, (o, 3)) * jitter_scale
            rotation_scale = generator.uniform(0, errors.max_rotation_jitter, (o, 1))
            turn = _directions(generator, o) * generator.uniform(-1, 1, (o, 1)) * rotation_scale
            offset = self._bias[env] + self._drift[env] + jitter
            turn = turn + self._rotation_bias[env]
            doubt = generator.normal(scale=0.04, size=o)

            first, after = self._lost[env]
            if first <= self._step[env] < after:
                offset = offset + generator.normal(scale=0.03, size=(o, 3))
                turn = turn + generator.normal(scale=0.3, size=(o, 3))
            truth = self._history[env, self._latency[env]]
            offset, turn = self._task.restrict_errors(truth[:, 3:], offset, turn)
            quaternion = rotations.multiply(truth[:, 3:], rotations.from_rotation_vector(turn))
            for index, tracked in enumerate(self._task.objects):
                self._estimate[env, index, :3] = truth[index, :3] + offset[index]
                self._estimate[env, index, 3:] = poses.canonical_quaternion(
                    quaternion[index], tracked.symmetry, self._reference[env, index]
                )
            wrong = np.linalg.norm(offset, axis=-1) / 0.02 + np.linalg.norm(turn, axis=-1) / 0.5
            self._confidence[env] = np.clip(1.0 - 0.5 * wrong + doubt, 0.0, 1.0)
            confident = self._confidence[env] >= CONFIDENCE_THRESHOLD
            self._reference[env, confident] = self._estimate[env, confident, 3:]


def _directions(generator: np.random.Generator, count: int) -> np.ndarray:
    """Unit vectors (count, 3), uniform on the sphere."""
    vectors = generator.normal(size=(count, 3))
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
