"""Who may step in during a session of rollouts: a person with a device, or in a twin a script."""

import argparse
from collections.abc import Callable
from contextlib import ExitStack
from typing import Protocol

from ocrrl.interface.cells import Cell
from ocrrl.interface.protocols import Intervener
from ocrrl.robot.cell.arm_environment import ArmEnvironment
from ocrrl.robot.cell.closing import closed_told
from ocrrl.robot.cell.guarded_cell import GuardedCell, RobotCell
from ocrrl.robot.teleoperation.device import TeleoperationDevice
from ocrrl.robot.teleoperation.intervener import DeviceIntervener
from ocrrl.robot.teleoperation.open_device import GAMEPAD, SCRIPTED, SPACEMOUSE, axes_of, open_device
from ocrrl.robot.teleoperation.scripted import TrackedStates
from ocrrl.robot.teleoperation.scripted_intervener import ScriptedIntervener
from ocrrl.robot.twin.twin import TwinCell
from ocrrl.sim.teleoperator import TrueStateEnvironment
from ocrrl.tabletop.parts.scene import TabletopScene
from ocrrl.worlds import make_teleoperator

HOLD = {SPACEMOUSE: "the right button", GAMEPAD: "the right trigger"}


class SteppingIn(Intervener, Protocol):
    """An intervener that knows before an episode whether they can step in."""

    def ready(self) -> None:
        """Raises PolicyFault where they cannot: nothing has moved."""
        ...


def require_intervener(name: str | None, cell: Cell) -> None:
    """ValueError for a script beside a robot."""
    if name == SCRIPTED and not cell.simulated:
        raise ValueError(
            f"--intervene must be {SPACEMOUSE} or {GAMEPAD} in cell {cell.name}, got {name}: no script drives a robot"
        )


def opened_device(
    options: argparse.Namespace, opened: ExitStack, unclosed: Callable[[str], object]
) -> TeleoperationDevice | None:
    """The device that `options.intervene` names, plugged in; `opened` closes it. None where a script steps in, or nobody."""
    name = getattr(options, "intervene", None)
    if name in (None, SCRIPTED):
        return None
    device = open_device(name, axes_of(options))
    opened.enter_context(closed_told(device, unclosed))
    print(f"Hold {HOLD[name]} to take over from the policy, let go to give back.", flush=True)
    return device


def intervener_in(
    world: RobotCell, scene: TabletopScene, name: str | None, device: TeleoperationDevice | None
) -> SteppingIn | None:
    """Who steps in in `world`: whoever holds `device`, the script, or nobody where `name` is None."""
    if device is not None:
        return DeviceIntervener(device)
    if name is None:
        return None
    seen = _seen(world)
    return ScriptedIntervener(seen, scene, make_teleoperator(scene.task.slug, seen))


def _seen(world: RobotCell) -> TrueStateEnvironment:
    """The state of a twin as a script sees it; TypeError for another cell."""
    cell = world.unguarded if isinstance(world, GuardedCell) else world
    if isinstance(cell, ArmEnvironment):
        return TrackedStates(cell)
    if isinstance(cell, TwinCell):
        return cell
    raise TypeError(f"a script must be shown a twin, got {type(cell).__name__}")
