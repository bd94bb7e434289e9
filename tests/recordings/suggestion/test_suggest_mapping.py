"""A mapping is found for recordings whose meaning nobody has declared."""

import numpy as np
import pytest
import yaml

from ocrrl.episodes.episode_checks import EpisodeRejected
from ocrrl.interface import rotations
from ocrrl.recordings.ingest_config import IngestConfig
from ocrrl.recordings.suggestion.dataset_fields import DatasetFields, NumericField
from ocrrl.recordings.suggestion.suggest_mapping import correct, suggest_mapping
from ocrrl.tabletop.cube_lift import TASK as CUBE_LIFT
from ocrrl.tabletop.pick_and_place import TASK as PICK_AND_PLACE
from tests.recordings.meaning.moving_arm import closing_command, closing_width, moving_joints, moving_poses

CAMERAS = {"front": (64, 64), "wrist": (64, 64)}
IMAGES = {"observation.images.front": (64, 64, 3), "observation.images.wrist": (64, 64, 3)}
JOINTS = [f"q{k}" for k in range(1, 8)]


def fields(source_format="lerobot", images=IMAGES, hz=20.0, **numbers):
    """A recording with these numbers by key, `__` for a point, each an array or names and an array."""
    found = {}
    for name, value in numbers.items():
        names, values = value if isinstance(value, tuple) else (None, value)
        key = name.replace("__", ".")
        found[key] = NumericField(key, names, np.asarray(values, float).reshape(len(values), -1))
    return DatasetFields(source_format, "made here", hz, None, images, found)


def suggested(task=CUBE_LIFT, **numbers):
    return suggest_mapping(fields(**numbers), task, CAMERAS)


def state_of(rotation, *more):
    return np.concatenate([moving_poses()[:, :3], rotation, *more], axis=-1)


def width_of(scale=1.0):
    return scale * closing_width()[:, None]


def action_of(gripper):
    return ["x", "y", "z", "rx", "ry", "rz", "gripper"], np.c_[np.zeros((len(gripper), 6)), gripper]


def test_names_tell_where_everything_is():
    rotation = rotations.to_rotation_vector(moving_poses()[:, 3:])
    names = ["x", "y", "z", "rx", "ry", "rz", "width", *JOINTS]
    mapping = suggested(
        observation__state=(names, state_of(rotation, width_of(), moving_joints())), action=action_of(closing_command())
    ).mapping
    assert mapping == {
        "cell": "???",
        "images": {"front": "observation.images.front", "wrist": "observation.images.wrist"},
        "joint_positions": "observation.state[q1,q2,q3,q4,q5,q6,q7]",
        "position": "observation.state[x,y,z]",
        "rotation": "observation.state[rx,ry,rz]",
        "rotation_form": "rotation_vector",
        "gripper_width": "observation.state[width]",
        "gripper_command": "action[gripper]",
    }


@pytest.mark.parametrize(
    ("form", "rotation"),
    [
        ("quaternion_wxyz", moving_poses()[:, 3:]),
        ("quaternion_xyzw", np.roll(moving_poses()[:, 3:], -1, axis=-1)),
        ("rotation_vector", rotations.to_rotation_vector(moving_poses()[:, 3:])),
        ("matrix", rotations.to_matrix(moving_poses()[:, 3:]).reshape(-1, 9)),
        ("rotation_6d", rotations.to_matrix(moving_poses()[:, 3:])[:, :, :2].transpose(0, 2, 1).reshape(-1, 6)),
    ],
)
def test_joints_tell_where_the_pose_is_and_how_its_rotation_is_written_without_any_name(form, rotation):
    mapping = suggested(
        observation__state=state_of(rotation, moving_joints(), width_of()), action=action_of(closing_command())
    ).mapping
    size = rotation.shape[1]
    assert mapping["position"] == "observation.state[0:3]" and mapping["rotation_form"] == form
    assert mapping["rotation"] == f"observation.state[3:{3 + size}]"
    assert mapping["joint_positions"] == f"observation.state[{3 + size}:{10 + size}]"
    assert mapping["gripper_width"] == f"observation.state[{10 + size}]"


def test_a_pose_about_another_base_is_known_by_its_constant_offset():
    pose = moving_poses()
    pose[:, :3] += [0.56, 0.0, 0.9]
    mapping = suggested(
        ee_pose=pose, joint_pos=moving_joints(), gripper=width_of(), action=action_of(closing_command())
    )
    assert mapping.mapping["position"] == "ee_pose[0:3]" and mapping.mapping["joint_positions"] == "joint_pos"


def test_joints_alone_are_enough_and_degrees_are_noticed():
    state = np.c_[np.degrees(moving_joints()), closing_width()]
    mapping = suggested(observation__state=state, action=np.c_[moving_joints(), closing_command()]).mapping
    assert mapping["joint_positions"] == "observation.state[0:7]"
    assert mapping["joint_scale"] == pytest.approx(np.pi / 180, rel=1e-5)
    assert "position" not in mapping and mapping["gripper_width"] == "observation.state[7]"
    assert mapping["gripper_command"] == "action[7]"


