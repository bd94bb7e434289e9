"""What the gate on poses is worth when tracking goes wrong, provoked on the twin (appendix A.11's failure modes among them).

    python -m benchmarks.pose_gate --tasks cube_lift --episodes 100     # after `dvc repro`; about a minute a column

Base + residual from the same held-out initial states, the twin's noise model made to fail in one way an episode, with the
gate (`ocrrl.perception.tracking.pose_gate`, `rollouts.lost_objects`) and without. Every provoked pose claims a
confidence of 0.9, but for those that are lost. Printed in Markdown; every number is of a twin.
"""

import argparse
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np

from ocrrl.interface.actions import CONTROL_HZ
from ocrrl.interface.observations import CONFIDENCE_THRESHOLD
from ocrrl.interface.protocols import PoseEstimate
from ocrrl.interface.seeds import initial_state_seeds
from ocrrl.interface.tabletop_tasks import TabletopTask
from ocrrl.layout import ROLLED_OUT_SEED, Layout
from ocrrl.perception.tracking.pose_gate import PoseGate
from ocrrl.report.table import Table, markdown_table
from ocrrl.report.values import percent, points
from ocrrl.robot.twin.noisy_tracker import NoisyPoses
from ocrrl.robot.twin.twin import TwinCell
from ocrrl.rollouts.control_loop import run_episodes
from ocrrl.rollouts.episode_outcome import EpisodeOutcome
from ocrrl.rollouts.lost_objects import LOST_STEPS
from ocrrl.rollouts.statistics import rate_difference
from ocrrl.sim.environment import SimEnvironment
from ocrrl.tabletop.registry import slugs, tabletop_task
from ocrrl.worlds import make_scene

PARALLEL = 25
CLAIMED = 0.9
SIDEWAYS = np.array([0.0, 0.12, 0.0])  # [m] to the wrong object
OFF = np.array([0.03, 0.0, 0.0])  # [m] of a pose that is wrong all along
CLOSED = 0.06  # [m] between fingers that hold something

Provocation = Callable[[PoseEstimate, PoseEstimate | None, int, float], PoseEstimate]
"""An estimate, the one before it, the control step and the gripper's width [m] to the estimate as it goes wrong."""


def nothing(estimate: PoseEstimate, before: PoseEstimate | None, step: int, width: float) -> PoseEstimate:
    """The noise model as it is."""
    return estimate


def stall(estimate: PoseEstimate, before: PoseEstimate | None, step: int, width: float) -> PoseEstimate:
    """The tracker hangs for two seconds, one second into the episode."""
    return before if before is not None and 20 <= step < 60 else estimate


def wrong_object(estimate: PoseEstimate, before: PoseEstimate | None, step: int, width: float) -> PoseEstimate:
    """For half a second every second the first object is taken for another that stands 12 cm aside (A.11)."""
    return _moved(estimate, SIDEWAYS) if step % 20 >= 10 and step >= 10 else estimate


def occlusion(estimate: PoseEstimate, before: PoseEstimate | None, step: int, width: float) -> PoseEstimate:
    """The fingers hide what they hold (A.11)."""
    lost = np.where(width < CLOSED, 0.0, estimate.confidence)
    return PoseEstimate(estimate.captured, estimate.poses, lost)


def lasting_loss(estimate: PoseEstimate, before: PoseEstimate | None, step: int, width: float) -> PoseEstimate:
    """Nothing is seen after the first second."""
    return estimate if step < 20 else PoseEstimate(estimate.captured, estimate.poses, 0.0 * estimate.confidence)


def pose_error(estimate: PoseEstimate, before: PoseEstimate | None, step: int, width: float) -> PoseEstimate:
    """The first object's pose is 3 cm off all along, and nothing in it says so (A.11)."""
    return _moved(estimate, OFF)


PROVOCATIONS = {
    "none": nothing,
    "tracker hangs for 2 s": stall,
    "wrong object, half of the time": wrong_object,
    "hidden while grasped": occlusion,
    "lost after 1 s": lasting_loss,
    "3 cm off all along": pose_error,
}


