"""What a robomimic file says of itself is listened to: rate, robots, controller, masks, rewards, lengths."""

import fcntl
import json

import h5py
import numpy as np
import pytest

from ocrrl.episodes.episode_checks import EpisodeRejected, EpisodeRequirements
from ocrrl.episodes.image_fit import ImageFit
from ocrrl.recordings.folder import look_through
from ocrrl.recordings.robomimic.robomimic_format import robomimic_episodes
from ocrrl.recordings.robomimic.robomimic_mapping import RobomimicMapping
from ocrrl.tabletop.cube_lift import TASK as CUBE_LIFT
from tests.recordings.meaning.moving_arm import closing_command, closing_width, moving_joints, moving_poses

ROWS = 40
PLAIN = {"cell": "robosuite", "images": {"front": "agentview_image"}}
NO_REWARDS = "success: the file has no rewards, every demonstration is taken for a success"


def write(path, names=("demo_0",), env=None, edit=None, mask=None, hz=20.0):
    path.parent.mkdir(parents=True, exist_ok=True)
    poses = moving_poses(ROWS, hz)
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        if env is not None:
            data.attrs["env_args"] = (
                env if isinstance(env, str) else json.dumps({"env_name": "Lift", "env_kwargs": env})
            )
        for k, name in enumerate(names):
            demo = data.create_group(name)
            demo.attrs["num_samples"] = ROWS
            demo["actions"] = np.concatenate([np.zeros((ROWS, 6)), 1 - 2 * closing_command(ROWS)[:, None]], axis=-1)
            demo["obs/robot0_eef_pos"] = poses[:, :3]
            demo["obs/robot0_eef_quat"] = np.roll(poses[:, 3:], -1, axis=-1)
            demo["obs/robot0_joint_pos"] = moving_joints(ROWS, hz)
            width = closing_width(ROWS)[:, None]
            demo["obs/robot0_gripper_qpos"] = np.concatenate([width, -width], axis=-1) / 2
            rng = np.random.default_rng(k)
            demo["obs/agentview_image"] = rng.integers(0, 255, (ROWS, 12, 16, 3), dtype=np.uint8)
            if edit:
                edit(demo, k)
        for split, members in (mask or {}).items():
            file[f"mask/{split}"] = np.array(members, "S")
    return path


def found(folder, split="", **mapping):
    files = look_through(folder, lerobot=False).recordings
    declared = RobomimicMapping.from_params(PLAIN | mapping)
    return [each for path in files for each in robomimic_episodes(path, folder, CUBE_LIFT, declared, split)]


def read(folder, expected=None, **mapping):
    (episode,) = found(folder, **mapping)
    return episode.load(expected or EpisodeRequirements(tabletop_task=CUBE_LIFT))


def refusal(folder, expected=None, **mapping):
    with pytest.raises(EpisodeRejected) as refused:
        read(folder, expected, **mapping)
    return refused.value.reason


def test_a_sound_file_needs_no_more_than_a_cell_and_a_camera(tmp_path):
    write(tmp_path / "lift.hdf5", env={"control_freq": 20, "robots": ["Panda"]})
    reading = read(tmp_path)
    assert reading.notes == ("control_hz: 20, from the file's env_args (control_freq)", NO_REWARDS)
    np.testing.assert_allclose(reading.episode.gripper_pose, moving_poses(ROWS), atol=1e-9)
    np.testing.assert_allclose(reading.episode.action[:, 6], closing_command(ROWS))
    assert reading.episode.attributes.instruction == CUBE_LIFT.instruction


def test_a_rate_that_the_file_contradicts_is_refused_and_an_absent_one_taken(tmp_path):
    write(tmp_path / "lift.hdf5", env={"control_freq": 10}, hz=10.0)
    assert refusal(tmp_path, control_hz=20) == (
        "control_hz must be the file's 10 (env_args' control_freq), got 20 in the mapping: every motion would be 2 times as fast;"
        " control_hz: 10, or leave it out"
    )
    assert len(read(tmp_path).episode) == 2 * ROWS - 1
    write(tmp_path / "lift.hdf5", env={"control_freq": "fast"})
    with pytest.raises(EpisodeRejected, match=r"env_args.control_freq must be a rate in Hz, got 'fast'"):
        read(tmp_path)


