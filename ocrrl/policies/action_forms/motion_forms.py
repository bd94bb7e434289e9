"""The motion's fields of a reply, and the poses and joints that they stand for.

Legend: n robots, H rows; `rows` maps the fields of a declaration to numbers (n, H, d); poses (n, H, 7) are position [m] and wxyz
quaternion, here of the declared tool in the declared world.
"""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from ocrrl.interface import rigid, rotations
from ocrrl.interface.fr3_chain import FR3
from ocrrl.interface.rotation_forms import from_form, in_form
from ocrrl.policies.action_forms.declaration import FormDeclaration
from ocrrl.policies.action_forms.pose_path import after

Rows = Float[np.ndarray, "n _ _"]
Poses = Float[np.ndarray, "n _ 7"]
LEAST_LENGTH, MOST_LENGTH = 0.5, 2.0
"""Of a quaternion, or of a matrix's row or column, that a network answers: it is made 1; beyond, the numbers are no rotation."""


def plain_steps(rows: Mapping[str, Rows], form: FormDeclaration) -> Float[np.ndarray, "n H 6"]:
    """`deltas` along the base's axes as our steps; rotation vectors as they are."""
    if form.command_rotation_form == "rotation_vector":
        rotation = form.rotation_scale * rows["command_rotation"]
    else:
        rotation = rotations.to_rotation_vector(_quaternions(rows["command_rotation"], form))
    return np.concatenate([form.position_scale * rows["command_position"], rotation], axis=-1)


def written_steps(steps: Float[np.ndarray, "n H 6"], form: FormDeclaration) -> dict[str, Rows]:
    """`plain_steps` undone."""
    rotation = steps[..., 3:] / form.rotation_scale
    if form.command_rotation_form != "rotation_vector":
        rotation = _in_form(rotations.from_rotation_vector(steps[..., 3:]), form)
    return {"command_position": steps[..., :3] / form.position_scale, "command_rotation": rotation}


def read_poses(rows: Mapping[str, Rows], reference: Float[np.ndarray, "n 7"], form: FormDeclaration) -> Poses:
    """The targets of `poses`, `offsets` and `deltas`; `reference` is the pose that `offsets` or the first of `deltas` start from."""
    declared = np.concatenate(
        [form.position_scale * rows["command_position"], _quaternions(rows["command_rotation"], form)], axis=-1
    )
    if form.actions == "poses":
        return declared
    if form.actions == "offsets":
        start = np.broadcast_to(reference[:, None], declared.shape)
        return _moved(start, declared, form)
    targets = [reference]
    for number in range(declared.shape[1]):
        targets.append(_moved(targets[-1], declared[:, number], form))
    return np.stack(targets[1:], axis=1)


def written_poses(path: Poses, reference: Float[np.ndarray, "n 7"], form: FormDeclaration) -> dict[str, Rows]:
    """`read_poses` undone: the fields that lead along `path` (n, H + 1, 7); `reference` is the measured pose."""
    declared = path[:, 1:]
    if form.actions == "offsets":
        declared = _motion(np.broadcast_to(reference[:, None], declared.shape), declared, form)
    elif form.actions == "deltas":
        declared = _motion(path[:, :-1], declared, form)
    return {
        "command_position": declared[..., :3] / form.position_scale,
        "command_rotation": _in_form(declared[..., 3:], form),
    }


def read_joints(rows: Mapping[str, Rows], measured: Float[np.ndarray, "n 7"], form: FormDeclaration) -> Poses:
    """Where the joints that `rows` ask for bring the gripper frame, robot base frame; velocities add to the `measured` joints."""
    joints = form.joint_scale * rows["joint_command"]
    if form.actions == "joint_velocities":
        joints = np.asarray(measured, float)[:, None] + np.cumsum(joints / form.hz, axis=1)
    return FR3.gripper_pose(joints.reshape(-1, 7)).reshape(joints.shape)


def written_joints(path: Poses, measured: Float[np.ndarray, "n 7"], form: FormDeclaration) -> dict[str, Rows]:
    """`read_joints` undone: the joints nearest to those before that reach each pose of `path` (n, H + 1, 7) after the first."""
    joints = [np.asarray(measured, float)]
    for number in range(1, path.shape[1]):
        joints.append(FR3.reach(joints[-1], path[:, number]))
    along = np.stack(joints, axis=1)
    motion = np.diff(along, axis=1) * form.hz if form.actions == "joint_velocities" else along[:, 1:]
    return {"joint_command": motion / form.joint_scale}


def _moved(start: np.ndarray, motion: np.ndarray, form: FormDeclaration) -> np.ndarray:
    """The pose (..., 7) after a declared motion (..., 7) from `start`."""
    if form.along == "gripper":
        return rigid.compose(start, motion)
    step = np.concatenate([motion[..., :3], rotations.to_rotation_vector(motion[..., 3:])], axis=-1)
    return after(start, step)


def _motion(start: np.ndarray, end: np.ndarray, form: FormDeclaration) -> np.ndarray:
    """The declared motion (..., 7) from `start` to `end`: `_moved` undone."""
    if form.along == "gripper":
        return rigid.compose(rigid.inverse(start), end)
    turn = rotations.multiply(end[..., 3:], rotations.conjugate(start[..., 3:]))
    return np.concatenate([end[..., :3] - start[..., :3], turn], axis=-1)


def _quaternions(values: Rows, form: FormDeclaration) -> Float[np.ndarray, "n H 4"]:
    """Unit quaternions; what a network answers is made a rotation, ValueError where it is far from one."""
    flat, name = values.reshape(-1, values.shape[-1]), form.command_rotation_form
    if name.startswith(("quaternion", "rotation_6d", "matrix")):
        parts = flat.reshape(len(flat), -1, 4 if name.startswith("quaternion") else 3)
        lengths = np.linalg.norm(parts, axis=-1)
        if lengths.size and not (lengths.min() >= LEAST_LENGTH and lengths.max() <= MOST_LENGTH):
            worst = lengths.min() if lengths.min() < LEAST_LENGTH else lengths.max()
            raise ValueError(
                f"command_rotation must be rotations for {name}: vectors of length 1 (made so from {LEAST_LENGTH} to"
                f" {MOST_LENGTH}), got one of length {worst:.3g}"
            )
    if name == "rotation_vector":
        flat = form.rotation_scale * flat
    return rotations.normalise(from_form(flat, name)).reshape(*values.shape[:-1], 4)


def _in_form(quaternions: Float[np.ndarray, "n H 4"], form: FormDeclaration) -> Rows:
    written = in_form(quaternions.reshape(-1, 4), form.command_rotation_form)
    if form.command_rotation_form == "rotation_vector":
        written = written / form.rotation_scale
    return written.reshape(*quaternions.shape[:-1], -1)
