"""Algorithm 1 on images and its student: published folders, resuming, deployment, and what is refused."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ocrrl import files
from ocrrl.config_builder import ParamsError, build, values_of
from ocrrl.interface.observations import chunk_features_dim
from ocrrl.interface.residual_observations import robot_observation_dim
from ocrrl.residual.images.image_policy import ImageResidualPolicy
from ocrrl.residual.learning_curve import BlockingValidation
from ocrrl.residual.observation_spaces.chosen import observation_space
from ocrrl.residual.observation_spaces.images import ImageSpace
from ocrrl.residual.residual_config import ImageConfig, ResidualConfig
from ocrrl.residual.residual_policy import PrivilegedPolicy, load_residual
from ocrrl.residual.train_residual import train_residual
from ocrrl.rollouts.control_loop import run_episodes
from tests.residual.images.toy_images import FROM_IMAGES, SIZE, ToyImages
from tests.residual.test_residual_policy import some_policy
from tests.residual.test_train_residual import Killed, grade, killed_at
from tests.residual.toy_environment import TOY_TASK, ToyBase, demonstrations

TEACHER = replace(FROM_IMAGES, observation="privileged")
CHUNKS = np.zeros((4, chunk_features_dim(chunk_phase=False, coming_actions=8)))


def train(folder, config=FROM_IMAGES, environment=None, **options):
    environment = environment or ToyImages(config.num_envs)
    base = ToyBase(config.num_envs)
    policy = train_residual(config, environment, base, demonstrations(3), folder / "work", folder / "out", 0, **options)
    return policy, {f.name: f.read_bytes() for f in sorted((folder / "out").iterdir())}


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    folder = tmp_path_factory.mktemp("teacher")
    train(folder, TEACHER)
    return folder / "out"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    train(folder, validation=BlockingValidation(grade))
    return folder / "out"


@pytest.mark.parametrize("killed", [150, 320])  # while the encoder is trained, and frozen
def test_a_killed_training_from_images_goes_on_to_the_same_bytes(tmp_path, trained, killed):
    with pytest.raises(Killed):
        train(tmp_path, validation=BlockingValidation(grade), progress=killed_at(killed))
    _, resumed = train(tmp_path, validation=BlockingValidation(grade))
    assert resumed == {f.name: f.read_bytes() for f in sorted(trained.iterdir())}


def test_its_folder_says_which_images_it_needs_and_gives_the_same_residuals_again(trained):
    config = json.loads((trained / "config.json").read_text())
    assert config["observation"] == "images" and config["cameras"] == {"front": [SIZE, SIZE]}
    assert config["look"] == "plain" and config["encoder"] == {"channels": 4, "features": 8}
    policy = load_residual(trained, TOY_TASK)
    assert isinstance(policy, ImageResidualPolicy) and policy.every == FROM_IMAGES.action_repeat
    images = {"front": np.random.default_rng(0).integers(0, 256, (3, SIZE, SIZE, 3), dtype=np.uint8)}
    robot = np.zeros((3, robot_observation_dim(coming_actions=8)), np.float32)
    first = policy.residual_of_images(images, robot)
    np.testing.assert_array_equal(first, load_residual(trained, TOY_TASK).residual_of_images(images, robot))
    assert first.shape == (3, 7) and not np.array_equal(first[0], first[1])


def test_a_frame_is_kept_once_for_the_decision_that_led_to_it_and_the_one_that_saw_it(tmp_path, monkeypatch):
    added = []
    from ocrrl.residual import train_residual as algorithm

    add = algorithm.NStepReturns.add

    def spying(self, ids, state, action, base, reward, following, *rest, **named):
        if len(ids) and self._heads.shape[0] > 1:  # the online one
            added.append((np.array(ids), state[:, -1].copy(), following[:, -1].copy(), np.array(rest[1] | rest[2])))
        return add(self, ids, state, action, base, reward, following, *rest, **named)

    monkeypatch.setattr(algorithm.NStepReturns, "add", spying)
    train(tmp_path, replace(FROM_IMAGES, learning_starts=10**6))
    led_to = {}
    for ids, saw, following, ended in added:
        for env, number, next_number, over in zip(ids.tolist(), saw, following, ended, strict=True):
            assert led_to.get(env, number) == number, "a decision sees the frame that the last one led to"
            led_to[env] = next_number
            if over:
                del led_to[env]
    numbers = np.concatenate([following for _, _, following, _ in added])
    assert len(np.unique(numbers)) == len(numbers)


def test_images_are_taken_where_a_decision_is_due_alone(tmp_path):
    environment = ToyImages(4)
    space = observation_space(FROM_IMAGES, environment, tmp_path)
    assert isinstance(space, ImageSpace)
    seen, base = environment.observe(), np.zeros((4, 7), np.float32)
    deciding = np.array([True, False, True, False])
    rows = space.observe(np.arange(4), deciding, seen, base, CHUNKS, np.random.default_rng(0))
    assert environment.taken == [2] and rows[:, -1].tolist() == [0.0, 0.0, 1.0, 0.0]


def test_a_realistic_look_is_drawn_anew_for_each_decision_unless_an_episode_keeps_its_own(tmp_path):
    class Dressed(ToyImages):
        def redress(self, ids, seeds):
            looks.append((ids.tolist(), seeds.tolist()))

    looks, deciding = [], np.array([True, False, True, False])
    for when, plain in (("decision", False), ("episode", False), ("decision", True)):
        images = replace(FROM_IMAGES.images, look="plain" if plain else "realistic", look_every=when)
        environment = Dressed(4)
        space = observation_space(replace(FROM_IMAGES, images=images), environment, tmp_path)
        for _ in range(2):
            seen, base = environment.observe(), np.zeros((4, 7), np.float32)
            space.observe(np.arange(4), deciding, seen, base, CHUNKS, np.random.default_rng(len(looks)))
    assert [ids for ids, _ in looks] == [[0, 2], [0, 2]] and len({seed for _, seeds in looks for seed in seeds}) == 4


def test_it_is_deployed_by_the_same_loop_every_few_steps_and_never_for_want_of_poses(trained):
    class Blind(ToyImages):
        def observe(self):
            return replace(super().observe(), object_confidence=np.zeros((self.num_envs, 1)))

    environment = Blind(3)
    (outcome, *_) = run_episodes(environment, ToyBase(3), load_residual(trained, TOY_TASK), range(3), keep_traces=True)
    assert len(environment.taken) == -(-outcome.steps // FROM_IMAGES.action_repeat)
    assert np.abs(outcome.trace.residuals[-2:]).max() > 0, "poses are lost from the first step on"


class OtherCell(ToyImages):
    """A cell that takes images at its own size."""

    capture_at, cell, size = None, "fr3", 24

    def capture(self, ids):
        own = super().capture(ids)
        return own | {"wrist": np.zeros((len(ids), self.size, self.size, 3), np.uint8)}


def test_a_cell_without_its_cameras_or_with_another_size_is_named_with_the_next_step(trained):
    policy = load_residual(trained, TOY_TASK)
    with pytest.raises(
        ValueError,
        match=r"cell fr3 must take the images that the residual was trained with, front 16 x 16, got front 1 x 2, wrist 24 x 24: "
        r"declare these under `cameras` in params\.yaml",
    ):
        run_episodes(OtherCell(2), ToyBase(2), policy, range(2))
    policy.cameras = {"wrist": (24, 24)}
    policy.residual_of_images = lambda images, robot: np.zeros((len(robot), 7), np.float32)
    assert len(run_episodes(OtherCell(2), ToyBase(2), policy, range(2))) == 2, "that has the size is fit"


def test_a_teacher_is_refused_where_nobody_knows_the_true_state(teacher):
    class Cell(ToyImages):
        cell = "twin"

        def __init__(self, num_envs):
            super().__init__(num_envs)
            del self.privileged

    policy = load_residual(teacher, TOY_TASK)
    assert isinstance(policy, PrivilegedPolicy)
    assert len(run_episodes(ToyImages(2), ToyBase(2), policy, range(2))) == 2
    with pytest.raises(
        ValueError, match=r"cell twin must know true velocities and contact forces.*observation: distilled"
    ):
        run_episodes(Cell(2), ToyBase(2), policy, range(2))


def test_a_student_names_its_teacher_and_regresses_to_it(tmp_path, teacher):
    config = replace(FROM_IMAGES, observation="distilled", teacher=str(teacher), total_timesteps=800)
    _, published = train(tmp_path, config)
    described = json.loads(published["config.json"])
    assert described["observation"] == "distilled"
    assert described["teacher"] == {"folder": str(teacher), "fingerprint": files.fingerprint(teacher)}
    losses = [point["critic_loss"] for point in json.loads(published["curve.json"])["points"]]
    assert losses[-1] < losses[1]
    assert isinstance(load_residual(tmp_path / "out", TOY_TASK), ImageResidualPolicy)


def test_a_student_without_its_teacher_or_with_another_residual_is_refused(tmp_path, teacher, trained):
    with pytest.raises(
        ValueError, match=r"^teacher must name the folder of a residual that was trained with observation: priv"
    ):
        replace(FROM_IMAGES, observation="distilled")
    with pytest.raises(ValueError, match=r"got '/there' with observation: images"):
        replace(FROM_IMAGES, teacher="/there")
    student = replace(FROM_IMAGES, observation="distilled", teacher=str(tmp_path / "gone"))
    with pytest.raises(
        FileNotFoundError, match=r"train_residual\.teacher must name the folder.*train one with observation: priv"
    ):
        train(tmp_path, student)
    with pytest.raises(
        ValueError, match=r"train_residual\.teacher must be a residual with observation: privileged, got images"
    ):
        train(tmp_path, replace(student, teacher=str(trained)))
    with pytest.raises(ValueError, match=r"teacher must have the student's action_repeat, 4, got 2"):
        train(tmp_path, replace(student, teacher=str(teacher), action_repeat=4))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"observation": "smell"}, "observation must be one of objects, images, privileged, distilled, got 'smell'"),
        ({"cameras": {"front": [16, 24]}}, "cameras must be a mapping of names to one"),
        ({"cameras": []}, "cameras must be a mapping of names to one"),
        ({"encoder": {"channels": 0, "features": 8}}, "encoder must have channels and features, whole numbers from 1"),
        ({"look": None}, "look must be one of plain, realistic, got"),
    ],
)
def test_a_damaged_description_is_named(tmp_path, trained, changes, said):
    for file in trained.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = json.loads((trained / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | changes))
    with pytest.raises(ValueError, match=f"config.json: {said}"):
        load_residual(tmp_path, TOY_TASK)


def test_a_folder_without_its_encoder_is_named(tmp_path, trained):
    for file in trained.iterdir():
        if file.name != "encoder.safetensors":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    with pytest.raises(FileNotFoundError, match=r"must hold encoder\.safetensors, since its observation is images"):
        load_residual(tmp_path, TOY_TASK)
    (tmp_path / "encoder.safetensors").write_bytes((trained / "actor.safetensors").read_bytes())
    with pytest.raises(ValueError, match=r"encoder\.safetensors.*a residual of such images"):
        load_residual(tmp_path, TOY_TASK)


def test_a_residual_of_poses_says_nothing_of_images(tmp_path):
    from ocrrl.residual.residual_policy import save_residual

    save_residual(tmp_path, some_policy(), TOY_TASK, {})
    assert not {"observation", "cameras", "encoder", "look"} & set(json.loads((tmp_path / "config.json").read_text()))
    assert sorted(f.name for f in tmp_path.iterdir()) == ["actor.safetensors", "config.json"]


def test_only_a_cell_that_can_be_put_into_a_recorded_state_trains_from_images(tmp_path):
    class Unplaceable(ToyImages):
        reset_to = None

    with pytest.raises(ValueError, match=r"cell sim must be one that can be put into a recorded state"):
        train(tmp_path, environment=Unplaceable(4))


def test_the_settings_are_named_where_they_are_wrong_and_left_out_where_they_are_the_default():
    def built(**values):
        return build(ResidualConfig, values, "train_residual.cube_lift", complete=False)

    assert built(observation="images", images={"size": 64}).images == ImageConfig(size=64)
    assert not {"observation", "images", "teacher"} & set(values_of(ResidualConfig()))
    for values, said in (
        ({"observation": "smell"}, "observation must be one of objects, images, privileged, distilled, got 'smell'"),
        ({"images": {"size": 8}}, "images.size must be from 16 to 480, got 8"),
        ({"images": {"look": "dark"}}, "images.look must be one of plain, realistic, got 'dark'"),
        (
            {"observation": "distilled"},
            "teacher must name the folder of a residual that was trained with observation: priv",
        ),
    ):
        with pytest.raises(ParamsError, match=f"^train_residual.cube_lift.{said}"):
            built(**values)


def test_the_page_lists_each_key_of_images_with_its_default():
    page = Path("docs/observation_spaces.md").read_text().split("| key of `images` | default | |\n|---|---|---|\n")[1]
    rows = [line.split(" | ")[:2] for line in page.split("\n\n")[0].splitlines()]
    listed = {
        name: default
        for names, defaults in rows
        for name, default in zip(names.strip("| `").split("`, `"), defaults.split(", "), strict=True)
    }
    assert listed == {name: str(value) for name, value in values_of(ImageConfig()).items()}
