"""Explains a difference between recorded poses and joints by a wrong line of the mapping, if one fits.

Legend: T rows; poses (T, 7) and transforms (7,) as in `ocrrl.episodes.pose_agreement`: recorded = base x joints' x tool.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import permutations

import numpy as np
from jaxtyping import Float

from ocrrl.episodes import pose_agreement
from ocrrl.episodes.episode_checks import MAX_DISTANCE, MAX_JOINT, EpisodeRejected
from ocrrl.episodes.pose_agreement import Apart, Poses, Transform, apart, inverse, product
from ocrrl.interface import rotations
from ocrrl.interface.fr3_chain import FR3
from ocrrl.interface.rigid import NOWHERE
from ocrrl.interface.rotation_forms import forms_of_width
from ocrrl.recordings.meaning.rotation_forms import PoseDeclaration
from ocrrl.recordings.meaning.transform_words import base_line, describe_turn, rounded, tool_line

POSITION_AGREES, ROTATION_AGREES = 0.01, np.radians(2.0)  # [m], [rad]: of the median row
POSITION_NEAR, ROTATION_NEAR = 0.05, 0.2  # [m], [rad]: of most rows, a moment's lag among them
LONGEST_TOOL = 0.5  # [m]
SCALES = {0.001: "millimetres", 0.01: "centimetres", 0.0254: "inches"}
IN_DEGREES = float(np.radians(1.0))
_YAWS = [rotations.from_rotation_vector(np.array([0.0, 0.0, yaw])) for yaw in (0.0, np.pi / 2, -np.pi / 2, np.pi)]
_QUATERNION = 4  # numbers
_ROWS = 60
"""So many rows, spread over the episode, are looked at."""


@dataclass(frozen=True)
class Recorded:
    """The numbers of an episode as they were recorded, and what the mapping declares of them."""

    position: Float[np.ndarray, "T 3"]
    rotation: Float[np.ndarray, "T n"]
    joints: Float[np.ndarray, "T 7"]
    declared: PoseDeclaration
    joint_scale: float
    """Radians that one unit of `joints` stands for."""
    rotation_line: Callable[[str], str]
    """The mapping's line that declares a form of rotation."""
    joint_line: Callable[[Sequence[int]], str]
    """The mapping's line that takes the joints in this order."""

    def poses(self) -> Poses:
        """The declared gripper poses; raises `EpisodeRejected`."""
        return self.declared.gripper_poses(self.position, self.rotation)

    def joint_poses(self) -> Poses:
        """Where the joints bring the gripper."""
        return FR3.gripper_pose(self.joint_scale * self.joints)

    def some_rows(self) -> "Recorded":
        """At most `_ROWS` rows of it."""
        rows = np.unique(np.linspace(0, len(self.joints) - 1, _ROWS).astype(int))
        return replace(self, position=self.position[rows], rotation=self.rotation[rows], joints=self.joints[rows])


@dataclass(frozen=True)
class Explanation:
    """What is wrong, and the lines of the mapping that would be right."""

    cause: str
    lines: tuple[str, ...]


def agrees(distance: Apart) -> bool:
    """Whether poses that are so far apart are the same, but for the errors of sensors and clocks."""
    return (
        distance.position <= POSITION_AGREES
        and distance.position_most <= POSITION_NEAR
        and distance.rotation <= ROTATION_AGREES
        and distance.rotation_most <= ROTATION_NEAR
    )


def explain(recorded: Recorded) -> Explanation | None:
    """The simplest explanation that makes poses and joints agree, or None."""
    recorded = recorded.some_rows()
    readings = list(_other_readings(recorded))
    for explanation, other in readings:
        if agrees(apart(other.poses(), other.joint_poses())):
            return explanation
    as_declared = Explanation("", ())
    for explanation, other in [(as_declared, recorded), *readings]:
        both_sides = explanation is as_declared or recorded.rotation.shape[1] == _QUATERNION
        if (offset := _constant_offset(other, both_sides)) is not None:
            causes = " and ".join(cause for cause in (explanation.cause, offset.cause) if cause)
            return Explanation(causes, explanation.lines + offset.lines)
    return _joints_in_another_order(recorded)


def _other_readings(recorded: Recorded) -> Iterator[tuple[Explanation, Recorded]]:
    """The same numbers read otherwise, the likeliest mistakes first."""
    declared = recorded.declared
    found: list[tuple[Explanation, Recorded]] = []

    def read_with(cause: str, line: str, **declares: object) -> None:
        found.append((Explanation(cause, (line,)), replace(recorded, declared=replace(declared, **declares))))

    for form in forms_of_width(recorded.rotation.shape[1]):
        if form != declared.rotation_form:
            cause = f"rotation is {_spoken(form)}, not {_spoken(declared.rotation_form)}"
            read_with(cause, recorded.rotation_line(form), rotation_form=form)
    cause = "rotation is the inverse (the quaternion's conjugate)"
    read_with(cause, "rotation_inverse: true", rotation_inverse=not declared.rotation_inverse)
    in_metres = np.abs(declared.position_scale * recorded.position).max() <= MAX_DISTANCE
    lengths = [] if in_metres else [(scale, unit) for scale, unit in SCALES.items() if scale != declared.position_scale]
    for scale, unit in lengths:
        read_with(f"position is in {unit}", f"position_scale: {scale:g}", position_scale=scale)
    angle = IN_DEGREES if np.abs(recorded.joints).max() > MAX_JOINT else 1.0
    if angle != recorded.joint_scale:
        unit = "degrees" if angle == IN_DEGREES else "radians"
        cause = Explanation(f"joint_positions are in {unit}", (f"joint_scale: {angle:.7g}",))
        found.append((cause, replace(recorded, joint_scale=angle)))
    yield from (reading for reading in found if _is_readable(reading[1]))
    # Two of the mistakes at once: the units of positions together with another reading.
    for explanation, other in found:
        for scale, unit in lengths if other.declared.position_scale == declared.position_scale else ():
            both = replace(other, declared=replace(other.declared, position_scale=scale))
            if _is_readable(both):
                lines = (*explanation.lines, f"position_scale: {scale:g}")
                yield Explanation(f"{explanation.cause} and position is in {unit}", lines), both


