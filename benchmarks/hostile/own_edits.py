"""What is done to an open episode file of our own; each edit says which field a refusal must name."""

# pyright: reportIndexIssue=false, reportAttributeAccessIssue=false, reportArgumentType=false, reportOperatorIssue=false, reportCallIssue=false

import h5py
import numpy as np

from benchmarks.hostile.case import Draw
from benchmarks.hostile.motion import CAMERAS

ARRAYS = ("gripper_pose", "commanded_pose", "joint_positions", "gripper_width", "action", "timestamps")


def put(file: h5py.File, name: str, values: object) -> str:
    del file[name]
    file[name] = values
    return name


def wrong_shape(draw: Draw, file: h5py.File) -> str:
    name = draw.one_of(*ARRAYS)
    values = file[name][...]
    shapes = [values[:-1], values[..., None], values.ravel()[0], values[:0], np.concatenate([values, values])]
    odd = shapes[draw.generator.integers(len(shapes))]
    put(file, name, odd)
    return f"{name}|action" if odd.ndim == values.ndim else name  # rows are held against the action's


def missing(draw: Draw, file: h5py.File) -> str:
    name = draw.one_of(*ARRAYS, "images")
    del file[name]
    return name


def without_objects(draw: Draw, file: h5py.File) -> None:
    del file["object_poses"], file["object_confidence"]
    file.attrs["object_names"] = "[]"


def not_a_number(draw: Draw, file: h5py.File) -> str:
    name = draw.one_of(*ARRAYS, "object_poses", "object_confidence")
    values = file[name][...]
    flat = values.reshape(-1)
    flat[draw.generator.integers(len(flat))] = draw.one_of(np.nan, np.inf, -np.inf, 1e300, -1e30)
    put(file, name, values)
    return f"{name}|action" if name == "commanded_pose" else name


def as_float32(draw: Draw, file: h5py.File) -> None:
    for name in (*ARRAYS, "object_poses"):
        put(file, name, file[name][...].astype(np.float32))


def wrong_order(draw: Draw, file: h5py.File) -> str:
    for name in ("gripper_pose", "commanded_pose"):
        pose = file[name][...]
        put(file, name, np.concatenate([pose[:, :3], np.roll(pose[:, 3:], -1, 1)], 1))
    return "gripper_pose|quaternion"


def other_signs(draw: Draw, file: h5py.File) -> None:
    pose = file["gripper_pose"][...]
    pose[draw.generator.random(len(pose)) < 0.5, 3:] *= -1
    put(file, "gripper_pose", pose)


def other_base(draw: Draw, file: h5py.File) -> str:
    shift = draw.generator.uniform(0.05, 0.4, 3) * draw.one_of(1, -1)
    for name in ("gripper_pose", "commanded_pose"):
        pose = file[name][...]
        pose[:, :3] += shift
        put(file, name, pose)
    return "gripper_pose|joint_positions"


def command_contradicts(draw: Draw, file: h5py.File) -> str:
    action = file["action"][...]
    row = draw.generator.integers(5, len(action) - 5)
    action[row : row + 4, draw.generator.integers(3)] += 0.012 * draw.one_of(1, -1)
    put(file, "action", np.concatenate([action[:, :3].clip(-0.02, 0.02), action[:, 3:]], 1))
    return "commanded_pose|action"


def command_lags(draw: Draw, file: h5py.File) -> None:
    pose = file["commanded_pose"][...]
    pose[:, :3] += draw.generator.uniform(-0.01, 0.01, 3)
    put(file, "commanded_pose", pose)


def joints_jump(draw: Draw, file: h5py.File) -> str:
    joints = file["joint_positions"][...]
    row = draw.generator.integers(5, len(joints) - 5)
    kind = draw.one_of("jump", "degrees", "frozen", "reversed")
    if kind == "jump":
        joints[row:, draw.generator.integers(6)] += 0.8
    elif kind == "degrees":
        joints = np.degrees(joints)
    elif kind == "frozen":
        joints[:] = joints[0]
    else:
        joints = joints[:, ::-1]
    put(file, "joint_positions", joints)
    return "joint_positions|gripper_pose"


def joint_noise(draw: Draw, file: h5py.File) -> None:
    joints = file["joint_positions"][...]
    put(file, "joint_positions", joints + draw.generator.normal(0, 2e-4, joints.shape))


def bad_clock(draw: Draw, file: h5py.File) -> str:
    t = file["timestamps"][...]
    row = draw.generator.integers(5, len(t) - 5)
    hole = np.where(np.arange(len(t)) >= row, 0.4, 0.0)
    back = np.where(np.arange(len(t)) == row, -0.2, 0.0)
    changed = [1000 * t, t + 1.7e9, 0.5 * t, 2 * t, t[::-1].copy(), t + hole, t + back, 0 * t]
    return put(file, "timestamps", changed[draw.generator.integers(len(changed))])


def jitter(draw: Draw, file: h5py.File) -> None:
    t = file["timestamps"][...]
    t[1:] += draw.generator.uniform(-0.004, 0.004, len(t) - 1)
    put(file, "timestamps", t)


def expands(draw: Draw, file: h5py.File) -> str:
    name = draw.one_of("residual", "action", "object_poses", "extra")
    if name in file:
        del file[name]
    rows = int(draw.one_of(7e7, 2**50, 4e9))
    file.create_dataset(name, (rows, 7), "f8", chunks=(1000, 7))
    return name


