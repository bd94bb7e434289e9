"""A GR00T server that fails: each fault is one named line, nothing is acted from, and the next question connects anew."""

import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from ocrrl.interface.actions import limit
from ocrrl.interface.protocols import PolicyFault
from ocrrl.policies.remote.wire import pack_gr00t, unpack_gr00t
from tests.policies.remote.recorded_messages import recorded
from tests.policies.remote.scripted import GR00T, ask, gr00t_server, opened, patience, zeros
from tests.policies.remote.served import scripted_gr00t
from tests.policies.synthetic import INSTRUCTION


@pytest.mark.parametrize("as_text", [True, False])
def test_both_versions_of_a_gr00t_server_are_asked_in_batches(as_text):
    server = gr00t_server(lambda count: np.arange(count * 56.0).reshape(count, 8, 7) * 1e-5, as_text)
    with scripted_gr00t(server) as address:
        vla = opened(GR00T, address)
        np.testing.assert_allclose(ask(vla, 3), np.arange(3 * 56).reshape(3, 8, 7) * 1e-5, rtol=1e-6)
        assert vla.model.version == ("n1.5" if as_text else "n1.6")
        vla.close()
    data = server.asked[-1]["data"]
    instructions = (
        data["annotation.human.action.task_description"]
        if as_text
        else data["observation"]["language"]["annotation.human.task_description"]
    )
    assert instructions == [INSTRUCTION if as_text else [INSTRUCTION]] * 3


def test_a_server_that_leaves_out_axes_of_length_one_is_understood():
    with scripted_gr00t(gr00t_server(lambda count: np.zeros((count, 8, 7)).squeeze())) as address:
        vla = opened(GR00T, address)
        assert ask(vla, 1).shape == (1, 8, 7)
        vla.close()


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        (lambda count: np.zeros((count, 5, 7)), r"must have 8 actions \(chunk_size\), got 5"),
        (lambda count: np.full((count, 8, 7), np.nan), "actions must be finite, got NaN"),
        (lambda count: np.zeros((count, 8, 6)), r"actions must be of shape \(1, H, 7\), got \(1, 8, 6\)"),
        (lambda count: np.zeros((count + 1, 8, 7)), r"actions must be of shape \(1, H, 7\)"),
    ],
)
def test_an_answer_that_cannot_be_acted_from_is_refused_at_the_handshake_and_later(actions, message):
    with scripted_gr00t(gr00t_server(actions)) as address, pytest.raises(PolicyFault, match=message):
        opened(GR00T, address)
    now = [zeros]
    with scripted_gr00t(gr00t_server(lambda count: now[0](count))) as address:
        vla = opened(GR00T, address)
        now[0] = actions
        with pytest.raises(PolicyFault, match=message) as refused:
            ask(vla)
        assert address in str(refused.value) and "\n" not in str(refused.value)
        now[0] = zeros
        assert ask(vla).shape == (1, 8, 7)
        vla.close()


def test_a_silent_gr00t_server_is_waited_for_no_longer_than_said_and_asked_anew():
    server = gr00t_server(zeros)
    silent = threading.Event()
    with scripted_gr00t(lambda data: None if silent.is_set() else server(data)) as address:
        vla = opened(GR00T, address)
        silent.set()
        begun = time.monotonic()
        with patience(vla, 0.3), pytest.raises(PolicyFault, match=r"must answer in time, waited 0\.3 s"):
            ask(vla)
        assert time.monotonic() - begun < 5.0
        silent.clear()
        assert ask(vla).shape == (1, 8, 7), "over a new socket"
        vla.close()


def test_a_late_answer_is_not_taken_for_the_next_question_s():
    def actions(count):
        if slow.is_set():
            slow.clear()
            time.sleep(0.5)
            return np.full((count, 8, 7), 0.001)
        return zeros(count)

    slow = threading.Event()
    with scripted_gr00t(gr00t_server(actions)) as address:
        vla = opened(GR00T, address)
        slow.set()
        with patience(vla, 0.3), pytest.raises(PolicyFault, match="in time"):
            ask(vla)
        time.sleep(0.3)
        assert not ask(vla).any()
        vla.close()


