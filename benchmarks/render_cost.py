"""What an image costs by its size, in the training simulator and in the twin: docs/foundation_vlas.md.

    python -m benchmarks.render_cost [--sizes 64 96 128 224 256] [--batches 1 4 16] [--seconds 2] [--clock cpu]

An image is one camera's of one environment, as a policy gets it: in the twin with sensor noise. The time is the mean over the front
and the wrist camera; of several rounds the quickest counts, since other processes only slow one down. Without a GPU the processor
draws, and its time (all threads) is what an image costs; with one take `--clock wall`.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
from OpenGL import GL

from ocrrl.interface.cameras import DEFAULT_CAMERAS, CameraSizes, checked_cameras
from ocrrl.report.table import Table, markdown_table
from ocrrl.worlds import make_environment

CELLS = ("sim", "twin")
CLOCKS = {"cpu": time.process_time, "wall": time.perf_counter}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=[64, 96, 128, 224, 256], help="height and width [pixel]"
    )
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 4, 16], help="environments rendered in one call")
    parser.add_argument("--seconds", type=float, default=2.0, help="at least so long for each number (2)")
    parser.add_argument("--task", default="cube_lift", help="tabletop task (cube_lift)")
    parser.add_argument(
        "--clock", choices=CLOCKS, default="cpu", help="time of this process's threads, or passed (cpu)"
    )
    options = parser.parse_args()
    rows = []
    for size in options.sizes:
        cameras = checked_cameras(dict.fromkeys(DEFAULT_CAMERAS, (size, size)), "cameras")
        found = [
            milliseconds_an_image(cell, options.task, cameras, batch, options.seconds, CLOCKS[options.clock])
            for cell in CELLS
            for batch in options.batches
        ]
        rows.append((f"{size} x {size}", *(f"{value:.2f}" for value in found)))
    columns = (f"{cell}, {batch}" for cell in CELLS for batch in options.batches)
    print(f"{options.clock} ms an image, by cell and environments in one call; OpenGL: {opengl(options.task)}\n")
    print(markdown_table(Table(("size", *columns), rows)), end="")


def opengl(task: str) -> str:
    """What draws: `llvmpipe` is Mesa in software, on the processor."""
    world = make_environment("sim", task, 1)
    world.capture(np.arange(1))
    name = GL.glGetString(GL.GL_RENDERER) or b"unknown"
    world.close()
    return bytes(name).decode()


def milliseconds_an_image(
    cell: str, task: str, cameras: CameraSizes, batch: int, seconds: float, clock: Callable[[], float]
) -> float:
    """The least time [ms] on `clock` [s] of one image, among rounds of `batch` environments that take `seconds` together."""
    world = make_environment(cell, task, batch, cameras)
    ids = np.arange(batch)
    world.reset(ids, list(range(batch)))
    world.capture(ids)  # makes the context
    rounds: list[float] = []
    while sum(rounds) < seconds:
        begun = clock()
        world.capture(ids)
        rounds.append(clock() - begun)
    world.close()
    return 1e3 * min(rounds) / (batch * len(cameras))


if __name__ == "__main__":
    main()
