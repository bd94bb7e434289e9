"""TD3 through an encoder: the gradient that trains it, and what happens when it is frozen."""

from dataclasses import replace

import numpy as np
import torch

from ocrrl.residual.images.frames import FrameStore
from ocrrl.residual.images.image_td3 import ImageTD3
from ocrrl.residual.td3 import TD3
from tests.residual.images.toy_images import FROM_IMAGES, IMAGES, SIZE

ROBOT = 21
CAMERAS = {"front": (SIZE, SIZE)}


def learner_and_batch(folder, **images):
    config, random = replace(FROM_IMAGES, images=replace(IMAGES, **images)), np.random.default_rng(0)
    frames = FrameStore(folder, CAMERAS, 1)
    images = random.integers(0, 256, (20, SIZE, SIZE, 3), dtype=np.uint8)
    frames.add({"front": images}, random.normal(0.0, 0.05, (20, 3)).astype(np.float32))
    learner = ImageTD3(ROBOT, 1, frames, config, 0)
    batch = torch.from_numpy(random.standard_normal((config.batch_size, learner.layout.width)).astype(np.float32))
    for observation in (learner.layout.observation(batch), learner.layout.next_observation(batch)):
        observation[:, -1] = torch.from_numpy(random.integers(0, 20, len(batch)).astype(np.float32))
    learner.layout.discount(batch)[:] = 0.0  # targets are the rewards
    return learner, batch


def test_the_gradient_that_the_encoder_gets_is_that_of_the_critics_loss():
    learner = TD3(10, FROM_IMAGES, 0, observation_gradient=4)
    batch = torch.randn((16, learner.layout.width), generator=torch.Generator().manual_seed(0))
    learner.layout.discount(batch)[:] = 0.0
    target = learner.layout.reward(batch).clamp(-learner.config.shaping_weight, learner.config.max_value)
    observation = learner.layout.observation(batch).clone().requires_grad_()
    values = learner.critic_input(observation, learner.layout.action(batch), learner.layout.base_action(batch))
    loss = sum((critic.forward(values) - target).square().mean() for critic in learner.critics)
    (expected,) = torch.autograd.grad(loss, observation)
    learner.update(batch)
    torch.testing.assert_close(learner.observation_gradient.clone(), expected[:, :4], rtol=1e-4, atol=1e-5)


def test_a_td3_without_an_encoder_computes_the_same_bytes_and_no_gradient():
    with_gradient, without = TD3(10, FROM_IMAGES, 0, observation_gradient=4), TD3(10, FROM_IMAGES, 0)
    for seed in range(6):
        batch = torch.randn((16, without.layout.width), generator=torch.Generator().manual_seed(seed))
        with_gradient.update(batch)
        without.update(batch)
    assert without.observation_gradient.numel() == 0
    for name, value in without.get_state().items():
        np.testing.assert_array_equal(with_gradient.get_state()[name], value)


def test_the_encoder_learns_to_tell_rewards_that_only_the_frames_tell(tmp_path):
    learner, batch = learner_and_batch(tmp_path, shift=0, encoder_updates=10**6, batch_size=10**6)
    learner.layout.reward(batch)[:, 0] = learner.layout.observation(batch)[:, -1] / 10.0
    learner.update(batch)
    first = learner.statistics().critic_loss
    for _ in range(150):
        learner.update(batch)
    assert learner.statistics().critic_loss < 0.2 * first


def test_the_position_loss_teaches_where_the_objects_are_and_no_weight_means_no_head(tmp_path):
    learner, batch = learner_and_batch(tmp_path, shift=0, encoder_updates=10**6, batch_size=10**6, position_loss=10.0)
    robot, numbers = learner.layout.observation(batch).split([ROBOT, 1], dim=1)
    encoder, seen = learner._encoder, numbers[:, 0].long().numpy()

    def error():
        guess = encoder._positions(torch.cat([encoder.shifted_features(seen), robot], dim=1))
        return float((guess.detach() * 0.05 - torch.from_numpy(encoder._frames.offsets(seen))).abs().mean())

    first = error()
    for _ in range(150):
        learner.update(batch)
    assert error() < 0.5 * first
    (tmp_path / "without").mkdir()
    without, _ = learner_and_batch(tmp_path / "without", position_loss=0.0)
    assert not any("positions" in name for name in without.get_state())
    assert any("positions" in name for name in learner.get_state())
    assert not any("positions" in name for name in learner.actor_weights())


def test_a_frozen_encoder_stays_and_each_frame_is_encoded_once(tmp_path):
    learner, batch = learner_and_batch(tmp_path, encoder_updates=3)
    assert learner.gradient_steps == IMAGES.gradient_steps
    for _ in range(3):
        learner.update(batch)
    frozen = {name: value for name, value in learner.get_state().items() if name.startswith("encoder:")}
    for name, value in frozen.items():
        if name.startswith("encoder:online."):
            for follower in ("target.", "average."):
                np.testing.assert_array_equal(frozen[name.replace("online.", follower)], value)
    encoded = []
    features = learner._encoder.features
    learner._encoder.features = lambda numbers: encoded.extend(numbers.tolist()) or features(numbers)
    for _ in range(3):
        learner.update(batch)
    learner.residual(learner.layout.observation(batch).numpy())
    assert sorted(encoded) == list(range(20))
    for name, value in learner.get_state().items():
        if name in frozen:
            np.testing.assert_array_equal(frozen[name], value)
    assert learner.gradient_steps == FROM_IMAGES.gradient_steps


def test_the_encoder_is_trained_at_the_beginning_of_each_cycle_and_frames_are_encoded_anew(tmp_path):
    learner, batch = learner_and_batch(tmp_path, encoder_cycle=5, encoder_share=0.4, encoder_updates=5)
    changed, kept = [], []
    for _ in range(17):
        before = learner.get_state()["encoder:online.project.weight"]
        learner.update(batch)
        changed.append(not np.array_equal(before, learner.get_state()["encoder:online.project.weight"]))
        kept.append(learner._encoder._kept.copy())
    assert np.flatnonzero(changed).tolist() == [0, 1, 5, 6, 10]
    assert len(kept[4]) == len(kept[9]) == 20 and not np.array_equal(kept[4], kept[9])
    np.testing.assert_array_equal(kept[13], kept[16])


def test_published_weights_stay_while_training_goes_on(tmp_path):
    learner, batch = learner_and_batch(tmp_path)
    published = learner.actor_weights()
    before = {name: value.copy() for name, value in published.items()}
    for _ in range(30):
        learner.update(batch)
    for name, value in before.items():
        np.testing.assert_array_equal(published[name], value)
    assert not np.array_equal(learner.actor_weights()["encoder.project.weight"], before["encoder.project.weight"])


def test_its_residuals_depend_on_the_frame_and_stay_within_the_scale(tmp_path):
    learner, batch = learner_and_batch(tmp_path)
    for _ in range(10):
        learner.update(batch)
    rows = np.repeat(learner.layout.observation(batch)[:1].numpy(), 2, axis=0)
    rows[:, -1] = [3, 11]
    first, second = learner.residual(rows)
    assert not np.array_equal(first, second) and np.abs(first).max() < 1.5
