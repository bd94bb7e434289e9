"""Faults injected into a cell, thousands of steps of them: does one unsafe command reach the arm, is it held in time?

    python -m benchmarks.faults                     # 10,000 steps on a scripted arm, a minute

What reaches the arm is judged between gate and arm by rules written here anew. An episode runs the one control loop with one
fault at a random step; afterwards its recording is written, read back and compared. Printed in Markdown; exit code 1 when
anything went wrong. No robot moves.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from ocrrl.datasets.episode_store import read_episode, write_episode
from ocrrl.interface import rotations
from ocrrl.interface.actions import CONTROL_HZ, ROTATION_LEASH, TRANSLATION_LEASH
from ocrrl.report.table import Table, markdown_table
from ocrrl.robot.arm import READY, Applied, Arm, ArmCommand, ArmState
from ocrrl.robot.arm_environment import TIME_TO_LIVE, ArmEnvironment
from ocrrl.robot.fr3 import FR3, JOINT_LIMITS
from ocrrl.robot.safety_limits import SafetyLimits
from ocrrl.rollouts.control_loop import run_episodes
from ocrrl.rollouts.rollout_recorder import RolloutRecorder

PERIOD = 1.0 / CONTROL_HZ
EPISODE_STEPS = 40
LIMITS = SafetyLimits()


class Inspector:
    """An `Arm` right before the real one: notes what an arm must never be told, and when it was told to hold."""

    def __init__(self, arm: Arm, allowed: Callable[[], bool]) -> None:
        self.arm, self._allowed = arm, allowed
        self.unsafe: list[str] = []
        self.rests: list[float] = []
        self.commands = 0

    def now(self) -> float:
        return self.arm.now()

    def state(self) -> ArmState:
        return self.arm.state()

    def command(self, command: ArmCommand) -> Applied:
        self.commands += 1
        self.unsafe += self._wrong_with(command)
        return self.arm.command(command)

    def hold(self) -> None:
        self._rest()
        self.arm.hold()

    def stop(self) -> None:
        self._rest()
        self.arm.stop()

    def recover(self) -> None:
        self.arm.recover()

    def home(self, joint_positions: Sequence[float]) -> None:
        self.arm.home(joint_positions)

    def close(self) -> None:
        self.arm.close()

    def _rest(self) -> None:
        try:
            self.rests.append(self.arm.now())
        except RuntimeError:
            self.rests.append(self.rests[-1] if self.rests else 0.0)

    def _wrong_with(self, command: ArmCommand) -> list[str]:
        state, now, pose = self.arm.state(), self.arm.now(), command.pose
        if not (np.isfinite(pose).all() and np.isfinite(command.opening)):
            return ["not finite"]
        off = pose[:3] - state.gripper_pose[:3]
        turn = rotations.to_rotation_vector(rotations.multiply(pose[3:], rotations.conjugate(state.gripper_pose[3:])))
        joints = FR3.step_towards(state.joint_positions[None], pose[None])[0]
        checks = {
            "not a rotation": abs(np.linalg.norm(pose[3:]) - 1.0) > 1e-6,
            "outside the workspace": (pose[:3] < LIMITS.workspace_low).any()
            or (pose[:3] > LIMITS.workspace_high).any(),
            "beyond the leash": np.linalg.norm(off) > TRANSLATION_LEASH + 1e-6
            or np.linalg.norm(turn) > ROTATION_LEASH + 1e-6,
            "opening beyond [0, 1]": not 0.0 <= command.opening <= 1.0,
            "older than its time to live": now - command.issued > min(command.time_to_live, TIME_TO_LIVE) + 1e-9,
            "from the future": command.issued > now,
            "a joint at its limit": (joints < JOINT_LIMITS[:, 0]).any() or (joints > JOINT_LIMITS[:, 1]).any(),
            "to an arm that is not ready": state.mode != READY,
            "from an old state": now - state.time > LIMITS.max_state_age,
            "without the operator": not self._allowed(),
        }
        return [name for name, wrong in checks.items() if wrong]


@dataclass
class Rig:
    """A cell with the handles that faults are injected by."""

    environment: ArmEnvironment
    inspector: Inspector
    faults: list
    """Of the gate, as they come."""
    inject: dict[str, Callable[[], None]]
    """By name of the fault."""
    mend: Callable[[], None]
    wait: Callable[[float], None]
    """Let so many seconds of the arm's clock pass."""


@dataclass
class Tally:
    """What came of one kind of fault."""

    injected: int = 0
    held: int = 0
    delays: list[float] = field(default_factory=list)
    logged: int = 0
    intact: int = 0
    unsafe: list[str] = field(default_factory=list)


BENIGN = ("stale pose",)
"""Faults that lower a confidence and hold no arm."""
SILENT = ("policy stall", "server stall", "NaN action")
"""Faults after which nothing comes any more: the last command runs out first."""


