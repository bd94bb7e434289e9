"""The tabletop tasks of ocrrl as LeRobot's environment type `ocrrl`: LeRobot imports it for its name."""

import ocrrl.front_door.lerobot_env  # noqa: F401  registers with LeRobot
