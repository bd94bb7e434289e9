"""Faults injected into a cell, thousands of steps of them: does one unsafe command reach the arm, is it held in time?

    python -m benchmarks.faults                     # 10,000 steps on a scripted arm, a minute
    python -m benchmarks.faults --wire 14           # and 14 episodes on the wire twin, through the real drivers

What reaches the arm is judged between gate and arm by rules written here anew. An episode has one fault at a random step;
its recording is written, read back and compared. Exit code 1 when anything went wrong. No robot moves.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from benchmarks.fault_tally import Tally, report, same
from benchmarks.inspector import Inspector
from ocrrl.episodes.episode_store import read_episode, write_episode
from ocrrl.layout import WORK
from ocrrl.perception.cameras.realsense_reader import ReaderLimits
from ocrrl.robot.arm.arm import READY, Arm, ArmCommand
from ocrrl.robot.arm.fault import Cause, Fault
from ocrrl.robot.cell.arm_environment import PERIOD, TIME_TO_LIVE, ArmEnvironment
from ocrrl.robot.safety.safety_gate import SafetyGate
from ocrrl.rollouts.control_loop import run_episodes
from ocrrl.rollouts.rollout_recorder import RolloutRecorder
from ocrrl.worlds import make_scene

EPISODE_STEPS = 40


@dataclass
class Rig:
    """A cell with the handles that faults are injected by."""

    environment: ArmEnvironment
    inspector: Inspector
    faults: list[Fault]
    """Of the gate, as they come."""
    inject: dict[str, Callable[[], None]]
    """By name of the fault."""
    mend: Callable[[], None]
    wait: Callable[[float], None]
    """Let so many seconds of the arm's clock pass."""
    seen_after: dict[str, float] = field(default_factory=dict)
    """[s] that a fault needs to be one: a camera without a new frame is late before it is lost."""


BENIGN = ("stale pose",)  # lower a confidence and hold no arm
SILENT = ("policy stall", "server stall")  # nothing comes any more: the last command runs out first
CAUSES: dict[str, tuple[Cause, ...]] = {
    "stale pose": ("stale_pose",),
    "frozen camera": ("no_observation",),
    "NaN action": ("loop_failed",),
    "non-unit quaternion": ("not_a_rotation",),
    "NaN target": ("not_finite",),
    "target outside the workspace": ("workspace",),
    "target that jumps": ("jump",),
    "policy stall": ("no_command",),
    "server stall": ("stale_state", "clock_stopped"),
    "reflex": ("not_ready",),
    "disconnect": ("out_of_reach",),
    "operator lets go": ("not_enabled",),
}
"""What the log must say first of each; the second where an arm answers no more."""


class FaultyPolicy:
    """Wanders about the home position; at step `at` it injects a fault, or errs by itself."""

    def __init__(self, rig: Rig, fault: str, at: int, generator: np.random.Generator) -> None:
        self._rig, self._fault, self._at, self._generator = rig, fault, at, generator
        self.time = np.nan
        self.visible: list[bool] = []
        self._step = 0

    def reset(self, ids: np.ndarray, seeds: Sequence[int]) -> None:
        self._step = 0

    def act(self, observation, ids: np.ndarray, capture) -> np.ndarray:
        capture(ids)
        action = np.concatenate([self._generator.uniform(-0.01, 0.01, 3), np.zeros(3), [1.0]])
        if self._step >= self._at:
            self.visible.append(bool(observation.visible().all()))
        if self._step == self._at:
            self.time = self._rig.inspector.now()
            if self._fault == "NaN action":
                action[2] = np.nan
            else:
                self._rig.inject[self._fault]()
        self._step += 1
        return action[None]


def run(rig: Rig, fault: str, seed: int, tally: Tally, folder: Path) -> int:
    """One episode with one fault; the steps that it lasted."""
    generator = np.random.default_rng([seed, 435])
    policy = FaultyPolicy(rig, fault, int(generator.integers(2, EPISODE_STEPS - 15)), generator)
    recorder = RolloutRecorder(rig.environment, "policy", rig.environment.calibration(), {})
    recorder.seeds = {seed}
    faults, rests, unsafe = len(rig.faults), len(rig.inspector.rests), len(rig.inspector.unsafe)
    try:
        run_episodes(rig.environment, policy, None, [seed], recorder)
        episode = recorder.episodes[seed]
    except ValueError:  # a policy that errs ends the loop
        (episode,) = recorder.unfinished().values()
    rig.wait(PERIOD)  # the watchdog looks once more
    tally.injected += 1
    tally.unsafe += rig.inspector.unsafe[unsafe:]
    later = [time - policy.time for time in rig.inspector.rests[rests:] if time >= policy.time]
    if fault in BENIGN:
        tally.held += not all(policy.visible)
    else:
        allowed = PERIOD + (TIME_TO_LIVE if fault in SILENT else rig.seen_after.get(fault, 0.0))
        tally.held += bool(later) and later[0] <= allowed + 1e-6
        tally.delays += later[:1]
    causes = [logged.cause for logged in rig.faults[faults:]]
    if fault in rig.seen_after and causes[:1] == ["stale_pose"]:
        causes = causes[1:]  # poses grow old before their camera counts as lost
    tally.logged += bool(causes) and causes[0] in CAUSES[fault]
    write_episode(path := folder / "episode.h5", episode)
    back = read_episode(path)
    tally.intact += same(back, episode)
    path.unlink()
    rig.mend()
    return len(episode)


