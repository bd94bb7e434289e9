"""Checks of an episode's numbers, for every file and format.

Legend: T control steps, O tracked objects; positions [m] and wxyz quaternions, robot base frame.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from ocrrl.episodes.image_fit import ImageFit
from ocrrl.interface.actions import ACTION_HIGH, ACTION_LOW, CONTROL_HZ, MAX_ROTATION_STEP, MAX_TRANSLATION_STEP
from ocrrl.interface.episode import Episode
from ocrrl.interface.rigid import QUATERNION_TOLERANCE
from ocrrl.interface.tabletop_tasks import TabletopTask
from ocrrl.tabletop.registry import slugs, tabletop_task

STEP_TOLERANCE = 0.5
"""A step may take this share of 1/control_hz more or less."""
RATE_TOLERANCE = 0.1
"""The whole episode's mean rate may differ from control_hz by this share."""
MAX_DISTANCE = 3.0  # [m] from the robot base; beyond it positions are in millimetres
MAX_WIDTH = 0.3  # [m] between the fingers; beyond it the width is in millimetres
MAX_JOINT = 2.0 * np.pi  # [rad]; beyond it joints are in degrees
MAX_ASKED = 10.0
"""Of what a policy may ask for, in the units of actions: it is limited later, and no policy asks for metres."""
MAX_LOST = 1e3  # [m] of an object's pose without confidence, which means nothing and must still be a number
MAX_SEED = 2**53
STEP_ROUNDING = 1e-6
"""[m], [rad] by which a step may be beyond its limit."""
_MEASURED = ("gripper_pose", "commanded_pose", "joint_positions", "gripper_width", "timestamps")


class EpisodeRejected(ValueError):
    """An episode that must not be used: `<file>: <field> must be <required>, got <got>`."""

    def __init__(self, field: str, required: str, got: str, file: str = "episode") -> None:
        self.field, self.required, self.got, self.file = field, required, got, file
        super().__init__(f"{file}: {self.reason}")

    def __reduce__(self) -> tuple[type, tuple[str, ...]]:
        """From another process it comes as it was."""
        return type(self), (self.field, self.required, self.got, self.file)

    @property
    def reason(self) -> str:
        """The message without the file."""
        return f"{self.field} must be {self.required}, got {self.got}"

    def of_file(self, file: str) -> "EpisodeRejected":
        """The same, said of `file`."""
        return EpisodeRejected(self.field, self.required, self.got, file)


@dataclass(frozen=True)
class EpisodeRequirements:
    """What is asked of an episode beyond being sound; None asks nothing."""

    tabletop_task: TabletopTask | None = None
    success: bool | None = None
    image_shapes: dict[str, tuple[int, int, int]] | None = None
    """(H, W, 3) by camera, as in the dataset that it joins."""
    cells: tuple[str, ...] | None = None
    images: ImageFit | None = None
    """The cameras to take, and the size that their images are brought to as they are read; None takes them as recorded."""
    split: str = ""
    """Of a dataset that names splits (robomimic's masks, LeRobot's `splits`), the one to take; empty takes every episode."""
    still_cameras: tuple[str, ...] = ()
    """Cameras that may show the same image throughout, or black."""
    max_bytes: int = 2 * 10**9
    """That one episode's arrays may take, decoded, images at the size that they are brought to."""

    def cameras_among(self, recorded: Iterable[str], field: str = "images") -> tuple[list[str], tuple[str, ...]]:
        """The cameras to take, and a note for each other one; `EpisodeRejected` of `field` where one is not among `recorded`."""
        there = list(recorded)
        if self.images is None:
            return there, ()
        wanted = ", ".join(sorted(self.images.sizes))
        if missing := ", ".join(sorted(set(self.images.sizes) - set(there))):
            raise EpisodeRejected(field, f"of {wanted}", f"{', '.join(there)} ({missing} missing)")
        others = sorted(set(there) - set(self.images.sizes))
        notes = tuple(f"images.{camera}: left out, no camera of the cell ({wanted})" for camera in others)
        return [camera for camera in there if camera in self.images.sizes], notes


def check_episode(episode: Episode, expected: EpisodeRequirements) -> None:
    """Raise `EpisodeRejected` for the first thing wrong with `episode`."""
    _check_attributes(episode, expected)
    _check_arrays(episode, expected)
    _check_numbers(episode)
    check_times("timestamps", episode.timestamps, "control_hz", episode.attributes.control_hz)
    check_actions(episode.action)
    if episode.label is not None:
        check_actions(episode.label, "label")


