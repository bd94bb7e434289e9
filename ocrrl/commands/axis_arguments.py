"""The arguments that say how a teleoperation device moves the arm; imports nothing, since stages' arguments are made with them too."""

import argparse


def add_axis_arguments(parser: argparse.ArgumentParser) -> None:
    """Those of `ocrrl.robot.teleoperation.axes.AxisConvention` that a command sets."""
    for name, default, meaning in (
        ("--operator-heading", 0.0, "operator's position [rad]: 0 behind the robot, 3.14159 facing it"),
        ("--translation-scale", 0.6, "share of 2 cm per step at full deflection"),
        ("--rotation-scale", 0.6, "share of 0.10 rad per step at full deflection"),
    ):
        parser.add_argument(name, type=float, default=default, help=f"{meaning} (default {default:g})")
