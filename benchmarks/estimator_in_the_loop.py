"""Does the twin's success with the residual stay the same when poses come from images, not from the noise model?

    python -m benchmarks.estimator_in_the_loop --tasks cube_lift --episodes 50   # after `dvc repro`; about 5 s an episode

Base + residual from the same held-out initial states, once with the noise model that the stages use, once with the tracker of the
real cell on rendered RGB-D images. The last column says how many of the poses that the policy was shown were off by more than 10 mm
or 10 deg. Printed in Markdown; every number is of a twin.
"""

import argparse
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np

from benchmarks.image_poses import LATENCY_STEPS, ImagePoses
from benchmarks.tracking_tables import errors
from ocrrl.interface.seeds import initial_state_seeds
from ocrrl.interface.tabletop_tasks import TabletopTask
from ocrrl.layout import ROLLED_OUT_SEED, Layout
from ocrrl.perception.tracking.confidence import NEAR_POSITION, NEAR_ROTATION
from ocrrl.report.table import Table, markdown_table
from ocrrl.report.values import percent, points
from ocrrl.robot.twin.twin import TwinCell
from ocrrl.rollouts.control_loop import run_episodes
from ocrrl.rollouts.episode_outcome import EpisodeOutcome
from ocrrl.rollouts.statistics import rate_difference
from ocrrl.sim.environment import SimEnvironment
from ocrrl.tabletop.registry import slugs, tabletop_task
from ocrrl.worlds import make_scene

SOURCES = ("noise model", "images")
PARALLEL = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", choices=slugs(), default=slugs())
    parser.add_argument("--episodes", type=int, default=100)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    calls = [(slug, source, options.episodes) for slug in options.tasks for source in SOURCES]
    with ProcessPoolExecutor(options.processes, get_context("spawn")) as pool:
        found = iter(list(pool.map(outcomes, *zip(*calls, strict=True))))
    rows = [_row(slug, next(found)[0], *next(found)) for slug in options.tasks]
    header = ("twin (simulated)", *SOURCES, "images minus noise model", "poses shown, images", "of these off")
    print(markdown_table(Table(header, rows, text_columns=1)))


class WatchedPoses:
    """Poses from images that are also compared with the true ones; a `robot.twin.twin.TwinPoses`."""

    def __init__(self, task: TabletopTask, world: SimEnvironment) -> None:
        self._task, self._inner = task, ImagePoses(task, world)
        self._true: list[list[np.ndarray]] = [[] for _ in range(world.num_envs)]
        self.shown, self.off = np.zeros(len(task.objects), int), np.zeros(len(task.objects), int)

    def reset(self, ids: np.ndarray, seeds: list[int]) -> None:
        """As `ImagePoses.reset`."""
        self._inner.reset(ids, seeds)
        for env in ids:
            self._true[env] = []

    def start(self, ids: np.ndarray, true_poses: np.ndarray) -> None:
        """As `ImagePoses.start`; the frames that only register are not counted."""
        self._inner.start(ids, true_poses)

    def update(self, ids: np.ndarray, true_poses: np.ndarray) -> None:
        """As `ImagePoses.update`, then count."""
        self._inner.update(ids, true_poses)
        poses, _, visible = self._inner.estimate()
        for env, truth in zip(ids, true_poses, strict=True):
            self._true[env] = [*self._true[env], truth.copy()][-1 - LATENCY_STEPS :]
            for k, tracked in enumerate(self._task.objects):
                if visible[env, k]:
                    # A pose is as old as its frame; that of a held object was carried on with the hand until now.
                    compared = [errors(tracked, poses[env, k], true[k]) for true in self._true[env]]
                    near = any(off < NEAR_POSITION and turned < NEAR_ROTATION for off, turned in compared)
                    self.shown[k] += 1
                    self.off[k] += not near

    def estimate(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """As `ImagePoses.estimate`."""
        return self._inner.estimate()

    def close(self) -> None:
        """As `ImagePoses.close`."""
        self._inner.close()


def outcomes(slug: str, source: str, episodes: int) -> tuple[list[EpisodeOutcome], str]:
    """Held-out episodes of base + residual with poses from `source`, and by object, the share of shown poses that were off."""
    from ocrrl.policies.checkpoint import load_policy
    from ocrrl.residual.residual_policy import load_residual

    task, layout, parallel, watched = tabletop_task(slug), Layout(slug), min(PARALLEL, episodes), []

    def watch(world: SimEnvironment) -> WatchedPoses:
        watched.append(WatchedPoses(task, world))
        return watched[0]

    world = TwinCell(make_scene(slug), parallel, make_poses=watch if source == "images" else None)
    base = load_policy(layout.vla("real"), task.instruction, parallel)
    residual = load_residual(layout.residual(ROLLED_OUT_SEED), task)
    found = run_episodes(world, base, residual, initial_state_seeds("test", episodes), keep_traces=True)
    off = [
        f"{tracked.name} {poses.off[k] / max(poses.shown[k], 1):.2%} of {poses.shown[k]}"
        for poses in watched
        for k, tracked in enumerate(task.objects)
    ]
    return found, ", ".join(off)


def _row(slug: str, noisy: list[EpisodeOutcome], seen: list[EpisodeOutcome], off: str) -> tuple[str, ...]:
    difference = dict(rate_difference(noisy, seen))
    rates = [percent(float(np.mean([o.success for o in variant]))) for variant in (noisy, seen)]
    shown = float(np.mean(np.concatenate([o.trace.object_visible.ravel() for o in seen if o.trace])))
    return slug, *rates, points(difference), percent(shown), off


if __name__ == "__main__":
    main()