def _check_attributes(episode: Episode, expected: EpisodeRequirements) -> None:
    attributes = episode.attributes
    if attributes.tabletop_task not in slugs():
        raise EpisodeRejected("tabletop_task", f"one of {', '.join(slugs())}", repr(attributes.tabletop_task))
    if expected.tabletop_task and attributes.tabletop_task != expected.tabletop_task.slug:
        raise EpisodeRejected("tabletop_task", expected.tabletop_task.slug, attributes.tabletop_task)
    for name in ("instruction", "operator", "cell"):
        if not getattr(attributes, name).strip():
            raise EpisodeRejected(name, "a non-empty text", repr(getattr(attributes, name)))
    if attributes.control_hz != CONTROL_HZ:
        raise EpisodeRejected("control_hz", f"{CONTROL_HZ}", f"{attributes.control_hz:g}")
    if attributes.seed is not None and not 0 <= attributes.seed <= MAX_SEED:
        raise EpisodeRejected("seed", "a whole number from 0 to 2**53, or none", f"{attributes.seed}")
    others = [tabletop_task(slug) for slug in slugs() if slug != attributes.tabletop_task]
    for other in others:
        if attributes.instruction == other.instruction:
            raise EpisodeRejected("instruction", f"one of {attributes.tabletop_task}", f"that of {other.slug}")
    if expected.success is not None and attributes.success != expected.success:
        raise EpisodeRejected("success", str(expected.success).lower(), str(attributes.success).lower())
    if expected.cells is not None and attributes.cell not in expected.cells:
        raise EpisodeRejected("cell", f"one of {', '.join(expected.cells)}", attributes.cell)
    objects = tuple(tracked.name for tracked in tabletop_task(attributes.tabletop_task).objects)
    if episode.object_poses is not None and tuple(attributes.object_names) != objects:
        raise EpisodeRejected("object_names", ", ".join(objects), ", ".join(attributes.object_names) or "none")


def check_shapes(shapes: Mapping[str, tuple[int, ...]], objects: int | None = None) -> None:
    """Raise `EpisodeRejected` for the first of `shapes`, by array or `images/<camera>`, that is wrong.

    `objects` is how many are tracked; None where that is not known yet.
    """
    action = shapes["action"]
    if len(action) != 2 or action[1] != 7:
        raise EpisodeRejected("action", "of shape (T, 7)", f"{action}")
    if (steps := action[0]) == 0:
        raise EpisodeRejected("action", "at least one step", "zero steps (a zero-length episode)")
    others = {shapes[name][:1] for name in shapes if name in _MEASURED}
    if len(others) == 1 and others.isdisjoint({(steps,), ()}):
        raise EpisodeRejected("action", f"{others.pop()[0]} rows, as the other arrays have", f"{steps}")
    tracked = {"object_poses": (objects, 7), "object_confidence": (objects,), "object_visible": (objects,)}
    for name, shape in shapes.items():
        if name.startswith("images/"):
            if len(shape) != 4 or shape[3] != 3 or 0 in shape[1:]:
                raise EpisodeRejected(name, "of shape (T, height, width, 3)", f"{shape}")
            if shape[0] != steps:
                raise EpisodeRejected(name, f"{steps} images, one an action", f"{shape[0]}")
            continue
        required = (
            steps,
            *(
                ()
                if name in ("gripper_width", "timestamps", "intervention", "handed_over")
                else tracked.get(name, (7,))
            ),
        )
        if len(shape) != len(required) or any(n not in (None, m) for n, m in zip(required, shape, strict=True)):
            raise EpisodeRejected(name, f"of shape {required}".replace("None", "objects"), f"{shape}")


def _check_arrays(episode: Episode, expected: EpisodeRequirements) -> None:
    arrays = {name: values for name, values in vars(episode).items() if isinstance(values, np.ndarray)}
    arrays |= {f"images/{camera}": frames for camera, frames in episode.images.items()}
    check_shapes({name: values.shape for name, values in arrays.items()}, len(episode.attributes.object_names))
    for name, other in (("object_poses", "object_confidence"), ("base_action", "residual")):
        for present, absent in ((name, other), (other, name)):
            if present in arrays and absent not in arrays:
                raise EpisodeRejected(absent, f"there where {present} is", "nothing")
    if episode.object_visible is not None and episode.object_poses is None:
        raise EpisodeRejected("object_poses", "there where object_visible is", "nothing")
    if not episode.images:
        raise EpisodeRejected("images", "at least one camera", "none")
    shapes = {camera: frames.shape[1:] for camera, frames in sorted(episode.images.items())}
    if expected.image_shapes is not None and shapes != expected.image_shapes:
        raise EpisodeRejected("images", f"{expected.image_shapes} like the other recordings'", f"{shapes}")


