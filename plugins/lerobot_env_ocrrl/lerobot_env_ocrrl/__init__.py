"""The tabletop tasks of ocrrl as LeRobot's environment type `ocrrl`: LeRobot imports packages whose name begins so."""

import ocrrl.front_door.lerobot_env  # noqa: F401  registers with LeRobot
