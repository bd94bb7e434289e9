"""What is done to an open demonstration of robomimic's; each edit says which field a refusal must name."""

# pyright: reportIndexIssue=false, reportAttributeAccessIssue=false, reportArgumentType=false, reportOperatorIssue=false, reportCallIssue=false

from collections.abc import Callable

import h5py
import numpy as np

from benchmarks.hostile.case import Draw
from ocrrl.interface import rotations


def put(demo: h5py.Group, name: str, values: object) -> None:
    del demo[name]
    demo[name] = values


def gripper(low: float, high: float) -> Callable[[Draw, h5py.Group], str]:
    """Command `high` opens, `low` closes."""

    def edit(draw: Draw, demo: h5py.Group) -> str:
        actions = demo["actions"][...]
        actions[:, 6] = low + (high - low) * (1 - actions[:, 6]) / 2
        put(demo, "actions", actions)
        return "gripper|actions"

    return edit


def turned(draw: Draw, demo: h5py.Group) -> str:
    angle = draw.one_of(np.pi / 2, -np.pi / 2, np.pi, np.pi / 4)
    axis = np.eye(3)[draw.one_of(0, 1, 2, 2, 2)]
    turn = rotations.from_rotation_vector(angle * axis)
    quaternion = np.roll(demo["obs/robot0_eef_quat"][...], 1, 1)
    turned = rotations.multiply(quaternion, np.broadcast_to(turn, quaternion.shape))
    put(demo, "obs/robot0_eef_quat", np.roll(turned, -1, 1))
    return "gripper_pose|quaternion|rotation"


def of_world(draw: Draw, demo: h5py.Group) -> str:
    base = np.array([*draw.generator.uniform((-0.7, -0.3, 0.4), (-0.3, 0.3, 1.0)), 0, 0, 0, 0])
    base[3:] = rotations.from_rotation_vector(np.array([0, 0, draw.generator.uniform(-1.5, 1.5)]))
    around = np.broadcast_to(base[3:], (len(demo["actions"]), 4))
    position = rotations.rotate(around, demo["obs/robot0_eef_pos"][...]) + base[:3]
    quaternion = rotations.multiply(around, np.roll(demo["obs/robot0_eef_quat"][...], 1, 1))
    put(demo, "obs/robot0_eef_pos", position)
    put(demo, "obs/robot0_eef_quat", np.roll(quaternion, -1, 1))
    return "gripper_pose|position|base_pose"


def stored_wxyz(draw: Draw, demo: h5py.Group) -> str:
    put(demo, "obs/robot0_eef_quat", np.roll(demo["obs/robot0_eef_quat"][...], 1, 1))
    return "gripper_pose|quaternion"


def millimetres(draw: Draw, demo: h5py.Group) -> str:
    put(demo, "obs/robot0_eef_pos", 1000 * demo["obs/robot0_eef_pos"][...])
    return "gripper_pose|position"


def no_rewards(draw: Draw, demo: h5py.Group) -> None:
    del demo["rewards"], demo["dones"]


def failed(draw: Draw, demo: h5py.Group) -> str:
    demo["rewards"][...] = 0.0
    demo["dones"][...] = 0
    return "success"


def longer(draw: Draw, demo: h5py.Group) -> str:
    name = draw.one_of("robot0_eef_pos", "robot0_joint_pos", "agentview_image", "robot0_gripper_qpos")
    values = demo[f"obs/{name}"][...]
    put(demo, f"obs/{name}", draw.one_of(np.concatenate([values, values[-1:]]), values[:-2]))
    field = {"robot0_eef_pos": "position|gripper_pose", "robot0_joint_pos": "joint_positions"}
    field |= {"agentview_image": "images.front", "robot0_gripper_qpos": "gripper_width"}
    return f"{name}|{field[name]}"


def lies_about_rows(draw: Draw, demo: h5py.Group) -> str:
    demo.attrs["num_samples"] = draw.one_of(1, 10**9, -1, len(demo["actions"]) + 1)
    return "num_samples"


def no_numbers(draw: Draw, demo: h5py.Group) -> None:
    del demo.attrs["num_samples"]


def states_only(draw: Draw, demo: h5py.Group) -> str:
    del demo["obs"]
    demo["states"] = np.zeros((len(demo["actions"]), 32))
    return "obs"


def two_arms(draw: Draw, demo: h5py.Group) -> str:
    put(demo, "actions", np.tile(demo["actions"][...], 2))
    return "actions"


def broken_numbers(draw: Draw, demo: h5py.Group) -> str:
    name, field = draw.one_of(
        ("obs/robot0_eef_quat", "quaternion|rotation|gripper_pose"),
        ("obs/robot0_eef_pos", "position|gripper_pose"),
        ("obs/robot0_joint_pos", "joint"),
        ("actions", "actions|gripper"),
    )
    values = demo[name][...]
    row = draw.generator.integers(len(values))
    values[row] = 0.0 if name.endswith("quat") and draw.one_of(True, False) else draw.one_of(np.nan, np.inf, 1e200)
    put(demo, name, values)
    return field


def odd_images(draw: Draw, demo: h5py.Group) -> str:
    name, camera = draw.one_of(("agentview_image", "front"), ("robot0_eye_in_hand_image", "wrist"))
    frames = demo[f"obs/{name}"][...]
    odd = [
        frames[..., 0],
        (frames[..., :1]),
        frames.astype(np.uint16) * 257,
        frames[:1].repeat(len(frames), 0),
        0 * frames,
    ]
    put(demo, f"obs/{name}", odd[draw.generator.integers(len(odd))])
    return f"{name}|images.{camera}|{camera}"


def other_images(draw: Draw, demo: h5py.Group) -> str:
    for name in ("agentview_image", "robot0_eye_in_hand_image"):
        frames = demo[f"obs/{name}"][...].transpose(0, 3, 1, 2) / 255.0
        put(demo, f"obs/{name}", frames.astype(np.float32))
    return "agentview_image|images.front"


def larger_images(draw: Draw, demo: h5py.Group) -> None:
    for name in ("agentview_image", "robot0_eye_in_hand_image"):
        put(demo, f"obs/{name}", demo[f"obs/{name}"][...].repeat(2, 1).repeat(2, 2))


def types(draw: Draw, demo: h5py.Group) -> None:
    for name in ("obs/robot0_eef_pos", "obs/robot0_eef_quat", "obs/robot0_joint_pos", "actions"):
        put(demo, name, demo[name][...].astype(draw.one_of(np.float32, ">f8")))


def joint_degrees(draw: Draw, demo: h5py.Group) -> str:
    put(demo, "obs/robot0_joint_pos", np.degrees(demo["obs/robot0_joint_pos"][...]))
    return "joint_positions"


def expands(draw: Draw, demo: h5py.Group) -> str:
    name, field = draw.one_of(("obs/agentview_image", "agentview_image|images.front"), ("actions", "actions"))
    count, dtype = len(demo["actions"]), "u1" if name != "actions" else "f8"
    shape = (count, 40_000, 40_000, 3) if name != "actions" else (2**40, 7)
    del demo[name]
    demo.create_dataset(name, shape, dtype, chunks=(1, *(min(256, side) for side in shape[1:])))
    return field


def other_joints_note(draw: Draw, demo: h5py.Group) -> None:
    demo.create_group("next_obs")
    demo["src_demo_labels"] = np.zeros((len(demo["actions"]), 1), int)
    demo.create_group("datagen_info")["eef_pose"] = np.tile(np.eye(4), (len(demo["actions"]), 1, 1))
