"""Each way an episode file can be wrong, refused by name with the reason."""

import json
import pickle
from dataclasses import replace

import h5py
import numpy as np
import pytest

from ocrrl.episodes.episode_checks import EpisodeRejected, EpisodeRequirements
from ocrrl.episodes.episode_store import write_episode
from ocrrl.episodes.validation import read_valid_episode
from ocrrl.tabletop.stack_cube import TASK as STACK_CUBE
from tests.episodes.toy_episodes import random_episode


def edited(name, change):
    """A way to break the array `name` of an episode file."""

    def edit(file):
        values = change(file[name][...])
        del file[name]
        file.create_dataset(name, data=values)

    return edit


def at_step(step, index, value):
    def change(values):
        values[(step, *index)] = value
        return values

    return change


def attribute(name, value):
    return lambda file: file.attrs.__setitem__(name, value)


def scaled_positions(values):
    values[..., :3] *= 1000
    return values


def external_link(file):
    del file["action"]
    file["action"] = h5py.ExternalLink("other.h5", "/action")


BROKEN = {
    "missing field": (lambda file: file.__delitem__("commanded_pose"), r"commanded_pose must be there, got nothing"),
    "missing images": (lambda file: file.__delitem__("images"), r"images must be there, got nothing"),
    "missing attribute": (lambda file: file.attrs.__delitem__("cell"), r"cell must be there, got nothing"),
    "wrong shape": (
        edited("gripper_pose", lambda v: v[:, :6]),
        r"gripper_pose must be of shape \(12, 7\), got \(12, 6\)",
    ),
    "actions twice": (
        edited("action", lambda v: np.concatenate([v, v])),
        r"action must be 12 rows, as the other arrays have, got 24",
    ),
    "too few rows": (edited("timestamps", lambda v: v[:-1]), r"timestamps must be of shape \(12,\), got \(11,\)"),
    "text for numbers": (edited("action", lambda v: v.astype("S8")), r"action must be numbers, got \|S8"),
    "NaN": (edited("gripper_pose", at_step(3, (1,), np.nan)), r"gripper_pose must be finite, got nan at step 3"),
    "infinity": (edited("action", at_step(4, (0,), np.inf)), r"action must be finite, got inf at step 4"),
    "non-unit quaternion": (
        edited("gripper_pose", at_step(2, (slice(3, 7),), [0, 0.9, 0, 0])),
        r"gripper_pose must be of unit quaternions \(wxyz\), got a norm of 0.9000 at step 2",
    ),
    "object's quaternion": (
        edited("object_poses", at_step(2, (0, slice(3, 7)), [0, 0, 0, 0])),
        r"object_poses must be of unit quaternions",
    ),
    "time going backwards": (
        edited("timestamps", at_step(5, (), 0.1)),
        r"timestamps must be 0.025 to 0.075 s apart \(control_hz 20\), got -0.1 s from row 4 to 5",
    ),
    "irregular rate": (
        edited("timestamps", lambda v: v + 0.04 * (np.arange(len(v)) >= 6)),
        r"timestamps must be 0.025 to 0.075 s apart \(control_hz 20\), got 0.09 s from row 5 to 6",
    ),
    "wrong rate on average": (
        edited("timestamps", lambda v: v * 1.3),
        r"timestamps must be at 20 Hz \(control_hz\) on average, got 15.38 Hz",
    ),
    "wrong control rate": (attribute("control_hz", 10.0), r"control_hz must be 20, got 10"),
    "image count": (
        edited("images/front", lambda v: v[:-2]),
        r"images/front must be 12 images, one an action, got 10",
    ),
    "float images": (edited("images/front", lambda v: v / 255.0), r"images/front must be uint8, got float64"),
    "unknown task": (attribute("tabletop_task", "juggle"), r"tabletop_task must be one of cube_lift.*, got 'juggle'"),
    "millimetres": (
        edited("gripper_pose", scaled_positions),
        r"gripper_pose must be in metres, within 3 m of the base, got .*millimetres\?",
    ),
    "object in millimetres": (edited("object_poses", scaled_positions), r"object_poses must be in metres"),
    "width in millimetres": (edited("gripper_width", lambda v: v * 1000), r"gripper_width must be in metres"),
    "degrees": (edited("joint_positions", lambda v: v * 180), r"joint_positions must be in radians"),
    "translation limit": (
        edited("action", at_step(7, (2,), 0.03)),
        r"action must be within the translation step limit of 0.02 m, got 0.03 m at step 7",
    ),
    "rotation limit": (
        edited("action", at_step(7, (slice(3, 6),), 0.08)),
        r"action must be within the rotation step limit of 0.1 rad, got 0.1386 rad at step 7",
    ),
    "gripper": (
        edited("action", at_step(1, (6,), -1)),
        r"action must be a gripper opening in \[0, 1\], got -1 at step 1",
    ),
    "confidence": (
        edited("object_confidence", at_step(1, (0,), 1.5)),
        r"object_confidence must be in \[0, 1\], got 1.5",
    ),
    "neither visible nor not": (
        lambda file: file.create_dataset("object_visible", data=np.full((12, 1), 0.5)),
        "object_visible must be 0 or 1, got another number",
    ),
    "confidence missing": (
        lambda file: file.__delitem__("object_confidence"),
        r"object_confidence must be there where object_poses is, got nothing",
    ),
    "huge base action": (
        edited("base_action", at_step(1, (0,), 1e300)),
        r"base_action must be in the units of actions, in \[-10.00, 10.00\], got 1e\+300",
    ),
    "huge residual": (edited("residual", at_step(1, (6,), -1e9)), r"residual must be in the units of actions"),
    "huge command": (edited("commanded_pose", at_step(1, (0,), 1e300)), r"commanded_pose must be in metres"),
    "huge pose of a lost object": (
        lambda file: [
            edited("object_confidence", at_step(1, (0,), 0.0))(file),
            edited("object_poses", at_step(1, (0, 0), 1e300))(file),
        ],
        r"object_poses must be numbers, in \[-1000.00, 1000.00\], got 1e\+300",
    ),
    "seed": (attribute("seed", -1), r"seed must be a whole number from 0 to 2\*\*53, or none, got -1"),
    "another task's words": (
        attribute("instruction", STACK_CUBE.instruction),
        r"instruction must be one of cube_lift, got that of stack_cube",
    ),
    "xyzw": (
        edited("gripper_pose", lambda v: np.concatenate([v[:, :3], np.roll(v[:, 3:], -1, axis=-1)], axis=-1)),
        r"gripper_pose must be where an FR3's joint_positions bring the gripper.*order xyzw\?",
    ),
    "zero-length": (
        lambda file: [edited(n, lambda v: v[:0])(file) for n in list(file) if n != "images"],
        r"action must be at least one step, got zero steps",
    ),
    "newer format": (
        attribute("format_version", 2),
        r"format_version must be at most 1 \(this software's\), got 2",
    ),
    "wrong type": (attribute("success", "yes"), r"success must be true or false, got 'yes'"),
    "broken JSON": (attribute("calibration", "{"), r"calibration must be a JSON object, got '{'"),
    "other objects": (attribute("object_names", json.dumps(["cup"])), r"object_names must be cuboid, got cup"),
    "external link": (external_link, r"action must be data in the file itself, got a link"),
    "camera name": (lambda file: file.move("images/front", "images/.."), r"images must be cameras named .*got '\.\.'"),
    "no camera": (
        lambda file: [file.__delitem__(f"images/{n}") for n in list(file["images"])],
        r"images must be at least one camera, got none",
    ),
}


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    path = tmp_path_factory.mktemp("sound") / "e.h5"
    write_episode(path, random_episode())
    return path.read_bytes()


