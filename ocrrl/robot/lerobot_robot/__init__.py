"""The FR3 and our teleoperation devices as LeRobot plugins, registered by importing this package.

`lerobot-record --robot.discover_packages_path=ocrrl.robot.lerobot_robot --robot.type=fr3 --teleop.type=ocrrl_device` records
with them; docs/lerobot_robot.md has the commands. Nothing else of the library imports it.
"""

from ocrrl.robot.lerobot_robot.fr3_robot import FR3Robot, FR3RobotConfig, ImageConfig
from ocrrl.robot.lerobot_robot.ocrrl_device import OcrrlDevice, OcrrlDeviceConfig

__all__ = ["FR3Robot", "FR3RobotConfig", "ImageConfig", "OcrrlDevice", "OcrrlDeviceConfig"]
