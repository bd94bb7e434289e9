"""Suggests a mapping for a dataset: a guess from names and numbers, corrected by reading an episode.

Joints are known by the FR3's limits, poses by lying where the joints bring the gripper, else by their names. What the
numbers cannot tell is marked `???`, for a person to fill in.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import yaml

from ocrrl.episodes.episode_checks import EpisodeRejected
from ocrrl.interface.tabletop_tasks import TabletopTask
from ocrrl.printable import one_line
from ocrrl.recordings.meaning.foreign_mapping import UNKNOWN, open_keys
from ocrrl.recordings.suggestion.column_roles import (
    gripper_command,
    gripper_width,
    object_poses_in,
)
from ocrrl.recordings.suggestion.dataset_fields import DatasetFields
from ocrrl.recordings.suggestion.pose_role import joints_and_pose_in

WRIST = re.compile(r"wrist|hand|gripper|ego|cam_?2|image2", re.IGNORECASE)
FRONT = re.compile(r"front|agent|third|scene|exterior|external|base|main|high|top|side|cam_?1|image", re.IGNORECASE)
_ADD = re.compile(r"add to the mapping: (.*)$")
_THEN = re.compile(r"then ((?:[a-z_]+: [^;)]+(?:; )?)+)")
_BETWEEN = re.compile(r"(?:; |, | and )(?=[a-z_]+: )")
"""What parts one line from the next, where several are to be added."""
_ROUNDS = 6  # corrections, each for one thing that reading refuses


@dataclass
class Suggestion:
    """A section of params.yaml, and why it says what it says."""

    source_format: str
    mapping: dict[str, object] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    """By key of the mapping: where the value comes from, or what a person must say."""
    remarks: list[str] = field(default_factory=list)
    """What is missing, with what that means."""

    @property
    def is_complete(self) -> bool:
        """Whether an episode can be read with what is known, the cell's name and the rate apart."""
        return not self.open_keys() - {"cell", "control_hz"}

    def trial(self) -> dict[str, object]:
        """The mapping to read an episode with before a person has filled in the rest."""
        return {key: value for key, value in self.mapping.items() if value != UNKNOWN} | {"cell": "to_be_named"}

    def images(self) -> Mapping[str, str]:
        """Our cameras' images by the recording's key."""
        images = self.mapping.get("images")
        return images if isinstance(images, Mapping) else {}

    def open_keys(self) -> set[str]:
        """The keys that only a person can fill in."""
        return {key.split(".")[0] for key in open_keys(self.mapping)}

    def lines(self, task: str) -> list[str]:
        """Lines of YAML for params.yaml."""
        lines = ["ingest:", f"  {task}:", f"    source_format: {self.source_format}", "    mapping:"]
        for key, value in self.mapping.items():
            text = yaml.safe_dump(value, default_flow_style=True, width=1000, allow_unicode=True, sort_keys=False)
            reason = f"  # {one_line(self.reasons[key])}" if key in self.reasons else ""
            lines.append(f"      {key}: {text.removesuffix(chr(10)).removesuffix('...').rstrip()}{reason}")
        return lines + [f"      # {one_line(remark)}" for remark in self.remarks]


def suggest_mapping(fields: DatasetFields, task: TabletopTask, cameras: Mapping[str, tuple[int, int]]) -> Suggestion:
    """The likeliest mapping of `fields`, for `cameras` by our names; nothing has been read with it yet."""
    suggestion = Suggestion(fields.source_format)
    mapping, reasons = suggestion.mapping, suggestion.reasons
    mapping["cell"], reasons["cell"] = UNKNOWN, "the name of your robot cell, such as my_fr3"
    mapping["images"], reasons["images"] = _cameras(list(fields.images), list(cameras))
    measured, commanded = _sides(fields)
    joints, pose = joints_and_pose_in(measured)
    if joints is not None:
        mapping["joint_positions"], reasons["joint_positions"] = joints.selection, joints.reason
        if joints.scale != 1.0:
            mapping["joint_scale"], reasons["joint_scale"] = joints.scale, "recorded in degrees"
    if pose is not None:
        mapping["position"], reasons["position"] = pose.position, pose.reason
        rotation = "quaternion" if fields.source_format == "robomimic" and pose.form.startswith("quat") else "rotation"
        mapping[rotation] = pose.rotation
        if rotation == "quaternion":
            mapping["quaternion_order"] = pose.form.removeprefix("quaternion_")
            reasons["quaternion_order"] = pose.form_reason
        else:
            form = UNKNOWN if pose.is_form_open and joints is None else pose.form  # with joints, reading tells it
            mapping["rotation_form"], reasons["rotation_form"] = form, pose.form_reason
    elif joints is None:
        mapping["position"], reasons["position"] = UNKNOWN, "the gripper's position, 3 numbers, or joint_positions, 7"
        mapping["rotation"], reasons["rotation"] = UNKNOWN, "its rotation, with rotation_form"
        names = [name for f in fields.numbers.values() for name in f.names or ()]
        if all(any(side in name.lower() for name in names) for side in ("left", "right")):
            suggestion.remarks.append("two arms, by the names (left, right): recordings of one arm alone can be read")
    elif fields.source_format == "robomimic":
        mapping["position"] = mapping["quaternion"] = None
        reasons["position"] = "none found: the pose follows from the joints"
    taken = frozenset().union(*(role.columns for role in (joints, pose) if role is not None))
    width = gripper_width(measured, taken)
    mapping["gripper_width"], reasons["gripper_width"] = (
        (UNKNOWN, "the distance of the fingers") if width is None else (width.selection, width.reason)
    )
    if width is not None and width.scale != 1.0:
        mapping["gripper_width_scale"], reasons["gripper_width_scale"] = width.scale, width.scale_reason
    command = gripper_command(commanded, width)
    mapping["gripper_command"], reasons["gripper_command"] = (
        (UNKNOWN, "what was asked of the fingers") if command is None else (command.selection, command.reason)
    )
    if command is not None and command.ends != (0.0, 1.0):
        mapping["gripper_closed"], mapping["gripper_open"] = command.ends
        reasons["gripper_closed"] = command.ends_reason
    _add_objects(suggestion, fields, task)
    if fields.recorded_hz is None:
        mapping["control_hz"], reasons["control_hz"] = UNKNOWN, "rows a second, which the file does not say"
    return suggestion