def _is_readable(recorded: Recorded) -> bool:
    try:
        recorded.poses()
    except EpisodeRejected:
        return False
    return True


def _spoken(form: str) -> str:
    return form.replace("_", " ", 1) if form.startswith(("quaternion", "rotation")) else form


def _constant_offset(recorded: Recorded, both_sides: bool) -> Explanation | None:
    """A base pose, a tool, or both, that make poses and joints agree and are more than what then remains."""
    poses, joints = recorded.poses(), recorded.joint_poses()
    before = apart(poses, joints)
    tool = rounded(pose_agreement.on_the_right(poses, joints))
    base = rounded(pose_agreement.on_the_left(poses, joints))
    by_tool = apart(poses, product(joints, tool)) if np.linalg.norm(tool[:3]) <= LONGEST_TOOL else None
    by_base = apart(poses, product(base, joints))
    tool_does = by_tool is not None and _explains(by_tool, before)
    base_does = _explains(by_base, before)
    if tool_does and base_does and by_tool is not None:  # an arm that never turns its hand: both are possible
        further = np.linalg.norm(base[:3]) > LONGEST_TOOL / 2
        tool_does = by_tool.position < 0.5 * by_base.position or not (
            further or by_base.position < 0.5 * by_tool.position
        )
        base_does = not tool_does
    declared = recorded.declared
    if tool_does:
        return _of_tool(tool, declared)
    if base_does:
        return _of_base(base, declared)
    turn = base[3:]
    for left_turn in (*_YAWS, turn) if both_sides else ():
        left, right = map(rounded, pose_agreement.on_both_sides(poses, joints, left_turn))
        if np.linalg.norm(right[:3]) <= LONGEST_TOOL and _explains(
            apart(poses, product(product(left, joints), right)), before
        ):
            base_turn, tool_turn = _of_base(left, declared), _of_tool(right, declared)
            return Explanation(f"{base_turn.cause} and {tool_turn.cause}", base_turn.lines + tool_turn.lines)
    return None


def _explains(after: Apart, before: Apart) -> bool:
    """A constant offset always improves a little: it must do away with most of the distance."""
    positions = before.position <= POSITION_AGREES or after.position_most <= 0.5 * before.position
    turns = before.rotation <= ROTATION_AGREES or after.rotation_most <= 0.5 * before.rotation
    return agrees(after) and positions and turns


def _of_tool(tool: Transform, declared: PoseDeclaration) -> Explanation:
    line, instead = tool_line(product(tool, np.array(declared.tool_in_gripper))), declared.tool_in_gripper != NOWHERE
    cause = f"the recorded tool is not our gripper frame, but {describe_turn(tool)}"
    return Explanation(cause, (line + " in place of the declared one" * instead,))


def _of_base(base: Transform, declared: PoseDeclaration) -> Explanation:
    line, instead = base_line(product(np.array(declared.base_pose), base)), declared.base_pose != NOWHERE
    cause = f"the robot's base is not the poses' origin, but {describe_turn(base)}"
    return Explanation(cause, (line + " in place of the declared one" * instead,))


def _joints_in_another_order(recorded: Recorded) -> Explanation | None:
    poses, joints = recorded.poses(), recorded.joint_scale * recorded.joints
    orders = np.array([range(6, -1, -1), *permutations(range(7))])
    for row in (0, len(poses) // 2, len(poses) - 1):
        there = FR3.gripper_pose(joints[row][orders])
        near = (np.linalg.norm(there[:, :3] - poses[row, :3], axis=-1) < POSITION_NEAR) & (
            rotations.angle_between(there[:, 3:], poses[row, 3:]) < ROTATION_NEAR
        )
        orders = orders[near]
    for order in orders:
        if agrees(apart(poses, FR3.gripper_pose(joints[:, order]))):
            return Explanation("joint_positions are in another order", (recorded.joint_line(order.tolist()),))
    return None


def offset_turned_back(poses: Poses, joints: Poses) -> Transform:
    """The constant turn of the tool (no shift) nearest to all of poses = joints x turn."""
    return np.concatenate([np.zeros(3), pose_agreement.mean_rotation(product(inverse(joints), poses)[:, 3:])])
