"""The control loop on the wire twin, timed: does it keep its pace, and how much of a control step is our own?

    python -m benchmarks.wire_twin --episodes 20      # after `dvc repro train_residual@cube_lift-0 finetune@cube_lift-real`

Base + residual through franky and the RealSense library over loopback, poses from pictures. Times are of this machine, which
simulates the arm and renders the cameras beside it: run it with nothing else. No robot moves.
"""

import argparse
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np

from ocrrl.interface.seeds import initial_state_seeds
from ocrrl.interface.tabletop_tasks import tabletop_task
from ocrrl.layout import ROLLED_OUT_SEED, WORK, Layout
from ocrrl.report.table import Table, markdown_table
from ocrrl.robot.arm import Applied, ArmCommand
from ocrrl.robot.arm_environment import ArmEnvironment
from ocrrl.robot.safety_gate import SafetyGate
from ocrrl.rollouts.control_loop import run_episodes
from ocrrl.worlds import make_scene


class Stopwatch:
    """Wall and CPU seconds of each call of the functions that it is put around."""

    def __init__(self) -> None:
        self.times: dict[str, list[tuple[float, float]]] = {}

    def around[**P, R](self, name: str, function: Callable[P, R]) -> Callable[P, R]:
        """`function`, timed under `name`."""
        taken = self.times.setdefault(name, [])

        def timed(*arguments: P.args, **options: P.kwargs) -> R:
            wall, cpu = time.perf_counter(), time.thread_time()
            try:
                return function(*arguments, **options)
            finally:
                taken.append((time.perf_counter() - wall, time.thread_time() - cpu))

        return timed


class TimedGate:
    """Times `command`, and notes how old each command was when the gate had let it through."""

    def __init__(self, gate: SafetyGate, stopwatch: Stopwatch) -> None:
        self._command, self._now = stopwatch.around("command through the gate", gate.command), gate.now
        self.ages: list[float] = []
        gate.command = self.command

    def command(self, command: ArmCommand) -> Applied:
        applied = self._command(command)
        if applied.command is not None:
            self.ages.append(self._now() - command.issued)
        return applied


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=20)
    parser.add_argument("--task", default="cube_lift")
    options = parser.parse_args()

    from ocrrl.policies.checkpoint import load_vla
    from ocrrl.policies.chunked_policy import ChunkedPolicy
    from ocrrl.residual.residual_policy import load_residual
    from ocrrl.robot.cell_file import read_cell_file
    from ocrrl.robot.wire_twin.wire_twin import CELL_FILE, open_wire_twin

    task, layout, stopwatch = tabletop_task(options.task), Layout(options.task), Stopwatch()
    base = ChunkedPolicy(load_vla(layout.vla("real")), task.instruction, 1)
    residual = load_residual(layout.residual(ROLLED_OUT_SEED), task)
    residual.residual = stopwatch.around("actor forward", residual.residual)
    base.act = stopwatch.around("base policy (VLA every few steps)", base.act)
    file, logs = read_cell_file(CELL_FILE), WORK / "cells" / "wire_twin"
    with closing(open_wire_twin(make_scene(task.slug), logs, time.time, file)) as cell:
        gate = TimedGate(cell.gate, stopwatch)
        cell.observe = stopwatch.around("observe", cell.observe)
        successes, lengths = 0, []
        for seed in initial_state_seeds("test", options.episodes):
            (outcome,) = run_episodes(cell, base, residual, [seed])
            successes += outcome.success
            lengths.append(outcome.steps)
            ending = outcome.aborted.why if outcome.aborted else "success" if outcome.success else "failure"
            print(f"{seed}: {ending}, {outcome.steps} steps", flush=True)
        report(cell, gate, stopwatch, successes, options.episodes, Path(options.task))


def report(
    cell: ArmEnvironment, gate: TimedGate, stopwatch: Stopwatch, successes: int, episodes: int, task: Path
) -> None:
    """Print what was measured."""
    periods = 1000 * np.array(cell.periods)
    print(f"\n{task} on the wire twin (simulated): {successes} of {episodes} succeeded without a restart\n")
    own = ("observe", "actor forward", "command through the gate")
    rows = [_row(name, stopwatch.times[name]) for name in stopwatch.times]
    count = min(len(stopwatch.times[name]) for name in own)
    total = [tuple(np.sum([stopwatch.times[name][k] for name in own], axis=0)) for k in range(count)]
    rows.append(_row("control step without the base policy", total))
    header = ("", "calls", "wall, median [ms]", "wall, p99 [ms]", "CPU, median [ms]", "CPU, p99 [ms]")
    print(markdown_table(Table(header, rows, text_columns=1)))
    quantiles = ", ".join(f"{name} {np.quantile(periods, q):.1f}" for name, q in (("median", 0.5), ("p99", 0.99)))
    print(f"\nControl period on the robot's clock [ms]: {quantiles}, longest {periods.max():.1f}")
    print(
        f"Age of commands as they were sent [ms]: p99 {1000 * np.quantile(gate.ages, 0.99):.1f}, oldest {1000 * max(gate.ages):.1f}"
    )
    causes = sorted({fault.cause for fault in cell.gate.faults})
    print(f"Faults: {len(cell.gate.faults)} ({', '.join(causes) or 'none'})")


def _row(name: str, times: list[tuple[float, float]]) -> tuple[str, ...]:
    wall, cpu = 1000 * np.array(times).T
    return (name, str(len(times)), *(f"{np.quantile(t, q):.2f}" for t in (wall, cpu) for q in (0.5, 0.99)))


if __name__ == "__main__":
    main()