def test_an_error_s_text_does_not_show_the_token(monkeypatch):
    monkeypatch.setenv("VLA_TOKEN", "hunter2")
    reply = pack_gr00t({"error": "no hunter2 here\nsecond line"})
    with (
        scripted_gr00t(gr00t_server(zeros, endpoints={"ping": reply})) as address,
        pytest.raises(PolicyFault) as refused,
    ):
        opened(GR00T | {"token": "env:VLA_TOKEN"}, address)
    assert "hunter2" not in str(refused.value) and "***" in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize("reply", [b"ERROR", b"PK\x03\x04rest"])
def test_a_server_of_the_torch_save_era_is_refused_by_name(reply):
    with (
        scripted_gr00t(lambda data: reply) as address,
        pytest.raises(PolicyFault, match=r"before the tag n1\.5-release"),
    ):
        opened(GR00T, address)


def test_a_mapping_that_misses_a_camera_names_it():
    with scripted_gr00t(gr00t_server(zeros)) as address:
        with pytest.raises(
            ValueError, match=r"policy\.cameras must name all keys of the server, front, wrist, got none for wrist"
        ):
            opened(GR00T | {"cameras": {"front": "front"}}, address)
        with pytest.raises(ValueError, match=r"must name keys of the server, front, wrist, got side"):
            opened(GR00T | {"cameras": {"front": "front", "wrist": "side"}}, address)
        with pytest.raises(ValueError, match=r"must name cameras of this robot, front, wrist, got left"):
            opened(GR00T | {"cameras": {"left": "front"}}, address)
        with pytest.raises(ValueError, match=r"server's key of each camera, .*; the server takes front, wrist"):
            opened(GR00T | {"cameras": {}}, address)
        with pytest.raises(ValueError, match=r"policy\.chunk_size must be given: .* \(its answers have 8 rows\)"):
            opened(GR00T | {"chunk_size": 0}, address)


def test_actions_in_another_form_are_ours_in_the_end():
    """The recorded answer of N1.5, one robot without its axis: arange(48)/1000 [m], a tenth of it [rad], gripper ones."""
    replies = {
        "ping": recorded("gr00t_n15_ping.reply"),
        "get_modality_config": recorded("gr00t_n15_modality.reply"),
        "get_action": recorded("gr00t_n15_action_single.reply"),
    }
    policy = GR00T | {"actions": {"form": "gr00t_steps"}, "chunk_size": 16}
    with scripted_gr00t(lambda data: replies[unpack_gr00t(data)["endpoint"]]) as address:
        vla = opened(policy, address)
        steps = np.arange(48.0).reshape(16, 3) / 1000
        expected = limit(np.concatenate([steps, steps / 10, np.ones((16, 1))], axis=-1)[None])
        np.testing.assert_allclose(ask(vla), expected, atol=1e-6)
        vla.close()
        with pytest.raises(
            ValueError, match=r"policy\.actions must name keys of the server, eef_position_delta, .*got actions"
        ):
            opened(GR00T | {"chunk_size": 16}, address)


def test_a_client_that_is_dropped_unclosed_never_blocks_the_process():
    """pyzmq ends a context that is collected as garbage, and waits for ever for a socket of it that is garbage, too."""
    program = """
import gc, threading, zmq
from ocrrl.policies.remote.gr00t_client import Gr00tClient
from ocrrl.policies.remote.wire import pack_gr00t
server = zmq.Context.instance().socket(zmq.REP)
port = server.bind_to_random_port("tcp://127.0.0.1")
threading.Thread(target=lambda: (server.recv(), server.send(pack_gr00t({"error": "no"}))), daemon=True).start()
client = Gr00tClient(f"tcp://127.0.0.1:{port}")
client.itself = client  # a circle, as an error's traceback makes one
try:
    client.connect(10.0)
except Exception as error:
    assert "got its error" in str(error)
assert client._socket is not None
del client
gc.collect()
server.close(0)
"""
    assert subprocess.run([sys.executable, "-c", program], timeout=60).returncode == 0