def huge_image(draw: Draw, file: h5py.File) -> str:
    camera = draw.one_of(*CAMERAS)
    count, side = len(file["action"]), int(draw.one_of(20_000, 60_000))
    del file[f"images/{camera}"]
    file.create_dataset(f"images/{camera}", (count, side, side, 3), "u1", chunks=(1, 256, 256, 3))
    return f"images/{camera}"


def extra_numbers(draw: Draw, file: h5py.File) -> None:
    file["external_force"] = draw.generator.normal(size=(len(file["action"]), 6))


def text_data(draw: Draw, file: h5py.File) -> str:
    name = draw.one_of("note", "comment")
    file[name] = draw.one_of("went well", ["a", "b"])
    return name


def bad_attribute(draw: Draw, file: h5py.File) -> str:
    changes: dict[str, list[object]] = {
        "tabletop_task": ["stack_cube", "", 3, "cube_lift\x00x"],
        "instruction": ["", "   ", np.arange(3), 1.5],
        "operator": [np.float64("nan"), [1, 2], ""],
        "cell": ["", 7],
        "success": ["yes", 1, 2.5, h5py.Empty("f8")],
        "control_hz": [10.0, 0.0, np.nan, "20", 1e300],
        "format_version": [0, 99, -1, 1.5, "1", 2**40],
        "object_names": ["[1]", "cuboid", '{"a": 1}', '["cube"]', "[" * 5000],
        "calibration": ["[" * 100_000 + "]" * 100_000, "not json", "[]"],
        "versions": ["3", '["x"]'],
    }
    name = draw.one_of(*changes)
    file.attrs[name] = changes[name][draw.generator.integers(len(changes[name]))]
    return name


def other_types(draw: Draw, file: h5py.File) -> None:
    file.attrs["seed"] = np.int16(draw.generator.integers(1000))
    file.attrs["control_hz"] = np.int64(20)
    file.attrs["operator"] = draw.one_of("Zoë", "操作者", "a <b>", "# x")


def points_elsewhere(draw: Draw, file: h5py.File) -> str:
    name = draw.one_of("gripper_pose", "action", "gripper_width", "images/front")
    kept = file[name][...]
    del file[name]
    kind = draw.one_of("soft", "external", "virtual")
    if kind == "soft":
        file["elsewhere"] = kept
        file[name] = h5py.SoftLink("/elsewhere")
    elif kind == "external":
        file[name] = h5py.ExternalLink("b_good.h5", name)
    else:
        layout = h5py.VirtualLayout(kept.shape, kept.dtype)
        layout[...] = h5py.VirtualSource("b_good.h5", name, kept.shape)
        file.create_virtual_dataset(name, layout)
    return f"{name}|elsewhere"


def bad_images(draw: Draw, file: h5py.File) -> str:
    camera = draw.one_of(*CAMERAS)
    frames = file[f"images/{camera}"][...]
    odd = [
        frames / 255.0,
        frames.transpose(0, 3, 1, 2),
        frames[..., 0],
        frames.astype(np.uint16) * 257,
        frames[:-3],
        np.zeros_like(frames),
        np.full_like(frames, 255),
        frames[:1].repeat(len(frames), 0),
        frames[..., :1],
        np.concatenate([frames, frames[..., :1]], -1),
    ]
    return put(file, f"images/{camera}", odd[draw.generator.integers(len(odd))])


def lost_camera(draw: Draw, file: h5py.File) -> str:
    camera = draw.one_of(*CAMERAS)
    if draw.one_of(True, False):
        del file[f"images/{camera}"]
    else:
        file.move(f"images/{camera}", f"images/{draw.one_of('Top', 'side', 'x' * 300)}")
    return "images"


def third_camera(draw: Draw, file: h5py.File) -> None:
    file["images/side"] = file["images/front"][...]


def wrong_numbers(draw: Draw, file: h5py.File) -> str:
    name = draw.one_of("gripper_width", "object_confidence", "action", "gripper_pose", "object_poses")
    values = file[name][...]
    row = draw.generator.integers(1, len(values) - 1)
    if name == "gripper_width":
        values *= 1000
    elif name == "object_confidence":
        values[row] = draw.one_of(-0.5, 1.5, 100.0)
    elif name == "action":
        values[row, draw.one_of(0, 1, 2, 6)] = draw.one_of(0.3, -0.3) + draw.one_of(0, 1) * 2
    elif name == "gripper_pose":
        values[row, 3:] *= draw.one_of(0.0, 0.5, 3.0)
    else:
        values[..., :3] *= 1000
    put(file, name, values)
    return name


def object_jumps(draw: Draw, file: h5py.File) -> str:
    poses = file["object_poses"][...]
    row = draw.generator.integers(5, len(poses) - 5)
    poses[row:, 0, draw.generator.integers(3)] += draw.one_of(0.4, -0.4)
    return put(file, "object_poses", poses)


def object_lost(draw: Draw, file: h5py.File) -> None:
    poses, confidence = file["object_poses"][...], file["object_confidence"][...]
    row = draw.generator.integers(5, len(poses) - 8)
    poses[row : row + 4, 0, :3] += 0.5
    confidence[row : row + 4] = 0.0
    put(file, "object_poses", poses)
    put(file, "object_confidence", confidence)