def test_a_file_without_env_args_says_which_rate_was_taken(tmp_path):
    write(tmp_path / "lift.hdf5")
    assert read(tmp_path).notes[0] == "control_hz: 20 taken, neither env_args nor the mapping name one"
    write(tmp_path / "lift.hdf5", env="{")
    assert read(tmp_path, control_hz=20).notes[0] == "env_args: no JSON, not looked at"


@pytest.mark.parametrize(
    ("env", "mapping", "reason"),
    [
        ({"robots": ["UR5e"]}, {}, "env_args.robots must be a Panda or an FR3, got UR5e"),
        ({"robots": ["Panda", "Panda"]}, {}, "env_args.robots must be a Panda or an FR3, got Panda, Panda"),
        (
            {"controller_configs": {"type": "OSC_POSE", "control_delta": False}},
            {"actions": "deltas"},
            "actions must be steps for actions: deltas, got poses: env_args' control_delta is false",
        ),
        (
            {"controller_configs": {"body_parts": {"right": {"input_type": "absolute"}}}},
            {"actions": "deltas"},
            "actions must be steps for actions: deltas, got poses",
        ),
    ],
)
def test_what_the_environment_says_of_arm_and_controller_counts(tmp_path, env, mapping, reason):
    write(tmp_path / "lift.hdf5", env=env)
    assert refusal(tmp_path, **mapping).startswith(reason)


def test_absolute_actions_are_refused_as_steps_and_read_as_poses(tmp_path):
    def absolute(demo, k):
        demo["actions"][:, :3] = moving_poses(ROWS)[:, :3]
        demo["goal"] = np.roll(moving_poses(ROWS)[:, 3:], -1, axis=-1)

    write(tmp_path / "lift.hdf5", edit=absolute)
    assert "got absolute poses, all near the recorded positions" in refusal(tmp_path, actions="deltas")
    episode = read(tmp_path, actions="poses", command_position="actions[0:3]", command_rotation="goal").episode
    np.testing.assert_allclose(episode.commanded_pose[1:], moving_poses(ROWS)[:-1], atol=1e-6)


def test_joint_commands_are_actions_of_eight_numbers(tmp_path):
    def joints(demo, k):
        command = 1 - 2 * closing_command(ROWS)[:, None]
        del demo["actions"]
        demo["actions"] = np.concatenate([moving_joints(ROWS + 1)[1:], command], axis=-1)

    write(tmp_path / "lift.hdf5", edit=joints)
    assert refusal(tmp_path).endswith("got (40, 8) (joint commands? then gripper_command: actions[7])")
    declared = {"actions": "joint_positions", "joint_command": "actions[0:7]", "gripper_command": "actions[7]"}
    episode = read(tmp_path, **declared).episode
    np.testing.assert_allclose(episode.commanded_pose[1:], moving_poses(ROWS)[1:], atol=1e-6)
    np.testing.assert_allclose(episode.action[:, 6], closing_command(ROWS))


def test_rewards_or_dones_or_a_declared_label_decide_success(tmp_path):
    def failed(demo, k):
        demo["rewards"] = np.zeros(ROWS) if k == 0 else np.eye(ROWS)[5]
        demo["label"] = np.ones((ROWS, 1))

    write(tmp_path / "lift.hdf5", ("demo_0", "demo_1"), edit=failed)
    successes = [episode.load(EpisodeRequirements()).episode.attributes.success for episode in found(tmp_path)]
    assert successes == [False, True]
    successes = [e.load(EpisodeRequirements()).episode.attributes.success for e in found(tmp_path, success="label")]
    assert successes == [True, True]
    write(tmp_path / "lift.hdf5", edit=lambda demo, k: demo.create_dataset("dones", data=np.zeros(ROWS)))
    assert refusal(tmp_path, EpisodeRequirements(success=True)) == (
        "success must be true, got dones that are never above 0 (mapping.success may name a label)"
    )
    write(tmp_path / "lift.hdf5", edit=lambda demo, k: demo.create_dataset("rewards", data=np.linspace(0, 0.3, ROWS)))
    assert (
        read(tmp_path).notes[-1] == "success: rewards are dense and do not tell it (mapping.success may name a label)"
    )
    write(tmp_path / "lift.hdf5", edit=lambda demo, k: demo.create_dataset("dones", data=np.eye(ROWS)[-1] > 0))
    assert read(tmp_path, EpisodeRequirements(success=True)).episode.attributes.success