def correct(
    suggestion: Suggestion, attempt: Callable[[Mapping[str, object]], EpisodeRejected | None]
) -> EpisodeRejected | None:
    """Follow what reading an episode with the mapping says must be added, until nothing more is said.

    `attempt` reads with a mapping and gives the refusal; returned is the last one, None where the episode was read.
    """
    if not suggestion.is_complete:
        return None
    refusal = attempt(suggestion.trial())
    for _ in range(_ROUNDS):
        if refusal is None:
            return None
        if "leave object_poses out" in refusal.reason and "object_poses" in suggestion.mapping:
            del suggestion.mapping["object_poses"]
            suggestion.remarks.append("object_poses: left out, the joints are not an FR3's in these poses")
            refusal = attempt(suggestion.trial())
            continue
        lines = dict(_told(refusal.reason))
        if not lines or lines.items() <= suggestion.mapping.items():
            return refusal
        suggestion.mapping.update(lines)
        suggestion.reasons.update(dict.fromkeys(lines, "found by reading: see that it is so"))
        refusal = attempt(suggestion.trial())
    return refusal


def _told(reason: str) -> Iterator[tuple[str, object]]:
    """The lines that a refusal says should be added, as keys and values."""
    found = _ADD.search(reason) or _THEN.search(reason)
    for line in _BETWEEN.split(found[1]) if found else ():
        if re.match(r"[a-z_]+: ", line):
            try:
                yield from yaml.safe_load(line.rstrip("?; ")).items()
            except (yaml.YAMLError, AttributeError):
                return


def _cameras(keys: list[str], wanted: list[str]) -> tuple[dict[str, str], str]:
    """Which of the images is which camera of ours: by name, the rest by elimination."""
    by_name: dict[str, str] = {}
    for camera in sorted(
        wanted, key=lambda name: name != "wrist"
    ):  # what is a wrist's is named so; a front has many names
        pattern = WRIST if camera == "wrist" else FRONT
        free = [key for key in keys if key not in by_name.values()]
        exact = [key for key in free if camera in re.split(r"[^a-z]+", key.lower())]
        alike = [key for key in free if pattern.search(key.rsplit(".", 1)[-1])]
        if camera != "wrist":
            alike = [key for key in alike if not WRIST.search(key.rsplit(".", 1)[-1])]
        if chosen := exact or alike or (free if len(free) == 1 and camera != "wrist" else []):
            by_name[camera] = chosen[0]
    rest = [key for key in keys if key not in by_name.values()]
    missing = [camera for camera in wanted if camera not in by_name]
    images = {camera: by_name.get(camera, UNKNOWN) for camera in wanted}
    reason = f"found: {', '.join(keys) or 'no images'}"
    if missing:
        reason += f"; {', '.join(missing)} must be there: the VLA and the cell have {', '.join(wanted)}"
    elif rest:
        reason = f"not taken: {', '.join(rest)}"
    else:
        reason = "by their names"
    return images, reason


def _sides(fields: DatasetFields) -> tuple[DatasetFields, DatasetFields]:
    """What was measured, and what was commanded."""
    actions = {key: f for key, f in fields.numbers.items() if key.split(".")[0] in ("action", "actions")}
    others = {key: f for key, f in fields.numbers.items() if key not in actions and not key.startswith("next.")}
    return replace(fields, numbers=others), replace(fields, numbers=actions or others)


def _add_objects(suggestion: Suggestion, fields: DatasetFields, task: TabletopTask) -> None:
    names = [tracked.name for tracked in task.objects]
    form = suggestion.mapping.get("rotation_form", f"quaternion_{suggestion.mapping.get('quaternion_order', 'xyzw')}")
    has_joints = "joint_positions" in suggestion.mapping
    found, found_form = object_poses_in(fields, names, str(form)) if has_joints else ({}, "")
    if found and set(found) == set(names):
        suggestion.mapping["object_poses"] = found
        suggestion.reasons["object_poses"] = "without them replay drops every episode; see that it is so"
        if found_form != form:
            suggestion.mapping["object_rotation_form"] = found_form or UNKNOWN
            suggestion.reasons["object_rotation_form"] = "the object stands upright with it: see that it is so"
        return
    wanted = ", ".join(f"{name}: key[0:7]" for name in names)
    also = "" if has_joints else " and joint_positions"
    suggestion.remarks.append(f"object_poses: {{{wanted}}}{also}: not found; without them replay drops every episode")
