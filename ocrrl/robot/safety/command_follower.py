"""An arm's commanded pose: each action makes the next command, and the safety gate says how much of it is applied."""

import numpy as np
from jaxtyping import Float

from ocrrl.interface.actions import advance_command, applied_action, gripper_opening
from ocrrl.robot.arm.arm import Applied, ArmCommand, ArmState
from ocrrl.robot.safety.safety_gate import SafetyGate


class CommandFollower:
    """Sends actions to one arm as commands of `gate`."""

    def __init__(self, gate: SafetyGate, time_to_live: float) -> None:
        """`time_to_live` [s] of a command counts from when it was issued."""
        self._gate, self._time_to_live = gate, time_to_live
        self.begin(np.zeros(7))

    def begin(self, pose: Float[np.ndarray, " 7"]) -> None:
        """The next command goes on from the gripper pose `pose`, with open fingers."""
        self.commanded_pose = pose
        self.applied = np.array([*np.zeros(6), 1.0])
        """What was applied of the latest action (7,)."""

    def rest(self) -> None:
        """Nothing is applied until the next `send`; the fingers stay as they are."""
        self.applied = np.array([*np.zeros(6), self.applied[6]])

    def send(self, action: Float[np.ndarray, " 7"], state: ArmState, issued: float) -> Applied:
        """Send the command that `action` makes of the commanded pose, for an arm measured as `state`.

        After a command that the gate refused, the next one goes on from where the arm is.
        """
        target = advance_command(self.commanded_pose, state.gripper_pose, action)
        opening = float(gripper_opening(action[6]))
        sent = self._gate.command(ArmCommand(target, opening, issued, self._time_to_live))
        followed = sent.command.pose if sent.command else None
        self.applied = applied_action(action, self.commanded_pose, followed, self.applied[6])
        self.commanded_pose = state.gripper_pose if followed is None else followed
        return sent