def test_a_split_takes_its_demonstrations_and_says_of_the_others(tmp_path):
    names = ("demo_0", "demo_1", "demo_2")
    write(tmp_path / "lift.hdf5", names, mask={"train": ["demo_0", "demo_2"], "valid": ["demo_1"]})
    assert [e.left_out for e in found(tmp_path, split="train")] == ["", "not in split train", ""]
    assert [e.left_out for e in found(tmp_path)] == ["", "", ""]
    (note, *_) = found(tmp_path)[0].load(EpisodeRequirements()).notes
    assert note == "mask: the file names train, valid; ingest's split takes one of them"
    (broken,) = found(tmp_path, split="test")
    with pytest.raises(EpisodeRejected, match="mask must be one of train, valid for ingest's split, got test"):
        broken.load(EpisodeRequirements())
    write(tmp_path / "lift.hdf5", mask={"train": ["demo_0", "demo_7"]})
    notes = found(tmp_path, split="train")[0].load(EpisodeRequirements()).notes
    assert notes[0] == "mask/train: 1 of 2 demonstrations are not in data"
    write(tmp_path / "lift.hdf5", mask={"train": ["demo_7"]})
    with pytest.raises(EpisodeRejected, match="mask/train must be names of demonstrations in data, got demo_7"):
        found(tmp_path, split="train")[0].load(EpisodeRequirements())


def replaced(name, change):
    def edit(demo, k):
        values = change(demo[name][...])
        del demo[name]
        demo[name] = values

    return edit


def all_longer(demo, k):
    for key in list(demo["obs"]):
        replaced(f"obs/{key}", lambda v: np.concatenate([v, v[-1:]]))(demo, k)


def only_states(demo, k):
    del demo["obs"]
    demo["states"] = np.zeros((ROWS, 3))


def compressed(demo, k):
    del demo["obs/agentview_image"]
    images = demo.create_dataset("obs/agentview_image", (ROWS,), dtype=h5py.vlen_dtype(np.uint8))
    images[0] = np.arange(9, dtype=np.uint8)


