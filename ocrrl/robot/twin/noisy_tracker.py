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


class NoisyPoses:
    """A `robot.twin.twin.TwinPoses`: the true poses that `update` is given once a control step, with these errors."""

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

    def estimate(self) -> tuple[np.ndarray, np.ndarray, None]:
        return self._estimate.copy(), self._confidence.copy(), None

    def _measure(self, ids: np.ndarray) -> None:
        errors, (first, after) = self._errors, self._lost[ids].T
        lost = (first <= self._step[ids]) & (self._step[ids] < after)
        pull, jitter, turn, doubt, astray = self._draw(ids, lost)
        self._drift[ids] = np.clip(self._drift[ids] + pull, -errors.max_drift, errors.max_drift)
        offset = self._bias[ids] + self._drift[ids] + jitter + astray[..., :3]
        turn = turn + self._rotation_bias[ids] + astray[..., 3:]

        truth = self._history[ids, self._latency[ids]]
        offset, turn = self._task.restrict_errors(truth[..., 3:], offset, turn)
        quaternion = rotations.multiply(truth[..., 3:], rotations.from_rotation_vector(turn))
        self._estimate[ids, :, :3] = truth[..., :3] + offset
        for index, tracked in enumerate(self._task.objects):
            self._estimate[ids, index, 3:] = poses.canonical_quaternion(
                quaternion[:, index], tracked.symmetry, self._reference[ids, index]
            )
        wrong = np.linalg.norm(offset, axis=-1) / 0.02 + np.linalg.norm(turn, axis=-1) / 0.5
        confidence = self._confidence[ids] = np.clip(1.0 - 0.5 * wrong + doubt, 0.0, 1.0)
        confident = confidence[..., None] >= CONFIDENCE_THRESHOLD
        self._reference[ids] = np.where(confident, self._estimate[ids, :, 3:], self._reference[ids])

    def _draw(self, ids: np.ndarray, lost: np.ndarray) -> tuple[np.ndarray, ...]:
        """What is new at this step: drift, jitter and turn (n, O, 3), doubt (n, O), and how far astray (n, O, 6) if `lost`.

        An episode's errors follow from its seed, so the order of these draws is kept.
        """
        errors, n, o = self._errors, len(ids), len(self._task.objects)
        pull, direction = np.empty((n, o, 3)), np.empty((n, o, 3))
        evenly, angle = np.empty((n, 5 * o)), np.empty((n, o, 1))
        doubt, astray = np.empty((n, o)), np.zeros((n, 2, o, 3))
        for row, env in enumerate(ids):
            generator = self._generators[env]
            generator.standard_normal(out=pull[row])
            generator.random(out=evenly[row])
            generator.standard_normal(out=direction[row])
            generator.random(out=angle[row])
            generator.standard_normal(out=doubt[row])
            if lost[row]:
                generator.standard_normal(out=astray[row])
        jitter_scale, jitter, turn_scale = np.split(evenly, (o, 4 * o), axis=-1)
        return (
            0.1 * errors.max_drift * pull,
            (-1.0 + 2.0 * jitter.reshape(n, o, 3)) * (errors.max_jitter * jitter_scale[..., None]),
            _unit(direction) * (-1.0 + 2.0 * angle) * (errors.max_rotation_jitter * turn_scale[..., None]),
            0.04 * doubt,
            np.concatenate([0.03 * astray[:, 0], 0.3 * astray[:, 1]], axis=-1),
        )


def _directions(generator: np.random.Generator, count: int) -> np.ndarray:
    """Unit vectors (count, 3), uniform on the sphere."""
    return _unit(generator.normal(size=(count, 3)))


def _unit(vectors: np.ndarray) -> np.ndarray:
    """`vectors` (..., 3) scaled to length 1."""
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
