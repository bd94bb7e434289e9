"""The FR3 of an ocrrl cell as LeRobot's robot `fr3`, its devices as teleoperator `ocrrl_device`: LeRobot imports it for its name."""

import ocrrl.robot.lerobot_robot  # noqa: F401  registers with LeRobot
