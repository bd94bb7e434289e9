"""`ocrrl teleoperate`: records demonstrations in a cell with a teleoperation device."""

import argparse
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from ocrrl.commands.axis_arguments import add_axis_arguments
from ocrrl.interface.cells import session_cell
from ocrrl.interface.seeds import SEEDS_PER_RANGE, initial_state_seeds
from ocrrl.interface.tabletop_tasks import TabletopTask
from ocrrl.layout import WORK, Layout
from ocrrl.params import chosen_cameras
from ocrrl.robot.cell.arm_environment import ArmEnvironment
from ocrrl.robot.cell.checked_cell import check_cell
from ocrrl.robot.cell.closing import closed_told, unclosed_told
from ocrrl.robot.cell.guarded_cell import RobotCell
from ocrrl.robot.open_cell import logs_of, open_cell, reserved
from ocrrl.robot.operator.approval import Clock
from ocrrl.robot.operator.ending_signals import interrupted_by_signals
from ocrrl.robot.operator.operator_at_terminal import OperatorAtTerminal
from ocrrl.robot.operator.operator_prompt import obtain_approval
from ocrrl.robot.operator.terminal_keys import TerminalKeys
from ocrrl.robot.safety.fault_log import FAULTS, faults_told
from ocrrl.robot.teleoperation.device import TeleoperationDevice
from ocrrl.robot.teleoperation.open_device import GAMEPAD, SCRIPTED, SPACEMOUSE, axes_of, open_device
from ocrrl.robot.teleoperation.operator import Label, LabelledByKeys, Operator, TerminalOperator
from ocrrl.rollouts.rollout_recorder import package_versions
from ocrrl.sessions.recording_session import SessionConfig, next_number, record_session, require_same_cameras
from ocrrl.sessions.set_up_sheet import operator_beside
from ocrrl.stages.running import files_reserved
from ocrrl.tabletop.registry import tabletop_task
from ocrrl.worlds import make_scene, make_teleoperator

ATTEMPTS = 3
"""Initial states a wanted demonstration: failures use one up."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("tabletop_task", help="such as cube_lift")
    parser.add_argument("--cell", required=True, help="rehearsal, wire_twin or fr3")
    parser.add_argument("--cell-file", type=Path, help="instead of cells/<cell>.yaml")
    parser.add_argument("--device", required=True, choices=(SPACEMOUSE, GAMEPAD, SCRIPTED))
    parser.add_argument(
        "--session", required=True, help="name of the folder under data/episodes/<task>; an existing one is continued"
    )
    parser.add_argument("--episodes", type=int, required=True, help="number of successful demonstrations")
    parser.add_argument("--operator", help="name of the person who teleoperates; default: the one who approved")
    add_axis_arguments(parser)


def run(options: argparse.Namespace) -> int:
    return teleoperate(options, time.time)


class Asked:
    """A recording session's operator where the cell asks them itself, or where there is nobody to ask."""

    def __init__(self, name: str, labelled: Callable[[str], Label | None]) -> None:
        """`labelled` says how an episode went that ended without a word."""
        self.name, self._labelled = name, labelled

    def confirm(self, question: str) -> bool:
        return True

    def label(self, question: str) -> Label | None:
        return self._labelled(question)


def teleoperate(options: argparse.Namespace, clock: Clock, told: Callable[[str], object] = print) -> int:
    """Record the demonstrations that `options` ask for; 1 if the session ended before they were all there.

    Likewise where cell or device could not be closed as they should be, which is told last.
    """
    cell, task = session_cell(options.cell), tabletop_task(options.tabletop_task)
    folder = Layout(task.slug).recording_session(options.session)
    if options.device == SCRIPTED and cell.name != "wire_twin":
        raise ValueError(f"device {SCRIPTED} is for the wire twin, got cell {cell.name}: no script drives a robot")
    config = SessionConfig(options.episodes, cell_decides=options.device == SCRIPTED)
    cameras = chosen_cameras()
    require_same_cameras(folder, cameras)
    checked = check_cell(cell, options.cell_file, clock, cameras)
    first = SEEDS_PER_RANGE // 2 + (next_number(folder) if folder.is_dir() else 0)  # a session that goes on, goes on
    seeds = initial_state_seeds("record", ATTEMPTS * options.episodes, first)
    axes = axes_of(options)
    keys = None if options.device == SCRIPTED else TerminalKeys()
    scene = make_scene(task.slug)
    with interrupted_by_signals(), unclosed_told(cell.name) as unclosed:
        with faults_told(logs_of(cell) / FAULTS, told), ExitStack() as opened:
            opened.enter_context(reserved(cell))
            opened.enter_context(files_reserved(f"session {options.session} in {cell.name}", writes=[folder]))
            beside = operator_beside(cell, scene, checked, folder, opened, keys)
            by_hand = LabelledByKeys(open_device(options.device, axes), keys) if keys else None
            if by_hand:
                opened.enter_context(closed_told(by_hand, unclosed.append))
            approval = obtain_approval(cell, options.session, task.slug, options.episodes, clock)
            world = open_cell(cell.name, scene, approval, clock, WORK, checked, beside, cameras)
            opened.enter_context(closed_told(world, unclosed.append))
            operator = _operator(options.operator or (approval.operator if approval else "nobody"), keys, beside)
            device = by_hand or _script(task, world)
            summary = record_session(world, device, operator, folder, seeds, config, package_versions(), told)
        counts = f"{len(summary.successes)} successes, {len(summary.failures)} failures, {summary.discarded} discarded"
        told(f"{cell.name}, {cell.stands_for}: {counts}; it ended: {summary.ended}")
        told(f"Next: dvc add {folder}, then ocrrl params --episodes {task.slug}={folder}/successes")
    return int(len(summary.successes) < config.episodes or bool(unclosed))


def _operator(name: str, keys: TerminalKeys | None, beside: OperatorAtTerminal | None) -> Operator:
    if keys is None:
        return Asked(name, lambda question: "failure")
    at_desk = TerminalOperator(name)
    return at_desk if beside is None else Asked(name, at_desk.label)


def _script(task: TabletopTask, cell: RobotCell) -> TeleoperationDevice:
    from ocrrl.robot.teleoperation.scripted import DemonstratorDevice, TrackedStates

    if not isinstance(cell, ArmEnvironment):
        raise TypeError(f"a script must be shown the cell itself, got {type(cell).__name__}")
    return DemonstratorDevice(make_teleoperator(task.slug, TrackedStates(cell)), lambda: cell.seen, cell.capture)