def broken_targets(gate: SafetyGate) -> dict[str, Callable[[], None]]:
    """Commands that someone else sends, each a safe one but for one number of its pose."""

    def with_number(index: int, value: float) -> Callable[[], None]:
        def send() -> None:
            pose = gate.state().gripper_pose.copy()
            pose[index] = value
            gate.command(ArmCommand(pose, 1.0, gate.now(), TIME_TO_LIVE))

        return send

    return {
        "non-unit quaternion": with_number(3, 2.0),
        "NaN target": with_number(0, np.nan),
        "target outside the workspace": with_number(2, -0.2),
        "target that jumps": with_number(1, 0.35),
    }


def scripted_rig() -> Rig:
    """A cell of scripted parts on a simulated clock, watched as often as a watchdog would."""
    from tests.robot.cell.scripted_arm import HOME
    from tests.robot.cell.scripted_cell import ScriptedCell

    cell = ScriptedCell(inspected=lambda arm, operator: Inspector(arm, operator.enabled))
    arm, gate, inspector = cell.arm, cell.gate, cell.inspector

    def wait(seconds: float) -> None:
        for _ in range(looks := int(np.ceil(seconds / (PERIOD / 2)))):
            arm.pass_time(seconds / looks)
            gate.watch()

    def changes(owner: object, name: str, value: object) -> Callable[[], None]:
        return lambda: setattr(owner, name, value)

    def mend() -> None:
        arm.frozen = arm.unreachable = False
        arm.measured = replace(arm.measured, time=arm.time, mode=READY, gripper_pose=HOME.copy())
        cell.camera.failure, cell.tracker.frozen, cell.operator.allows = "", None, True

    cell.sleep = wait
    inject = {
        "stale pose": lambda: setattr(cell.tracker, "frozen", arm.time),
        "frozen camera": changes(cell.camera, "failure", "camera front has sent one and the same image for 1.0 s"),
        "NaN action": lambda: None,
        **broken_targets(gate),
        "policy stall": lambda: wait(0.6),
        "server stall": lambda: (setattr(arm, "frozen", True), wait(0.3)),
        "reflex": lambda: setattr(arm, "measured", replace(arm.measured, mode="reflex")),
        "disconnect": changes(arm, "unreachable", True),
        "operator lets go": changes(cell.operator, "allows", False),
    }
    return Rig(cell.environment, inspector, gate.faults, inject, mend, wait)


def wire_rig(cell: ArmEnvironment, inspector: Inspector) -> Rig:
    """The wire twin: what is injected happens to its processes, or between policy and gate."""
    from ocrrl.robot.wire_twin.processes import ServerProcess

    camera_server, arm_server = (part for part in cell.parts if isinstance(part, ServerProcess))

    def wait(seconds: float) -> None:
        end, slept = cell.gate.now() + seconds, 0.0
        while cell.gate.now() < end and slept < 20.0:
            time.sleep(0.002)
            slept += 0.002

    def mend() -> None:
        for server in (camera_server, arm_server):
            server.resume()
        wait(1.0)

    def stall() -> None:
        arm_server.pause()
        time.sleep(1.0)
        arm_server.resume()

    inject = {
        "NaN action": lambda: None,
        **broken_targets(cell.gate),
        "policy stall": lambda: wait(0.6),
        "frozen camera": camera_server.pause,
        "server stall": stall,
    }
    return Rig(cell, inspector, cell.gate.faults, inject, mend, wait, {"frozen camera": ReaderLimits().max_age})


def wire_twin_episodes(count: int, first_seed: int) -> tuple[Inspector, dict[str, Tally], int]:
    """`count` episodes on the wire twin, the faults in turn."""
    from ocrrl.robot.cell.cell_file import read_cell_file
    from ocrrl.robot.wire_twin.wire_twin import CELL_FILE, open_wire_twin

    inspectors: list[Inspector] = []

    def inspected(arm: Arm) -> Inspector:
        inspectors.append(Inspector(arm, lambda: True))
        return inspectors[0]

    logs = WORK / "cells" / "wire_twin"
    cell = open_wire_twin(make_scene("cube_lift"), logs, time.time, read_cell_file(CELL_FILE), inspected)
    with closing(cell), tempfile.TemporaryDirectory() as folder:
        rig = wire_rig(cell, inspectors[0])
        tallies = {name: Tally() for name in rig.inject}
        steps = 0
        for k in range(count):
            name = list(tallies)[k % len(tallies)]
            steps += run(rig, name, first_seed + k, tallies[name], Path(folder))
        return rig.inspector, tallies, steps


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=10_000, help="control steps on the scripted arm")
    parser.add_argument("--wire", type=int, default=0, help="episodes on the wire twin, besides")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rig = scripted_rig()
    tallies = {name: Tally() for name in rig.inject}
    steps = episodes = 0
    with tempfile.TemporaryDirectory() as folder:
        while steps < options.steps:
            name = list(tallies)[episodes % len(tallies)]
            steps += run(rig, name, options.seed + episodes, tallies[name], Path(folder))
            episodes += 1
    wrong = report("scripted", rig.inspector, tallies, steps)
    if options.wire:
        wrong += report("wire twin", *wire_twin_episodes(options.wire, options.seed))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
