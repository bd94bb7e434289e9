"""Opens a teleoperation device by its name."""

import argparse

from ocrrl.robot.teleoperation.axes import AxisConvention
from ocrrl.robot.teleoperation.device import TeleoperationDevice
from ocrrl.robot.teleoperation.gamepad import open_gamepad
from ocrrl.robot.teleoperation.spacemouse import open_spacemouse

SPACEMOUSE, GAMEPAD, SCRIPTED = "spacemouse", "gamepad", "scripted"


def open_device(name: str, axes: AxisConvention) -> TeleoperationDevice:
    """The device that is plugged in, `spacemouse` or `gamepad`; RuntimeError says what is missing."""
    return open_spacemouse(axes) if name == SPACEMOUSE else open_gamepad(axes)


def axes_of(options: argparse.Namespace) -> AxisConvention:
    """As the arguments of a command say (`ocrrl.commands.axis_arguments`)."""
    return AxisConvention(
        operator_heading=options.operator_heading,
        translation_scale=options.translation_scale,
        rotation_scale=options.rotation_scale,
    )
