"""A checkpoint that is served answers as it does in process, by either protocol, alone and among others."""

import threading
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace

import numpy as np
import pytest

from ocrrl.policies.checkpoint import load_vla
from ocrrl.policies.chunked_policy import ChunkedPolicy
from ocrrl.policies.finetune import FinetuneConfig, finetune
from ocrrl.policies.remote.handshake import agree, open_model
from ocrrl.policies.remote.remote_config import remote_config
from ocrrl.policies.remote.serving.batcher import Batcher, Counters
from ocrrl.policies.training_data import TrainingData
from ocrrl.rollouts.control_loop import run_episodes
from ocrrl.tabletop.cube_lift import TASK as CUBE_LIFT
from ocrrl.tabletop.cube_lift import Scene as CubeLift
from ocrrl.worlds import make_environment
from tests.policies.lerobot_dots import write_dots
from tests.policies.remote.served import SIZE, robots, served, write_compact
from tests.policies.synthetic import INSTRUCTION
from tests.policies.tiny_pi05 import tiny_pi05

SIZES = {"front": SIZE, "wrist": SIZE, "side": (48, 64)}


def agreed(protocol, address, sizes=SIZES, **more):
    return agree(remote_config({"type": "remote", "protocol": protocol, "address": address, **more}), "real", sizes)


def tiny_pi05_policy(folder, monkeypatch, hub_cache):
    return tiny_pi05(monkeypatch, hub_cache)


def tiny_groot_policy(folder, monkeypatch, hub_cache):
    return pytest.importorskip("tests.policies.tiny_groot").tiny_groot(folder, hub_cache)


@pytest.mark.parametrize("protocol", ["openpi", "gr00t"])
def test_a_served_checkpoint_answers_as_in_process(compact, protocol):
    with served(compact, protocol) as (address, service):
        model = agreed(protocol, address)
        assert (model.chunk_size, model.n_action_steps, set(model.cameras)) == (8, 4, {"front", "wrist"})
        assert model.identity == f"checkpoint {service.contract.identity}"
        remote = open_model(model)
        for count in (1, 5, 20):
            images, robot = robots(count)
            expected = load_vla(compact, "cpu").predict_chunk(images, robot, INSTRUCTION)
            chunk = remote.predict_chunk(images, robot, INSTRUCTION)
            assert chunk.dtype == np.float32
            np.testing.assert_allclose(chunk, expected, atol=1e-6, rtol=0)
        remote.close()


def test_several_openpi_servers_answer_side_by_side_in_the_robots_order(compact):
    with ExitStack() as opened:
        one, two = (opened.enter_context(served(compact, "openpi", max_batch=2)) for _ in range(2))
        remote = open_model(agreed("openpi", f"{one[0]},{two[0]}"))
        images, robot = robots(7)
        expected = load_vla(compact, "cpu").predict_chunk(images, robot, INSTRUCTION)
        np.testing.assert_allclose(remote.predict_chunk(images, robot, INSTRUCTION), expected, atol=1e-6, rtol=0)
        assert one[1].counters.robots >= 4 and two[1].counters.robots >= 3
        remote.close()


@pytest.mark.parametrize("protocol", ["openpi", "gr00t"])
def test_questions_of_several_clients_are_answered_together(compact, protocol):
    with served(compact, protocol, max_batch=4, max_wait=0.5) as (address, service):
        model = agreed(protocol, address)
        clients = [open_model(model) for _ in range(4)]
        before = service.counters.batches
        barrier = threading.Barrier(4)

        def ask(number):
            images, robot = robots(1, seed=number)
            barrier.wait()
            return clients[number].predict_chunk(images, robot, INSTRUCTION)

        with ThreadPoolExecutor(4) as pool:
            chunks = list(pool.map(ask, range(4)))
        assert service.counters.batches == before + 1, "one forward pass for the four"
        for number, chunk in enumerate(chunks):
            images, robot = robots(1, seed=number)
            expected = load_vla(compact, "cpu").predict_chunk(images, robot, INSTRUCTION)
            np.testing.assert_allclose(chunk, expected, atol=1e-6, rtol=0)
        for client in clients:
            client.close()