def _check_numbers(episode: Episode) -> None:
    for name, values in vars(episode).items():
        if isinstance(values, np.ndarray):
            check_finite(name, values)
    poses = {"gripper_pose": episode.gripper_pose, "commanded_pose": episode.commanded_pose}
    if episode.object_poses is not None and episode.object_confidence is not None:
        meant = (episode.object_confidence > 0) | episode.observation().visible()  # a lost object's pose means nothing
        poses["object_poses"] = episode.object_poses[meant]
        low, high = episode.object_confidence.min(initial=0), episode.object_confidence.max(initial=0)
        if low < 0 or high > 1:
            raise EpisodeRejected("object_confidence", "in [0, 1]", f"{low if low < 0 else high:g}")
    for name in ("object_visible", "intervention", "handed_over"):
        marks = getattr(episode, name)
        if marks is not None and not np.isin(marks, (0, 1)).all():
            raise EpisodeRejected(name, "0 or 1", "another number")
    for name, pose in poses.items():
        pose = pose.reshape(-1, 7)
        check_unit_quaternions(name, pose[:, 3:])
        furthest = np.abs(pose[:, :3]).max(initial=0)
        if furthest > MAX_DISTANCE:
            raise EpisodeRejected(
                name, f"in metres, within {MAX_DISTANCE:g} m of the base", f"{furthest:g} (millimetres?)"
            )
    if episode.object_poses is not None:
        _check_range("object_poses", episode.object_poses, -MAX_LOST, MAX_LOST, "numbers", "not a pose")
    for name, asked in (("base_action", episode.base_action), ("residual", episode.residual)):
        if asked is not None:
            _check_range(name, asked, -MAX_ASKED, MAX_ASKED, "in the units of actions", "not an action")
    _check_range("gripper_width", episode.gripper_width, -0.01, MAX_WIDTH, "in metres", "millimetres?")
    _check_range("joint_positions", episode.joint_positions, -MAX_JOINT, MAX_JOINT, "in radians", "degrees?")


def check_finite(field: str, values: np.ndarray) -> None:
    """Raise `EpisodeRejected` for `field` where `values` (T, ...) are not finite."""
    if len(wrong := np.argwhere(~np.isfinite(values))):
        raise EpisodeRejected(field, "finite", f"{values[tuple(wrong[0])]} at step {wrong[0, 0]}")


def check_unit_quaternions(field: str, quaternions: np.ndarray, order: str = "wxyz") -> None:
    """Raise `EpisodeRejected` for `field` where one of `quaternions` (T, 4) is not of length 1."""
    norms = np.linalg.norm(quaternions, axis=-1)
    worst = int(np.abs(norms - 1).argmax()) if len(norms) else 0
    if len(norms) and abs(norms[worst] - 1) > QUATERNION_TOLERANCE:
        zero = " (all zeros: the row was written before there was a pose)" if norms[worst] < 1e-6 else ""
        raise EpisodeRejected(
            field, f"of unit quaternions ({order})", f"a norm of {norms[worst]:.4f} at step {worst}{zero}"
        )


def _check_range(name: str, values: np.ndarray, low: float, high: float, unit: str, otherwise: str) -> None:
    outside = values[(values < low) | (values > high)]
    if len(outside):
        raise EpisodeRejected(name, f"{unit}, in [{low:.2f}, {high:.2f}]", f"{outside[0]:g} ({otherwise})")


def check_times(field: str, times: np.ndarray, rate: str, hz: float, slack: float = 0.0, file: str = "episode") -> None:
    """Raise `EpisodeRejected` for `field` of `file` unless `times` (T,) [s] begin at 0 and follow each other at `hz`.

    `rate` is what the recording calls `hz`; `slack` [s] is the rounding of `times`.
    """
    period = 1.0 / hz
    if abs(times[0]) > period + slack:
        raise EpisodeRejected(field, "seconds from 0 at the first row", f"{times[0]:g}", file)
    durations = np.diff(times)
    if not len(durations):
        return
    wrong = (durations <= 0) | (np.abs(durations - period) > STEP_TOLERANCE * period + slack)
    if wrong.any():
        row = int(np.argmax(wrong))
        required = f"{(1 - STEP_TOLERANCE) * period:.4g} to {(1 + STEP_TOLERANCE) * period:.4g} s apart ({rate} {hz:g})"
        got = f"{durations[row]:.4g} s from row {row} to {row + 1} (rows lost, or another rate?)"
        raise EpisodeRejected(field, required, got, file)
    mean = 1.0 / float(durations.mean())
    if abs(mean * period - 1.0) > RATE_TOLERANCE:
        raise EpisodeRejected(field, f"at {hz:g} Hz ({rate}) on average", f"{mean:.4g} Hz", file)


def check_actions(action: np.ndarray, field: str = "action") -> None:
    """Raise `EpisodeRejected` of `field` where an action (T, 7) exceeds the step limits of `ocrrl.interface.actions`."""
    translation = np.abs(action[:, :3]).max(axis=-1)
    rotation = np.linalg.norm(action[:, 3:6], axis=-1)
    for values, limit, what, unit in (
        (translation, MAX_TRANSLATION_STEP, "translation", "m"),
        (rotation, MAX_ROTATION_STEP, "rotation", "rad"),
    ):
        if values.max() > limit + STEP_ROUNDING:
            step = int(values.argmax())
            raise EpisodeRejected(
                field,
                f"within the {what} step limit of {limit:g} {unit}",
                f"{values[step]:.4g} {unit} at step {step}",
            )
    gripper = action[:, 6]
    outside = (gripper < ACTION_LOW[6] - STEP_ROUNDING) | (gripper > ACTION_HIGH[6] + STEP_ROUNDING)
    if outside.any():
        step = int(np.argmax(outside))
        raise EpisodeRejected(field, "a gripper opening in [0, 1]", f"{gripper[step]:g} at step {step}")