@pytest.mark.parametrize(
    ("command", "ends"),
    [
        (closing_command(), None),
        (1 - closing_command(), (1.0, 0.0)),
        (2 * closing_command() - 1, (-1.0, 1.0)),
        (255 * closing_command(), (0.0, 255.0)),
        (1 - 2 * closing_command(), (1.0, -1.0)),
    ],
)
def test_the_width_tells_which_end_of_the_command_is_open(command, ends):
    mapping = suggested(joint_pos=moving_joints(), gripper_width=width_of(), action=action_of(command)).mapping
    assert ends == (None if "gripper_open" not in mapping else (mapping["gripper_closed"], mapping["gripper_open"]))


@pytest.mark.parametrize(("recorded", "scale"), [(1.0, None), (1 / 0.08, 0.08), (1000.0, 0.001), (1250.0, 0.0008)])
def test_the_unit_of_the_width_is_found_by_its_range(recorded, scale):
    mapping = suggested(
        joint_pos=moving_joints(), gripper_width=width_of(recorded), action=action_of(closing_command())
    ).mapping
    assert mapping.get("gripper_width_scale") == scale


def test_robosuite_keys_make_a_mapping_of_robomimic():
    pose = moving_poses()
    quaternion = np.roll(pose[:, 3:], -1, axis=-1)
    suggestion = suggest_mapping(
        fields(
            "robomimic",
            {"agentview_image": (84, 84, 3), "robot0_eye_in_hand_image": (84, 84, 3)},
            robot0_eef_pos=pose[:, :3],
            robot0_eef_quat=quaternion,
            robot0_joint_pos=moving_joints(),
            robot0_joint_vel=moving_joints(),
            robot0_gripper_qpos=np.c_[closing_width() / 2, -closing_width() / 2],
            object=np.c_[np.tile([0.5, 0, 0.02, 0, 0, 0, 1], (len(pose), 1)), pose[:, :3]],
            actions=np.c_[np.zeros((len(pose), 6)), 1 - 2 * closing_command()],
        ),
        CUBE_LIFT,
        CAMERAS,
    )
    assert suggestion.mapping == {
        "cell": "???",
        "images": {"front": "agentview_image", "wrist": "robot0_eye_in_hand_image"},
        "joint_positions": "robot0_joint_pos",
        "position": "robot0_eef_pos",
        "quaternion": "robot0_eef_quat",
        "quaternion_order": "xyzw",
        "gripper_width": "robot0_gripper_qpos",
        "gripper_command": "actions[6]",
        "gripper_closed": 1.0,
        "gripper_open": -1.0,
        "object_poses": {"cuboid": "object[0:7]"},
    }


@pytest.mark.parametrize(
    ("keys", "images"),
    [
        (("exterior_image_1_left", "wrist_image_left"), ("exterior_image_1_left", "wrist_image_left")),
        (("observation.images.image", "observation.images.wrist_image"), (0, 1)),
        (("observation.images.cam_high", "observation.images.hand"), (0, 1)),
        (("observation.images.top",), (0, "???")),
        ((), ("???", "???")),
    ],
)
def test_cameras_are_found_by_their_usual_names_and_a_missing_one_is_asked_for(keys, images):
    found = suggest_mapping(fields(images=dict.fromkeys(keys, (64, 64, 3))), CUBE_LIFT, CAMERAS).images()
    assert tuple(found.values()) == tuple(keys[name] if isinstance(name, int) else name for name in images)


def test_ingest_takes_the_lines_once_a_person_has_filled_in_what_only_they_know():
    suggestion = suggested(joint_pos=moving_joints(), gripper_width=width_of(), action=action_of(closing_command()))
    section = yaml.safe_load("\n".join(suggestion.lines("cube_lift")))["ingest"]["cube_lift"]
    assert section == {"source_format": "lerobot", "mapping": suggestion.mapping}
    assert suggestion.open_keys() == {"cell"} and suggestion.is_complete
    with pytest.raises(ValueError, match=r"mapping.cell must be filled in, got \?\?\?"):
        IngestConfig(**section)
    assert IngestConfig(**section | {"mapping": suggestion.mapping | {"cell": "lab"}}).mapping["cell"] == "lab"
    section["mapping"]["images"]["front"] = "???"
    with pytest.raises(ValueError, match=r"mapping.images.front must be filled in"):
        IngestConfig(**section | {"mapping": section["mapping"] | {"cell": "lab"}})


def test_what_is_not_there_is_asked_for():
    suggestion = suggested(task=PICK_AND_PLACE, observation__state=np.zeros((9, 2)))
    assert suggestion.open_keys() == {"cell", "position", "rotation", "gripper_width", "gripper_command"}
    assert not suggestion.is_complete
    assert any(line.startswith("object_poses: {cuboid: key[0:7], bowl: key[0:7]}") for line in suggestion.remarks)


