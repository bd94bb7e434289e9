"""`--teleop.type=ocrrl_device`: which of our devices, and the operator's position."""

from dataclasses import dataclass

from lerobot.teleoperators.config import TeleoperatorConfig

from ocrrl.robot.lerobot_robot.config_fr3_robot import CALIBRATION

DEVICES = ("spacemouse", "gamepad")


@TeleoperatorConfig.register_subclass("ocrrl_device")
@dataclass(kw_only=True)
class OcrrlDeviceConfig(TeleoperatorConfig):
    """What `OcrrlDevice` is made from; LeRobot finds that class by this one's name."""

    device: str = "spacemouse"
    operator_heading: float = 0.0
    """As in `ocrrl.robot.teleoperation.axes.AxisConvention` [rad]."""
    translation_scale: float = 0.6
    rotation_scale: float = 0.6

    def __post_init__(self) -> None:
        if self.device not in DEVICES:
            raise ValueError(f"device must be one of {', '.join(DEVICES)}, got {self.device!r}")
        self.calibration_dir = self.calibration_dir or CALIBRATION