def test_a_sound_episode_passes(tmp_path, sound):
    (tmp_path / "e.h5").write_bytes(sound)
    read_valid_episode(tmp_path / "e.h5", tmp_path)


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_episode_is_refused_by_name(tmp_path, sound, fault):
    change, message = BROKEN[fault]
    (tmp_path / "e.h5").write_bytes(sound)
    with h5py.File(tmp_path / "e.h5", "a") as file:
        change(file)
    with pytest.raises(EpisodeRejected, match=f"^e.h5: {message}"):
        read_valid_episode(tmp_path / "e.h5", tmp_path)


@pytest.mark.parametrize(
    ("keep", "message"),
    [
        (lambda b: b[: len(b) // 2], r"e.h5: file must be a complete HDF5 file, got .*truncated"),
        (lambda b: b"", r"e.h5: file must be an HDF5 file, got an empty file \(0 bytes\)"),
        (lambda b: b"PK" + b, r"e.h5: file must be an HDF5 file, got something else"),
    ],
)
def test_a_file_that_is_no_whole_hdf5_is_refused(tmp_path, sound, keep, message):
    (tmp_path / "e.h5").write_bytes(keep(sound))
    with pytest.raises(EpisodeRejected, match=message):
        read_valid_episode(tmp_path / "e.h5", tmp_path)


def test_corrupt_data_is_refused(tmp_path, sound):
    (tmp_path / "e.h5").write_bytes(sound)
    with h5py.File(tmp_path / "e.h5", "a") as file:
        file["images/front"].id.write_direct_chunk((0, 0, 0, 0), b"no gzip stream")
    with pytest.raises(EpisodeRejected, match=r"e.h5: images/front must be readable"):
        read_valid_episode(tmp_path / "e.h5", tmp_path)


def test_groups_that_are_none_of_ours_are_passed_over(tmp_path, sound):
    (tmp_path / "e.h5").write_bytes(sound)
    with h5py.File(tmp_path / "e.h5", "r+") as file:
        file["depth/front"] = np.zeros((12, 4, 4), np.uint16)
    read_valid_episode(tmp_path / "e.h5", tmp_path)


def test_attributes_written_as_bytes_are_text(tmp_path, sound):
    path = tmp_path / "e.h5"
    path.write_bytes(sound)
    with h5py.File(path, "r+") as file:
        expected = str(file.attrs["instruction"])
        for name in ("instruction", "cell", "calibration"):
            file.attrs[name] = np.bytes_(str(file.attrs[name]).encode())
    assert read_valid_episode(path, tmp_path, EpisodeRequirements()).attributes.instruction == expected


@pytest.mark.parametrize(
    ("group", "hint"), [("data", "source_format: robomimic"), ("observations", "make it a LeRobotDataset")]
)
def test_a_file_of_another_format_says_whose_it_may_be(tmp_path, group, hint):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["action"] = np.zeros((5, 14))
        file.create_group(group)
    with pytest.raises(EpisodeRejected, match=f"format_version must be there, .*{hint}"):
        read_valid_episode(tmp_path / "other.h5", tmp_path, EpisodeRequirements())


def test_a_link_or_a_name_that_leaves_the_folder_is_refused(tmp_path, sound):
    folder = tmp_path / "recordings"
    folder.mkdir()
    (tmp_path / "secret.h5").write_bytes(sound)
    (folder / "link.h5").symlink_to(tmp_path / "secret.h5")
    with pytest.raises(
        EpisodeRejected, match=r"link.h5: path must be inside recordings, got a link to a place outside"
    ):
        read_valid_episode(folder / "link.h5", folder)
    with pytest.raises(EpisodeRejected, match=r"secret.h5: path must be inside recordings, got a place outside it"):
        read_valid_episode(folder / "../secret.h5", folder)


def test_a_lost_objects_pose_is_not_judged(tmp_path):
    episode = random_episode()
    episode.object_poses[4], episode.object_confidence[4] = 0.0, 0.0
    write_episode(tmp_path / "e.h5", episode)
    read_valid_episode(tmp_path / "e.h5", tmp_path)


def test_requirements_of_the_dataset_it_joins(tmp_path):
    episode = random_episode()
    write_episode(tmp_path / "e.h5", replace(episode, attributes=replace(episode.attributes, success=False)))
    for expected, message in (
        (EpisodeRequirements(success=True), "success must be true, got false"),
        (EpisodeRequirements(cells=("fr3",)), "cell must be one of fr3, got twin"),
        (EpisodeRequirements(image_shapes={"front": (64, 64, 3)}), "images must be"),
    ):
        with pytest.raises(EpisodeRejected, match=message):
            read_valid_episode(tmp_path / "e.h5", tmp_path, expected)


def test_a_rejected_episode_is_said_the_same_in_another_process():
    rejected = pickle.loads(pickle.dumps(EpisodeRejected("action", "(T, 7)", "(3, 6)", "episode_000001.h5")))
    assert str(rejected) == "episode_000001.h5: action must be (T, 7), got (3, 6)" and rejected.field == "action"
