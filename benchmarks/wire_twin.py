"""The control loop on the wire twin: does it solve the task, keep its pace, and how much of a control step is our own?

    python -m benchmarks.wire_twin --episodes 20      # after `dvc repro train_residual@cube_lift-0 finetune@cube_lift-real`
    python -m benchmarks.wire_twin --answer-after 0.15 --delay 4 --residual .work/late_chunks/cube_lift-4   # a VLA of 150 ms

Base + residual through franky and the RealSense library over loopback, poses from images, recorded, the successes ingested.
Times are of this machine, which simulates the arm and renders the cameras beside it: run it with nothing else. Wall times wait for
those processes, CPU times do not, as in a cell with a robot. The exit code is 1 where a control step takes more CPU time than
it may, or a command was sent that had outlived its time. No robot moves.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

import numpy as np

from ocrrl.episodes.episode_store import write_episode
from ocrrl.interface.observations import Images, RobotState
from ocrrl.interface.protocols import VLA
from ocrrl.interface.seeds import initial_state_seeds
from ocrrl.interface.tabletop_tasks import TabletopTask
from ocrrl.layout import ROLLED_OUT_SEED, WORK, Layout
from ocrrl.recordings.ingest import ingest
from ocrrl.recordings.ingest_config import IngestConfig
from ocrrl.report.table import Table, markdown_table
from ocrrl.robot.arm.arm import Applied, ArmCommand
from ocrrl.robot.cell.arm_environment import TIME_TO_LIVE, ArmEnvironment
from ocrrl.rollouts.control_loop import run_episodes
from ocrrl.rollouts.rollout import OPERATOR
from ocrrl.rollouts.rollout_recorder import RolloutRecorder
from ocrrl.tabletop.registry import tabletop_task
from ocrrl.worlds import make_scene

CONTROL_STEP = 0.010  # [s], 99 of 100 may take no longer

Times = list[tuple[float, float]]
"""Wall and CPU [s]."""


class Stopwatch:
    """Wall and CPU seconds of each call of the functions that it is put around."""

    def __init__(self) -> None:
        self.times: dict[str, Times] = {}

    def around[**P, R](self, name: str, function: Callable[P, R]) -> Callable[P, R]:
        """`function`, timed under `name`."""
        taken = self.times.setdefault(name, [])

        def timed(*arguments: P.args, **options: P.kwargs) -> R:
            begun = _now()
            try:
                return function(*arguments, **options)
            finally:
                taken.append(_since(begun))

        return timed


class SlowVLA:
    """`vla`, whose answers take `seconds` at least of the robot's `clock`, which runs slower than the wall's."""

    def __init__(self, vla: VLA, seconds: float, clock: Callable[[], float]) -> None:
        self.chunk_size, self.n_action_steps = vla.chunk_size, vla.n_action_steps
        self.answered: list[float] = []
        """Seconds of the robot's clock that each answer took."""
        self._vla, self._seconds, self._clock = vla, seconds, clock

    def predict_chunk(self, images: Images, robot: RobotState, instruction: str) -> np.ndarray:
        begun = self._clock()
        chunk = self._vla.predict_chunk(images, robot, instruction)
        while self._clock() < begun + self._seconds:
            time.sleep(0.001)
        self.answered.append(self._clock() - begun)
        return chunk