class ProvokedPoses:
    """A `robot.twin.twin.TwinPoses`: the noise model, made to fail, behind a gate or none."""

    def __init__(self, task: TabletopTask, world: SimEnvironment, provoke: Provocation, gated: bool) -> None:
        n, objects = world.num_envs, len(task.objects)
        self._noise, self._world, self._provoke = NoisyPoses(task, n), world, provoke
        self._gates = [PoseGate() for _ in range(n)] if gated else None
        self._steps = np.zeros(n, int)
        self._before: list[PoseEstimate | None] = [None] * n
        self._poses, self._confidence = np.zeros((n, objects, 7)), np.zeros((n, objects))
        self._visible = np.zeros((n, objects), bool)

    def reset(self, ids: np.ndarray, seeds: list[int]) -> None:
        self._noise.reset(ids, seeds)
        self._steps[ids] = 0
        for env in ids:
            self._before[env] = None
            if self._gates:
                self._gates[env].reset()

    def start(self, ids: np.ndarray, true_poses: np.ndarray) -> None:
        self._noise.start(ids, true_poses)
        self._look(ids)

    def update(self, ids: np.ndarray, true_poses: np.ndarray) -> None:
        self._noise.update(ids, true_poses)
        self._steps[ids] += 1
        self._look(ids)

    def estimate(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self._poses.copy(), self._confidence.copy(), self._visible.copy()

    def _look(self, ids: np.ndarray) -> None:
        (poses, confidence, _), state = self._noise.estimate(), self._world.true_state()
        for env in ids:
            now, width = float(self._steps[env]) / CONTROL_HZ, float(state.gripper_width[env])
            seen = PoseEstimate(now, poses[env], confidence[env])
            seen = self._provoke(seen, self._before[env], int(self._steps[env]), width)
            self._before[env] = seen
            shown = (seen.poses, seen.confidence >= CONFIDENCE_THRESHOLD)
            if self._gates:
                shown = self._gates[env].filter(seen, now, state.gripper_pose[env], width)
            self._poses[env], self._visible[env] = shown
            self._confidence[env] = seen.confidence


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", choices=slugs(), default=("cube_lift",))
    parser.add_argument("--episodes", type=int, default=100)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    calls = [
        (slug, name, gated, options.episodes)
        for slug in options.tasks
        for name in PROVOCATIONS
        for gated in (False, True)
    ]
    with ProcessPoolExecutor(options.processes, get_context("spawn")) as pool:
        found = iter(list(pool.map(outcomes, *zip(*calls, strict=True))))
    rows = [_row(slug, name, next(found), next(found)) for slug in options.tasks for name in PROVOCATIONS]
    header = ("twin (simulated)", "failure", "without the gate", "with it", "difference")
    print(markdown_table(Table(header, rows, text_columns=2)))


def outcomes(slug: str, provocation: str, gated: bool, episodes: int) -> list[EpisodeOutcome]:
    """Held-out episodes of base + residual."""
    from ocrrl.policies.checkpoint import load_policy
    from ocrrl.residual.residual_policy import load_residual

    task, layout, parallel = tabletop_task(slug), Layout(slug), min(PARALLEL, episodes)
    provoke = PROVOCATIONS[provocation]
    world = TwinCell(make_scene(slug), parallel, make_poses=lambda inner: ProvokedPoses(task, inner, provoke, gated))
    base = load_policy(layout.vla("real"), task.instruction, parallel)
    residual = load_residual(layout.residual(ROLLED_OUT_SEED), task)
    seeds = initial_state_seeds("test", episodes)
    return run_episodes(world, base, residual, seeds, lost_steps=LOST_STEPS if gated else task.horizon)


def _moved(estimate: PoseEstimate, offset: np.ndarray) -> PoseEstimate:
    poses, confidence = estimate.poses.copy(), estimate.confidence.copy()
    poses[0, :3] += offset
    confidence[0] = CLAIMED
    return PoseEstimate(estimate.captured, poses, confidence)


def _row(slug: str, name: str, without: list[EpisodeOutcome], gated: list[EpisodeOutcome]) -> tuple[str, ...]:
    rates = [percent(float(np.mean([o.success for o in arm]))) for arm in (without, gated)]
    return slug, name, *rates, points(dict(rate_difference(without, gated)))


if __name__ == "__main__":
    main()
