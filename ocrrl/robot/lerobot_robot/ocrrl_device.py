"""A teleoperation device as a LeRobot teleoperator, with the actions of `FR3Robot`.

How an episode went is said with LeRobot's own keys; what the device's buttons say of it is not passed on.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lerobot.lerobot_types import RobotAction
from lerobot.teleoperators.config import TeleoperatorConfig
from lerobot.teleoperators.teleoperator import Teleoperator
from lerobot.utils.decorators import check_if_already_connected, check_if_not_connected

from ocrrl.interface.actions import ACTION_NAMES
from ocrrl.robot.lerobot_robot.fr3_robot import CALIBRATION
from ocrrl.robot.teleoperation.axes import AxisConvention
from ocrrl.robot.teleoperation.device import TeleoperationDevice

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


OpenDevice = Callable[[OcrrlDeviceConfig], TeleoperationDevice]


def open_device(config: OcrrlDeviceConfig) -> TeleoperationDevice:
    """The device that is plugged in; RuntimeError says what is missing."""
    from ocrrl.robot.teleoperation.open_device import open_device as open_named

    axes = AxisConvention(
        translation_scale=config.translation_scale,
        rotation_scale=config.rotation_scale,
        operator_heading=config.operator_heading,
    )
    return open_named(config.device, axes)


class OcrrlDevice(Teleoperator):
    """`lerobot.teleoperators.Teleoperator`."""

    config_class = OcrrlDeviceConfig
    name = "ocrrl_device"

    def __init__(self, config: OcrrlDeviceConfig, open_device: OpenDevice = open_device) -> None:
        self._device: TeleoperationDevice | None = None
        super().__init__(config)
        self.config, self._open_device = config, open_device

    @property
    def action_features(self) -> dict[str, type]:
        return dict.fromkeys(ACTION_NAMES, float)

    @property
    def feedback_features(self) -> dict[str, type]:
        return {}

    @property
    def is_connected(self) -> bool:
        return self._device is not None

    @property
    def is_calibrated(self) -> bool:
        return True

    def calibrate(self) -> None:
        pass

    def configure(self) -> None:
        pass

    @check_if_already_connected
    def connect(self, calibrate: bool = True) -> None:
        self._device = self._open_device(self.config)
        self._device.begin(0)

    @check_if_not_connected
    def get_action(self) -> RobotAction:
        """The operator's action; RuntimeError when the device is lost."""
        assert self._device is not None
        motion = self._device.read().motion
        return dict(zip(ACTION_NAMES, map(float, motion), strict=True))

    def send_feedback(self, feedback: dict[str, Any]) -> None:
        raise NotImplementedError("a device of ours gives no feedback to the hand")

    @check_if_not_connected
    def disconnect(self) -> None:
        device, self._device = self._device, None
        assert device is not None
        device.end()
        device.close()