class ControlSteps:
    """Times whole control steps: from the look at the cell until the command was sent, without the base policy."""

    def __init__(self, cell: ArmEnvironment, base_policy: Times) -> None:
        """`base_policy` is the record of a stopwatch that is put around it."""
        self.times: Times = []
        self.ages: list[float] = []
        """Of each command [s], when the gate had let it through."""
        self._base_policy, self._gate = base_policy, cell.gate
        self._observe, self._command = cell.observe, cell.gate.command
        self._begun, self._earlier = _now(), 0
        cell.observe, cell.gate.command = self.observe, self.command

    def observe(self):
        self._begun, self._earlier = _now(), len(self._base_policy)
        return self._observe()

    def command(self, command: ArmCommand) -> Applied:
        applied = self._command(command)
        wall, cpu = _since(self._begun)
        for base in self._base_policy[self._earlier :]:
            wall, cpu = wall - base[0], cpu - base[1]
        self.times.append((wall, cpu))
        if applied.command is not None:
            self.ages.append(self._gate.now() - command.issued)
        return applied


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=20)
    parser.add_argument("--task", default="cube_lift")
    parser.add_argument(
        "--answer-after", type=float, default=0.0, metavar="S", help="seconds of the robot's clock that the VLA takes"
    )
    parser.add_argument(
        "--delay", type=int, default=0, help="d, the control steps that the policy allows for an answer"
    )
    parser.add_argument("--residual", type=Path, help="the residual's folder; default: that of the stage, seed 0")
    options = parser.parse_args()

    from ocrrl.policies.async_chunked_policy import on_the_clock
    from ocrrl.policies.checkpoint import load_vla
    from ocrrl.policies.chunk_delay import ChunkDelay
    from ocrrl.policies.chunked_policy import ChunkedPolicy
    from ocrrl.residual.residual_policy import ResidualPolicy, load_residual
    from ocrrl.robot.cell.cell_file import read_cell_file
    from ocrrl.robot.wire_twin.wire_twin import CELL_FILE, open_wire_twin

    task, layout, stopwatch = tabletop_task(options.task), Layout(options.task), Stopwatch()
    delay, vla = ChunkDelay((0.0,) * options.delay + (1.0,)), load_vla(layout.vla("real"))
    residual = load_residual(options.residual or layout.residual(ROLLED_OUT_SEED), task)
    if not isinstance(residual, ResidualPolicy):
        parser.error("--residual must be one of object poses, got one of images")
    residual.residual = stopwatch.around("actor forward", residual.residual)
    file, logs = read_cell_file(CELL_FILE), WORK / "cells" / "wire_twin"
    with ExitStack() as opened:
        folder = opened.enter_context(tempfile.TemporaryDirectory())
        cell = opened.enter_context(closing(open_wire_twin(make_scene(task.slug), logs, time.time, file)))
        slow = SlowVLA(vla, options.answer_after, cell.gate.now)
        base = opened.enter_context(on_the_clock(ChunkedPolicy(slow, task.instruction, 1, delay=delay)))
        base.act = stopwatch.around("base policy (VLA every few steps)", base.act)
        cell.observe = stopwatch.around("observe", cell.observe)
        cell.gate.command = stopwatch.around("command through the gate", cell.gate.command)
        control_steps = ControlSteps(cell, stopwatch.times["base policy (VLA every few steps)"])
        recorder, successes = RolloutRecorder(cell, OPERATOR, cell.calibration()), 0
        since_question: list[int] = []
        for number, seed in enumerate(initial_state_seeds("test", options.episodes)):
            recorder.seeds = {seed}
            begun = len(cell.periods)
            (outcome,) = run_episodes(cell, base, residual, [seed], recorder)
            since_question += [step % vla.n_action_steps for step in range(len(cell.periods) - begun)]
            episode = recorder.episodes.pop(seed)
            if outcome.success:
                successes += 1
                write_episode(Path(folder) / "successes" / f"episode_{number:06d}.h5", episode)
            ending = outcome.aborted.why if outcome.aborted else "success" if outcome.success else "failure"
            print(f"{seed}: {ending}, {outcome.steps} steps", flush=True)
        print(
            f"\n{task.slug} on the wire twin (simulated): {successes} of {options.episodes} succeeded without a restart"
        )
        print(f"Ingested as demonstrations: {ingested(Path(folder), task) if successes else 0} of {successes}\n")
        if options.answer_after:
            answers = 1000 * np.array(slow.answered)
            print(f"Answers on the robot's clock [ms]: median {np.median(answers):.0f}, longest {answers.max():.0f}")
        sys.exit(report(cell, control_steps, stopwatch, np.array(since_question)))


def ingested(folder: Path, task: TabletopTask) -> int:
    """How many of the episodes recorded in `folder` a dataset is made of."""
    dataset, normalised, found = (folder / name for name in ("dataset", "normalised", "report.json"))
    return len(ingest(folder / "successes", task, dataset, normalised, found, IngestConfig()).accepted)


def report(cell: ArmEnvironment, control_steps: ControlSteps, stopwatch: Stopwatch, since_question: np.ndarray) -> int:
    """Print what was measured; 1 where something took too long. `since_question`: control steps since a chunk was asked for."""
    rows = [_row(name, times) for name, times in stopwatch.times.items()]
    rows.append(_row("control step without the base policy", control_steps.times))
    header = ("", "calls", "wall, median [ms]", "wall, p99 [ms]", "CPU, median [ms]", "CPU, p99 [ms]")
    print(markdown_table(Table(header, rows, text_columns=1)))
    periods = 1000 * np.array(cell.periods)
    quantiles = ", ".join(f"{name} {np.quantile(periods, q):.1f}" for name, q in (("median", 0.5), ("p99", 0.99)))
    print(f"\nControl period on the robot's clock [ms]: {quantiles}, longest {periods.max():.1f}")
    steps = [f"{np.quantile(periods[since_question == k], 0.99):.0f}" for k in range(since_question.max() + 1)]
    print(f"Its p99 by control steps since a chunk was asked for: {' '.join(steps)}")
    wall, cpu = np.quantile(control_steps.times, 0.99, axis=0)
    oldest = max(control_steps.ages)
    print(f"Age of commands as they were sent [ms]: p99 {1000 * np.quantile(control_steps.ages, 0.99):.1f}, ", end="")
    print(f"oldest {1000 * oldest:.1f}, allowed {1000 * TIME_TO_LIVE:.0f}")
    causes = Counter(fault.cause for fault in cell.gate.faults)
    print(f"Faults: {', '.join(f'{number} {cause}' for cause, number in sorted(causes.items())) or 'none'}")
    for name, taken in (("CPU time", cpu), ("wall time, shared with what simulates the cell", wall)):
        state = "MISSED" if taken > CONTROL_STEP else "reached"
        print(f"99 of 100 control steps within {1000 * CONTROL_STEP:.0f} ms of {name}: {state}")
    return int(cpu > CONTROL_STEP or oldest > TIME_TO_LIVE)


def _now() -> tuple[float, float]:
    return time.perf_counter(), time.thread_time()


def _since(begun: tuple[float, float]) -> tuple[float, float]:
    wall, cpu = _now()
    return wall - begun[0], cpu - begun[1]


def _row(name: str, times: Times) -> tuple[str, ...]:
    wall, cpu = 1000 * np.array(times).T
    return (name, str(len(times)), *(f"{np.quantile(t, q):.2f}" for t in (wall, cpu) for q in (0.5, 0.99)))


if __name__ == "__main__":
    main()
