"""What an image costs by its size, in the simulator (plain, realistic) and in the twin: docs/cameras.md, docs/looks.md.

    python -m benchmarks.render_cost [--sizes 64 96 128 224 256] [--batches 1 4 16] [--seconds 2] [--clock cpu]

An image is one camera's of one environment, as a policy gets it: in the twin with sensor noise. The time is the mean over the front
and the wrist camera; of several rounds, which the columns take in turn, the quickest counts, since other processes only slow one
down. Without a GPU the processor draws, and its time (all threads) is what an image costs; with one take `--clock wall`.
"""

import argparse
import time
from collections.abc import Callable, Sequence

import numpy as np
from OpenGL import GL

from ocrrl.interface.cameras import DEFAULT_CAMERAS, CameraSizes, checked_cameras
from ocrrl.report.table import Table, markdown_table
from ocrrl.sim.environment import SimEnvironment
from ocrrl.worlds import make_simulator, make_twin

LOOKS = ("plain", "realistic", "twin")
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
        costs = milliseconds_an_image(options.task, cameras, options.batches, options.seconds, CLOCKS[options.clock])
        found = [costs[look, batch] for look in LOOKS for batch in options.batches]
        rows.append((f"{size} x {size}", *(f"{value:.2f}" for value in found)))
    columns = (f"{look}, {batch}" for look in LOOKS for batch in options.batches)
    print(f"{options.clock} ms an image, by look and environments in one call; OpenGL: {opengl(options.task)}\n")
    print(markdown_table(Table(("size", *columns), rows)), end="")


def opengl(task: str) -> str:
    """What draws: `llvmpipe` is Mesa in software, on the processor."""
    world = make_simulator(task, 1)
    world.capture(np.arange(1))
    name = GL.glGetString(GL.GL_RENDERER) or b"unknown"
    world.close()
    return bytes(name).decode()


def milliseconds_an_image(
    task: str, cameras: CameraSizes, batches: Sequence[int], seconds: float, clock: Callable[[], float]
) -> dict[tuple[str, int], float]:
    """The least time [ms] on `clock` [s] of an image by look and batch, among rounds that take `seconds` together for each."""
    worlds = {
        (look, batch): make_twin(task, batch, cameras)
        if look == "twin"
        else make_simulator(task, batch, cameras=cameras, look=look)
        for look in LOOKS
        for batch in batches
    }
    rounds = {key: list[float]() for key in worlds}
    for (_, batch), world in worlds.items():
        world.reset(np.arange(batch), list(range(batch)))
    while under_way := [key for key, taken in rounds.items() if sum(taken) < seconds]:
        for look, batch in under_way:
            world = worlds[look, batch]
            ids = np.arange(batch)
            begun = clock()
            if isinstance(world, SimEnvironment):
                world.capture_at(ids, cameras)
            else:
                world.capture(ids)
            rounds[look, batch].append(clock() - begun)
    for world in worlds.values():
        world.close()
    return {key: 1e3 * min(taken) / (key[1] * len(cameras)) for key, taken in rounds.items()}


if __name__ == "__main__":
    main()