def test_health_and_metrics_are_answered_where_openpi_is(compact):
    with served(compact, "openpi", token="secret") as (address, service):
        url = address.replace("ws://", "http://")
        assert urllib.request.urlopen(f"{url}/healthz", timeout=5).read() == b"OK\n"
        service.counters.add(requests=3)
        assert b"ocrrl_vla_requests_total 3" in urllib.request.urlopen(f"{url}/metrics", timeout=5).read()


def test_the_batcher_puts_no_two_instructions_together_and_splits_what_is_too_large():
    calls = []

    def predict(images, robot, instruction):
        calls.append((instruction, len(robot.gripper_width)))
        if instruction == "break":
            raise ValueError("it broke")
        return np.tile(robot.gripper_width[:, None, None], (1, 2, 7)).astype(np.float32)

    batcher = Batcher(predict, max_batch=3, max_wait=0.05, counters=Counters())
    states = [robots(count, seed=count) for count in (1, 2, 5)]
    answers = [batcher.submit(*state, instruction) for state, instruction in zip(states, "aab", strict=True)]
    broken = batcher.submit(*states[0], "break")
    for answer, (_, robot) in zip(answers, states, strict=True):
        np.testing.assert_allclose(answer.result(5)[:, 0, 0], robot.gripper_width, rtol=1e-6)
    with pytest.raises(ValueError, match="it broke"):
        broken.result(5)
    batcher.close()
    assert calls == [("a", 3), ("b", 3), ("b", 2), ("break", 1)]
    with pytest.raises(RuntimeError, match="closing"):
        batcher.submit(*states[0], "a")


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["openpi", "gr00t"])
@pytest.mark.parametrize("tiny", [tiny_pi05_policy, tiny_groot_policy])
def test_a_served_policy_that_samples_draws_the_same_noise_as_in_process(
    protocol, tiny, monkeypatch, hub_cache, tmp_path
):
    pytest.importorskip("transformers")
    policy = tiny(tmp_path / "base", monkeypatch, hub_cache)
    config = FinetuneConfig(policy=policy, steps=1, batch_size=4, learning_rate=1e-3, device="cpu")
    data = TrainingData(write_dots(tmp_path / "dots", episodes=1))
    finetune([data], tmp_path / "vla", tmp_path / "work", config, progress=False)
    vla = load_vla(tmp_path / "vla", "cpu", {policy["type"]: True})
    expected = vla.predict_chunk(*robots(5), INSTRUCTION)
    with served(tmp_path / "vla", protocol, max_batch=2) as (address, _):
        remote = open_model(agreed(protocol, address))
        assert (remote.chunk_size, remote.n_action_steps) == (policy["chunk_size"], policy["n_action_steps"])
        np.testing.assert_allclose(remote.predict_chunk(*robots(5), INSTRUCTION), expected, atol=1e-6, rtol=0)
        remote.close()
    assert not np.allclose(expected[0], expected[1], atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["openpi", "gr00t"])
def test_a_served_base_leads_to_the_same_trajectory_in_the_simulator(protocol, tmp_path, monkeypatch):
    monkeypatch.setattr(CubeLift, "task", replace(CUBE_LIFT, horizon=20))
    folder = write_compact(tmp_path / "vla", size=(64, 64))

    def traces(vla):
        environment = make_environment("sim", "cube_lift", 2)
        outcomes = run_episodes(environment, ChunkedPolicy(vla, INSTRUCTION, 2), None, [5, 6], keep_traces=True)
        return [outcome.trace for outcome in outcomes]

    with served(folder, protocol) as (address, _):
        remote = open_model(agreed(protocol, address, {"front": (64, 64), "wrist": (64, 64)}))
        for one, other in zip(traces(remote), traces(load_vla(folder, "cpu")), strict=True):
            np.testing.assert_allclose(one.base_actions, other.base_actions, atol=1e-6, rtol=0)
            np.testing.assert_allclose(one.gripper_positions, other.gripper_positions, atol=1e-6, rtol=0)
        remote.close()
