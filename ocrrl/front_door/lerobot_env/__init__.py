"""Our environments as LeRobot's environment type `ocrrl`, registered by importing this package: docs/lerobot_eval.md.

`lerobot-eval --env.type=ocrrl --env.task=cube_lift` finds it where the plugin lerobot_env_ocrrl is installed, or with
`--env.discover_packages_path=ocrrl.front_door.lerobot_env`. Nothing else of the library imports it.
"""

from ocrrl.front_door.lerobot_env.env_config import OcrrlEnvConfig
from ocrrl.front_door.lerobot_env.vector_env import LeRobotVectorEnv

__all__ = ["LeRobotVectorEnv", "OcrrlEnvConfig"]
