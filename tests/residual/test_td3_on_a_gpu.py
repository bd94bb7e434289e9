"""TD3 where a GPU is: what is replayed is what was written, and a run goes on where it stopped. `pytest -m gpu`."""

import numpy as np
import pytest
import torch

from ocrrl.residual.learning_curve import BlockingValidation
from ocrrl.residual.replay_buffer import BatchMemory
from ocrrl.residual.residual_config import ResidualConfig
from ocrrl.residual.td3 import TD3
from tests.residual.test_td3 import BATCH, DIM, random_batch
from tests.residual.test_train_residual import SMALL, Killed, grade, killed_at, train

pytestmark = pytest.mark.gpu


def learner(device="cuda", **changes) -> TD3:
    sizes = {"actor_hidden": 32, "critic_hidden": 32, "critic_warmup": 5, "bc_coef": 0.3}
    return TD3(DIM, ResidualConfig(**(sizes | {"device": device} | changes)), seed=0)


def updated(td3: TD3, batches) -> dict[str, np.ndarray]:
    for batch in batches:
        td3.update(batch, 10)
    return td3.get_state()


def test_a_replayed_update_is_the_update_kernel_by_kernel():
    """Bit for bit, the noise too: 20 updates of all three kinds, each set up, recorded and replayed."""
    batches = [random_batch(seed).cuda() for seed in range(20)]
    written, replayed = learner(), learner()
    written._run = written._update
    expected, got = updated(written, batches), updated(replayed, batches)
    assert len(replayed._run._recordings) == 3
    for name, value in expected.items():
        np.testing.assert_array_equal(got[name], value, err_msg=name)
    assert replayed.statistics() == written.statistics()


def test_the_gpu_computes_what_the_cpu_does():
    """Without the noise, whose generators differ; the averaged actor after 20 updates."""
    batches = [random_batch(seed) for seed in range(20)]
    for name in ("critics", "actor", "actor_average"):
        states = [updated(learner(device, target_noise=0.0), batches)[name] for device in ("cpu", "cuda")]
        np.testing.assert_allclose(*states, atol=2e-4, err_msg=name)


def test_a_restored_learner_goes_on_exactly():
    one, other = learner(), learner()
    updated(one, [random_batch(seed) for seed in range(7)])
    updated(other, [random_batch(100)] * 9)  # recorded before it is restored
    other.set_state(one.get_state())
    later = [random_batch(seed) for seed in range(7, 17)]
    for (name, value), got in zip(updated(one, later).items(), updated(other, later).values(), strict=True):
        np.testing.assert_array_equal(got, value, err_msg=name)


def test_a_batch_is_not_drawn_over_while_the_gpu_reads_it():
    memory, device = BatchMemory(BATCH, 4096, torch.device("cuda")), torch.device("cuda")
    busy, arrived = torch.zeros((4096, 4096), device=device), []
    for number in range(6):
        with memory.batch() as batch:
            batch.fill_(number)
            for _ in range(20):
                busy @ busy
            arrived.append(batch.to(device, non_blocking=True))
    assert [float(batch.mean()) for batch in arrived] == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]


def test_training_on_a_gpu_that_is_killed_goes_on_to_the_same_bytes(tmp_path):
    from dataclasses import replace

    config = replace(SMALL, device="cuda")
    policy, whole = train(tmp_path / "whole", config, validation=BlockingValidation(grade))
    with pytest.raises(Killed):
        train(tmp_path / "killed", config, validation=BlockingValidation(grade), progress=killed_at(230))
    assert train(tmp_path / "killed", config, validation=BlockingValidation(grade))[1] == whole
    assert np.isfinite(policy.residual(np.zeros((1, policy.observation_dim), np.float32))).all()