IMAGE = "obs/agentview_image"
BROKEN = {
    "one observation more": (all_longer, r"obs/\w+ must be 40 rows, one an action, got 41 \(one observation more"),
    "states": (
        only_states,
        "obs must be there, got states only: extract observations with robomimic's dataset_states_to_obs.py",
    ),
    "two arms": (
        replaced("actions", lambda v: np.tile(v, 2)),
        r"actions must be of shape \(T, 7\).*got \(40, 14\) \(two arms\?\)",
    ),
    "num_samples": (
        lambda demo, k: demo.attrs.__setitem__("num_samples", 41),
        "num_samples must be 40, as many as actions, got 41",
    ),
    "no steps": (replaced("actions", lambda v: v[:0]), "actions must be at least one step"),
    "channels first": (
        replaced(IMAGE, lambda v: (v.transpose(0, 3, 1, 2) / 255).astype(np.float32)),
        r"images.front must be uint8 of shape .*got float32 \(40, 3, 12, 16\) \(channels first, 0..1\?",
    ),
    "depth": (replaced(IMAGE, lambda v: v[..., :1].astype(np.uint16)), r"got uint16 .*\(depth\?"),
    "JPEG": (compressed, r"got bytes of variable length \(40,\) \(compressed images\?"),
    "black": (replaced(IMAGE, np.zeros_like), "images/front must be more than black"),
    "frozen": (
        replaced(IMAGE, lambda v: np.repeat(v[:1], ROWS, axis=0)),
        "images/front must be changing while the arm moves",
    ),
    "zero quaternion": (
        replaced("obs/robot0_eef_quat", lambda v: v * (np.arange(ROWS) > 0)[:, None]),
        "norm of 0.0000 at step 0",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_does_not_fit_is_refused_with_the_field(tmp_path, name):
    edit, message = BROKEN[name]
    write(tmp_path / "lift.hdf5", edit=edit)
    with pytest.raises(EpisodeRejected, match=message):
        read(tmp_path)


def test_declared_sizes_are_checked_before_anything_is_read(tmp_path):
    def bomb(demo, k):
        for name in ("actions", "obs/robot0_eef_pos"):
            width = demo[name].shape[1]
            del demo[name]
            demo.create_dataset(name, (90_000, width), "f8", chunks=(1000, width))
        del demo.attrs["num_samples"]

    write(tmp_path / "lift.hdf5", edit=bomb)
    assert refusal(tmp_path).endswith("rows, one an action, got 40")
    write(
        tmp_path / "lift.hdf5",
        edit=lambda d, k: (d.__delitem__("actions"), d.create_dataset("actions", (2**40, 7), "f8", chunks=(1000, 7))),
    )
    assert refusal(tmp_path).startswith("actions must be at most 100000 steps")


def test_images_are_brought_to_size_and_other_cameras_left_out(tmp_path):
    write(tmp_path / "lift.hdf5")
    expected = EpisodeRequirements(images=ImageFit({"front": (6, 8)}))
    reading = read(tmp_path, expected, images={"front": "agentview_image", "side": "agentview_image"})
    assert {camera: frames.shape for camera, frames in reading.episode.images.items()} == {"front": (ROWS, 6, 8, 3)}
    assert "images.front: 12 x 16 made 6 x 8" in reading.notes
    assert "images.side: left out, no camera of the cell (front)" in reading.notes
    wanting = EpisodeRequirements(images=ImageFit({"front": (6, 8), "wrist": (6, 8)}))
    assert refusal(tmp_path, wanting) == "mapping.images must be of front, wrist, got front (wrist missing)"


def test_every_demonstration_has_a_name_of_its_own_whichever_files_are_asked_for(tmp_path):
    for name in ("a b.hdf5", "a_b.hdf5", "a_b.h5", "试.hdf5", "验.hdf5"):
        write(tmp_path / name, ("demo_10", "demo_2", "de-mo", "de_mo"))
    episodes = found(tmp_path)
    assert len({episode.source for episode in episodes}) == len(episodes) == 20
    assert [e.origin.split(":")[1] for e in episodes[:4]] == ["de-mo", "de_mo", "demo_2", "demo_10"]
    mapping = RobomimicMapping.from_params(PLAIN)
    alone = [e for path in sorted(tmp_path.iterdir()) for e in robomimic_episodes(path, tmp_path, CUBE_LIFT, mapping)]
    assert {e.origin: e.source for e in alone} == {e.origin: e.source for e in episodes}


def test_arrays_beside_the_demonstrations_are_passed_over_and_links_refused(tmp_path):
    write(tmp_path / "lift.hdf5")
    with h5py.File(tmp_path / "lift.hdf5", "a") as file:
        file["data/summary"] = np.zeros(3)
        file["data/demo_1"] = h5py.ExternalLink("other.hdf5", "data/demo_0")
    first, linked = found(tmp_path)
    assert first.load(EpisodeRequirements()).episode.attributes.success
    with pytest.raises(EpisodeRejected, match="data/demo_1 must be data in the file itself, got a link"):
        linked.load(EpisodeRequirements())


def test_a_file_that_is_being_written_is_said_to_be(tmp_path):
    write(tmp_path / "lift.hdf5")
    with (tmp_path / "lift.hdf5").open("rb") as written:
        fcntl.flock(written, fcntl.LOCK_EX)
        (episode,) = found(tmp_path)
        with pytest.raises(EpisodeRejected, match="file must be closed by the program that writes it"):
            episode.load(EpisodeRequirements())


def test_the_file_s_own_words_are_said_and_the_task_s_taken(tmp_path):
    write(tmp_path / "lift.hdf5")
    with h5py.File(tmp_path / "lift.hdf5", "a") as file:
        file["data"].attrs["problem_info"] = json.dumps({"language_instruction": ["take the block"]})
    reading = read(tmp_path)
    assert reading.episode.attributes.instruction == CUBE_LIFT.instruction
    assert any(note.startswith('instruction: the dataset says "take the block", taken as') for note in reading.notes)
    assert read(tmp_path, instruction="take it").episode.attributes.instruction == "take it"
