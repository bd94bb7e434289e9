"""A safety gate before a scripted arm, with an operator's switch."""

import numpy as np

from ocrrl.interface.fr3_chain import FR3
from ocrrl.robot.arm.arm import ArmCommand
from ocrrl.robot.safety.safety_gate import SafetyGate
from ocrrl.robot.safety.safety_limits import SafetyLimits
from tests.robot.cell.scripted_arm import HOME, ScriptedArm

PERIOD = 0.05


class Rig:
    """`told` lists the faults as they happen."""

    def __init__(self, **limits):
        self.arm, self.enabled, self.told = ScriptedArm(), True, []
        self.limits = SafetyLimits(**limits)
        self.gate = SafetyGate(self.arm, self.limits, FR3, lambda: self.enabled, self.told.append)

    def send(self, pose=HOME, opening=1.0, age=0.0, time_to_live=0.1):
        """One command, a control period after the last."""
        self.arm.pass_time(PERIOD)
        return self.gate.command(ArmCommand(np.asarray(pose, float), opening, self.arm.time - age, time_to_live))

    @property
    def last(self):
        return self.arm.received[-1]
