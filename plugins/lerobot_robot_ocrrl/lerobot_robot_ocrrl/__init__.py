"""The FR3 of an ocrrl cell and its teleoperation devices as LeRobot's types `fr3` and `ocrrl_device`: LeRobot imports packages whose name begins so."""

import ocrrl.robot.lerobot_robot  # noqa: F401  registers with LeRobot