def test_a_name_of_two_lines_stays_in_its_comment():
    images = IMAGES | {"observation.images.x\n      operator: mallory": (64, 64, 3)}
    suggestion = suggest_mapping(fields(images=images, joint_pos=moving_joints()), CUBE_LIFT, CAMERAS)
    read = yaml.safe_load("\n".join(suggestion.lines("cube_lift")))
    assert "operator" not in read["ingest"]["cube_lift"]["mapping"]
    assert "not taken: observation.images.x\\n" in "\n".join(suggestion.lines("cube_lift"))


def test_names_of_two_arms_are_said_to_be_two_arms():
    names = [f"{side}_{part}" for side in ("left", "right") for part in ("waist", "shoulder", "gripper")]
    two = suggested(observation__state=(names, np.zeros((9, 6))))
    assert any(remark.startswith("two arms") for remark in two.remarks)
    assert not any(
        "two arms" in remark for remark in suggested(observation__state=(names[:3], np.zeros((9, 3)))).remarks
    )


def object_pose(order):
    upright = {"wxyz": [0.97, 0, 0, 0.24], "xyzw": [0, 0, 0.24, 0.97], "lying": [0.7071, 0, 0.7071, 0]}[order]
    return np.tile([0.5, 0, 0.02, *(upright / np.linalg.norm(upright))], (len(moving_poses()), 1))


@pytest.mark.parametrize(
    ("order", "form"), [("wxyz", "quaternion_wxyz"), ("xyzw", "quaternion_xyzw"), ("lying", "???")]
)
def test_an_objects_quaternion_is_not_taken_for_the_grippers_form(order, form):
    rotation = rotations.to_rotation_vector(moving_poses()[:, 3:])
    suggestion = suggested(
        observation__state=state_of(rotation, width_of(), moving_joints()),
        observation__cuboid_pose=object_pose(order),
        action=action_of(closing_command()),
    )
    assert suggestion.mapping["object_poses"] == {"cuboid": "observation.cuboid_pose"}
    assert suggestion.mapping["rotation_form"] == "rotation_vector"
    assert suggestion.mapping["object_rotation_form"] == form and suggestion.is_complete == (form != "???")


@pytest.mark.parametrize(
    ("names", "rotation", "form"),
    [
        (None, "quaternion", "???"),
        (["qw", "qx", "qy", "qz"], "quaternion", "quaternion_wxyz"),
        (None, "vector", "???"),
        (["rx", "ry", "rz"], "vector", "rotation_vector"),
        (["roll", "pitch", "yaw"], "vector", "euler_xyz"),
        (["yaw", "pitch", "roll"], "vector", "euler_ZYX"),
    ],
)
def test_a_form_that_neither_names_nor_joints_tell_is_asked_for(names, rotation, form):
    pose = moving_poses()
    turned = pose[:, 3:] if rotation == "quaternion" else rotations.to_rotation_vector(pose[:, 3:])
    values = state_of(turned, width_of())
    state = values if names is None else (["x", "y", "z", *names, "width"], values)
    mapping = suggested(observation__state=state, action=action_of(closing_command())).mapping
    assert mapping["rotation_form"] == form


def test_an_episode_is_read_before_the_cell_and_the_rate_are_known():
    keys = {"joint_pos": moving_joints(), "gripper_width": width_of(), "action": action_of(closing_command())}
    suggestion = suggest_mapping(fields("robomimic", hz=None, **keys), CUBE_LIFT, CAMERAS)
    assert suggestion.open_keys() == {"cell", "control_hz"} and suggestion.is_complete
    assert suggestion.trial()["cell"] != "???" and "control_hz" not in suggestion.trial()


def test_what_reading_says_must_be_added_is_added():
    suggestion = suggested(joint_pos=moving_joints(), gripper_width=width_of(), action=action_of(closing_command()))
    said = [
        "5 cm from there: the base; add to the mapping: base_pose: [0, 0, 0.9, 1, 0, 0, 0]; rotation_form: euler_xyz",
        "0.9 (0..1? then gripper_width_scale: 0.08)",
        "both? then gripper_closed: 1, gripper_open: 0, gripper_width_at_zero: 0.08; if not, declare gripper_open: 1)",
        "against the width (then gripper_closed: 0 and gripper_open: 255?)",
    ]
    tried = []

    def attempt(mapping):
        tried.append(dict(mapping))
        return EpisodeRejected("gripper_pose", "there", said.pop(0)) if said else None

    assert correct(suggestion, attempt) is None
    added = {"base_pose": [0, 0, 0.9, 1, 0, 0, 0], "rotation_form": "euler_xyz", "gripper_width_scale": 0.08}
    added |= {"gripper_width_at_zero": 0.08, "gripper_closed": 0, "gripper_open": 255}
    assert (
        tried[-1].items() >= added.items() and suggestion.reasons["base_pose"] == "found by reading: see that it is so"
    )
    stubborn = EpisodeRejected("success", "true", "false")
    assert correct(suggestion, lambda mapping: stubborn) is stubborn