class FaultyPolicy:
    """Wanders about the home position; at step `at` it injects a fault, or errs by itself."""

    def __init__(self, rig: Rig, fault: str, at: int, generator: np.random.Generator) -> None:
        self._rig, self._fault, self._at, self._generator = rig, fault, at, generator
        self.time = np.nan
        self.confidence: list[float] = []
        self._step = 0

    def reset(self, ids: np.ndarray) -> None:
        self._step = 0

    def act(self, observation, ids: np.ndarray, capture) -> np.ndarray:
        capture(ids)
        action = np.concatenate([self._generator.uniform(-0.01, 0.01, 3), np.zeros(3), [1.0]])
        if self._step >= self._at:
            self.confidence.append(float(observation.object_confidence.min()))
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
        (outcome,) = run_episodes(rig.environment, policy, None, [seed], recorder)
        reason, episode = outcome.aborted, recorder.episodes[seed]
    except ValueError as error:  # a policy that errs ends the loop, and nobody commands the arm any more
        rig.wait(0.5)
        reason, (episode,) = str(error), recorder.unfinished().values()
    tally.injected += 1
    tally.unsafe += rig.inspector.unsafe[unsafe:]
    later = [time - policy.time for time in rig.inspector.rests[rests:] if time >= policy.time]
    if fault in BENIGN:
        tally.held += min(policy.confidence) == 0.0
        tally.logged += 1
    else:
        allowed = PERIOD + (TIME_TO_LIVE if fault in SILENT else 0.0)
        tally.held += bool(later) and later[0] <= allowed + 1e-6
        tally.delays += later[:1]
        tally.logged += len(rig.faults) > faults or bool(reason)
    write_episode(path := folder / "episode.h5", episode)
    back = read_episode(path)
    tally.intact += len(back) == len(episode) and np.array_equal(back.action, episode.action)
    path.unlink()
    rig.mend()
    return len(episode)


def scripted_rig() -> Rig:
    """A cell of scripted parts on a simulated clock, watched as often as a watchdog would."""
    from tests.robot.scripted_arm import HOME
    from tests.robot.scripted_cell import ScriptedCell

    cell = ScriptedCell(inspected=lambda arm, operator: Inspector(arm, operator.enabled))
    arm, gate, inspector = cell.arm, cell.gate, cell.inspector

    def wait(seconds: float) -> None:
        for _ in range(looks := int(np.ceil(seconds / (PERIOD / 2)))):
            arm.pass_time(seconds / looks)
            gate.watch()

    def tell(**changes) -> Callable[[], None]:
        """A command of someone else's, changed from one that is safe."""

        def send() -> None:
            pose = arm.measured.gripper_pose.copy()
            for index, value in changes.items():
                pose[int(index[1:])] = value
            gate.command(ArmCommand(pose, 1.0, arm.now(), TIME_TO_LIVE))

        return send

    def changes(owner: object, name: str, value: object) -> Callable[[], None]:
        return lambda: setattr(owner, name, value)

    def mend() -> None:
        arm.frozen = arm.unreachable = False
        arm.measured = replace(arm.measured, time=arm.time, mode=READY, gripper_pose=HOME.copy())
        cell.camera.failure, cell.tracker.frozen, cell.operator.allows = "", None, True

    cell.sleep = wait
    inject = {
        "stale pose": lambda: setattr(cell.tracker, "frozen", arm.time),
        "frozen camera": changes(cell.camera, "failure", "camera front has sent one and the same picture for 1.0 s"),
        "NaN action": lambda: None,
        "non-unit quaternion": tell(_3=2.0),
        "NaN target": tell(_0=np.nan),
        "target outside the workspace": tell(_2=-0.2),
        "target that jumps": tell(_1=0.35),
        "policy stall": lambda: wait(0.6),
        "server stall": lambda: (setattr(arm, "frozen", True), wait(0.3)),
        "reflex": lambda: setattr(arm, "measured", replace(arm.measured, mode="reflex")),
        "disconnect": changes(arm, "unreachable", True),
        "operator lets go": changes(cell.operator, "allows", False),
    }
    return Rig(cell.environment, inspector, gate.faults, inject, mend, wait)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=10_000, help="control steps on the scripted arm")
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
    print(
        f"{steps} steps, {episodes} episodes, {rig.inspector.commands} commands reached the arm (scripted; no robot moves)\n"
    )
    print(markdown_table(table(tallies)))
    wrong = [name for name, t in tallies.items() if t.unsafe or min(t.held, t.logged, t.intact) < t.injected]
    print(
        f"\nUnsafe commands: {sum(len(t.unsafe) for t in tallies.values())}. Went wrong: {', '.join(wrong) or 'nothing'}."
    )
    return 1 if wrong else 0


def table(tallies: dict[str, Tally]) -> Table:
    """One row a kind of fault."""
    rows = [
        (
            name,
            str(t.injected),
            str(len(t.unsafe)),
            f"{t.held} of {t.injected}",
            f"{1000 * max(t.delays):.0f} ms" if t.delays else "–",
            f"{t.logged} of {t.injected}",
            f"{t.intact} of {t.injected}",
        )
        for name, t in tallies.items()
    ]
    header = (
        "fault",
        "injected",
        "unsafe commands",
        "held or not shown, in time",
        "latest",
        "cause told",
        "episode intact",
    )
    return Table(header, rows, text_columns=1)


if __name__ == "__main__":
    sys.exit(main())
