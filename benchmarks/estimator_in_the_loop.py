"""Does the twin's success with the residual stay the same when poses come from pictures, not from the noise model?

    python -m benchmarks.estimator_in_the_loop --tasks cube_lift --episodes 50   # after `dvc repro`; about 5 s an episode

Base + residual from the same held-out initial states, once with the noise model that the stages use, once with the tracker of the
real cell on rendered RGB-D pictures. Printed in Markdown; every number is of a twin.
"""

import argparse
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np

from ocrrl.interface.seeds import initial_state_seeds
from ocrrl.interface.tabletop_tasks import TABLETOP_TASKS, tabletop_task
from ocrrl.layout import ROLLED_OUT_SEED, Layout
from ocrrl.report.table import Table, markdown_table
from ocrrl.report.values import percent, points
from ocrrl.robot.twin import TwinCell
from ocrrl.rollouts.control_loop import run_episodes
from ocrrl.rollouts.episode_outcome import EpisodeOutcome
from ocrrl.rollouts.statistics import rate_difference
from ocrrl.worlds import make_scene

SOURCES = ("noise model", "pictures")
PARALLEL = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", choices=tuple(TABLETOP_TASKS), default=tuple(TABLETOP_TASKS))
    parser.add_argument("--episodes", type=int, default=100)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    calls = [(slug, source, options.episodes) for slug in options.tasks for source in SOURCES]
    with ProcessPoolExecutor(options.processes, get_context("spawn")) as pool:
        found = iter(list(pool.map(outcomes, *zip(*calls, strict=True))))
    rows = [_row(slug, next(found), next(found)) for slug in options.tasks]
    header = ("twin (simulated)", *SOURCES, "pictures minus noise model", "poses shown, pictures")
    print(markdown_table(Table(header, rows, text_columns=1)))


def outcomes(slug: str, source: str, episodes: int) -> list[EpisodeOutcome]:
    """Held-out episodes of base + residual with poses from `source`."""
    from ocrrl.policies.checkpoint import load_vla
    from ocrrl.policies.chunked_policy import ChunkedPolicy
    from ocrrl.residual.residual_policy import load_residual
    from ocrrl.robot.picture_poses import PicturePoses

    task, layout, parallel = tabletop_task(slug), Layout(slug), min(PARALLEL, episodes)
    maker = (lambda world: PicturePoses(task, world)) if source == "pictures" else None
    world = TwinCell(make_scene(slug), parallel, make_tracker=maker)
    base = ChunkedPolicy(load_vla(layout.vla("real")), task.instruction, parallel)
    residual = load_residual(layout.residual(ROLLED_OUT_SEED), task)
    return run_episodes(world, base, residual, initial_state_seeds("test", episodes), keep_traces=True)


def _row(slug: str, noisy: list[EpisodeOutcome], seen: list[EpisodeOutcome]) -> tuple[str, ...]:
    difference = dict(rate_difference(noisy, seen))
    rates = [percent(float(np.mean([o.success for o in arm]))) for arm in (noisy, seen)]
    shown = float(np.mean(np.concatenate([o.trace.object_visible.ravel() for o in seen if o.trace])))
    return slug, *rates, points(difference), percent(shown)


if __name__ == "__main__":
    main()
