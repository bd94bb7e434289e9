"""What can go wrong with a policy server: each is one named line, nothing is acted from, and the next question connects anew."""

import threading
import time

import numpy as np
import pytest

from ocrrl.interface.protocols import PolicyFault
from ocrrl.policies.remote.client import Question
from ocrrl.policies.remote.gr00t_client import FLAT, Gr00tClient, observed
from ocrrl.policies.remote.handshake import agree, open_client, open_model
from ocrrl.policies.remote.openpi_client import observed as observed_by_openpi
from ocrrl.policies.remote.remote_config import remote_config
from ocrrl.policies.remote.tokens import Token
from ocrrl.policies.remote.wire import ModalityConfig, pack_gr00t, pack_openpi, unpack_gr00t, unpack_openpi
from tests.policies.remote.recorded_messages import recorded
from tests.policies.remote.served import SIZE, robots, scripted_gr00t, scripted_openpi, served, write_compact
from tests.policies.remote.test_wire import same
from tests.policies.synthetic import INSTRUCTION

SIZES = {"front": SIZE, "wrist": SIZE}
CHUNK = np.zeros((1, 8, 7))
OPENPI = {
    "type": "remote",
    "protocol": "openpi",
    "cameras": {"front": "observation/image", "wrist": "observation/wrist_image"},
    "state": {"observation/state": ["gripper_position", "gripper_rotation_vector", "finger_positions"]},
    "chunk_size": 8,
    "n_action_steps": 4,
    "timeout": 0.3,
    "first_timeout": 0.3,
}
GR00T = OPENPI | {
    "protocol": "gr00t",
    "cameras": {"front": "front", "wrist": "wrist"},
    "state": {"eef_position": "gripper_position"},
}


def gr00t_server(actions, as_text=True, video=("front", "wrist"), endpoints=None):
    """Answers as an Isaac-GR00T server; `actions` (n) gives the actions for n robots."""
    prefix, info = ("video.", "action.") if as_text else ("", ""), {}
    asked = []
    modalities = {
        "video": ModalityConfig((0,), tuple(prefix[0] + key for key in video), as_text),
        "action": ModalityConfig(tuple(range(8)), (f"{prefix[1]}actions",), as_text),
    }

    def answer(data):
        message = unpack_gr00t(data)
        endpoint = message["endpoint"]
        asked.append(message)
        if endpoints and endpoint in endpoints:
            return endpoints[endpoint]
        if endpoint == "ping":
            return recorded("gr00t_n16_ping.reply")
        if endpoint == "get_modality_config":
            return pack_gr00t(modalities)
        data = message["data"]
        count = len(data["video.front"] if as_text else data["observation"]["video"]["front"])
        reply = {f"{prefix[1]}actions": actions(count)}
        return pack_gr00t(reply if as_text else [reply, info])

    answer.asked, answer.modalities = asked, modalities
    return answer


def zeros(count):
    return np.zeros((count, 8, 7))


def opened(policy, address, sizes=SIZES):
    return open_model(agree(remote_config(policy | {"address": address}), "real", sizes))


def ask(vla, count=1):
    return vla.predict_chunk(*robots(count), INSTRUCTION)


def test_requests_of_ours_decode_to_what_the_servers_own_clients_send():
    for version, name in ((FLAT, "gr00t_n15_action_batch3"), ("n1.6", "gr00t_n16_action_batch3")):
        message = unpack_gr00t(recorded(f"{name}.request"))
        data = message["data"]
        if version == FLAT:
            images = {key: data[f"video.{key}"][:, 0] for key in ("front", "wrist")}
            state = {key: data[f"state.{key}"][:, 0] for key in ("eef_position", "eef_rotation", "gripper_position")}
            prompt = "annotation.human.action.task_description"
        else:
            part = data["observation"]
            images, state = ({key: value[:, 0] for key, value in part[kind].items()} for kind in ("video", "state"))
            prompt = "annotation.human.task_description"
        question = Question(images, state, prompt, "lift the cuboid")
        same(unpack_gr00t(pack_gr00t(observed(question, version))), data)
    message = unpack_openpi(recorded("openpi_infer.request"))
    images = {key: message[key][None] for key in ("observation/image", "observation/wrist_image")}
    question = Question(images, {"observation/state": message["observation/state"][None]}, "prompt", "lift the cuboid")
    same(unpack_openpi(pack_openpi(observed_by_openpi(question, batched=False))), message)


def test_the_client_asks_as_the_recorded_requests_do():
    sent = []
    replies = {
        "ping": recorded("gr00t_n15_ping.reply"),
        "get_modality_config": recorded("gr00t_n15_modality.reply"),
        "get_action": recorded("gr00t_n15_action_batch3.reply"),
    }

    def answer(data):
        sent.append(data)
        return replies[unpack_gr00t(data)["endpoint"]]

    with scripted_gr00t(answer) as address:
        client = Gr00tClient(address, Token("secret"))
        served_model = client.connect(1.0)
        assert (served_model.version, served_model.chunk_size) == (FLAT, 16)
        assert served_model.keys["cameras"] == ("front", "wrist")
        data = unpack_gr00t(recorded("gr00t_n15_action_batch3.request"))["data"]
        images = {key: data[f"video.{key}"][:, 0] for key in ("front", "wrist")}
        state = {key: data[f"state.{key}"][:, 0] for key in ("eef_position", "eef_rotation", "gripper_position")}
        question = Question(images, state, "annotation.human.action.task_description", "lift the cuboid")
        actions = client.ask(question, 1.0)
        assert {key: value.shape for key, value in actions.items()} == {
            "eef_position_delta": (3, 16, 3),
            "eef_rotation_delta": (3, 16, 3),
            "gripper_position": (3, 16, 1),
        }
        client.close()
    for data, name in zip(sent, ("ping", "modality", "action_batch3"), strict=True):
        same(unpack_gr00t(data), unpack_gr00t(recorded(f"gr00t_n15_{name}.request")))


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
        with pytest.raises(PolicyFault, match=r"must answer within 0\.3 s, it did not"):
            ask(vla)
        assert time.monotonic() - begun < 1.0
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
        vla = opened(GR00T | {"timeout": 0.3}, address)
        slow.set()
        with pytest.raises(PolicyFault, match="within"):
            ask(vla)
        time.sleep(0.3)
        assert not ask(vla).any()
        vla.close()


@pytest.mark.parametrize("protocol", ["openpi", "gr00t"])
@pytest.mark.parametrize(("given", "words"), [("wrong", "another one was given"), ("", "none was given")])
def test_a_wrong_token_is_named_and_never_shown(compact, protocol, given, words, monkeypatch):
    monkeypatch.setenv("VLA_TOKEN", given)
    policy = (
        {"type": "remote", "protocol": protocol, "token": "env:VLA_TOKEN"}
        if given
        else {"type": "remote", "protocol": protocol}
    )
    with served(compact, protocol, token="the-right-one") as (address, _):
        with pytest.raises(PolicyFault, match=f"must be given its token, {words}") as refused:
            opened(policy, address)
        assert "wrong" not in str(refused.value) and "right" not in str(refused.value)
        monkeypatch.setenv("VLA_TOKEN", "the-right-one")
        opened({"type": "remote", "protocol": protocol, "token": "env:VLA_TOKEN"}, address).close()


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


def test_a_served_checkpoint_of_other_images_is_refused_before_anything_moves(compact):
    with (
        served(compact, "openpi") as (address, _),
        pytest.raises(ValueError, match=r"must have images of \(32, 32\) pixels"),
    ):
        opened({"type": "remote", "protocol": "openpi"}, address, {"front": (64, 64), "wrist": SIZE})


class Openpi:
    """A stock openpi server; `broken` makes it fail in one way."""

    def __init__(self):
        self.broken, self.connections = "", 0

    def __call__(self, connection):
        self.connections += 1
        connection.send(recorded("openpi_metadata.reply"))
        for data in connection:
            message = unpack_openpi(data)
            assert message["observation/image"].shape == (*SIZE, 3), "one observation a request"
            if self.broken == "text":
                connection.send("Traceback (most recent call last):\n  ...\nKeyError: 'observation/side_image'\n")
                connection.close(1011, "Internal server error. Traceback included in previous frame.")
                return
            if self.broken == "1011":
                connection.close(1011, "it broke")
                return
            if self.broken == "silent":
                continue
            answer = {"actions": CHUNK[0], "server_timing": {"infer_ms": 1.0}}
            connection.send(pack_openpi({"other": np.zeros(3)} if self.broken == "other" else answer))


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ("text", r"got its error: KeyError: 'observation/side_image'"),
        ("1011", r"must be reachable, got: .*1011.*it broke"),
        ("silent", r"must answer within 0\.3 s"),
        ("other", r"an answer must have actions, .* got other"),
    ],
)
def test_a_stock_openpi_server_that_fails_is_named_and_connected_to_anew(broken, message):
    server = Openpi()
    with scripted_openpi(server) as address:
        vla = opened(OPENPI, address)
        assert ask(vla, 3).shape == (3, 8, 7)
        server.broken = broken
        with pytest.raises(PolicyFault, match=message) as refused:
            ask(vla)
        assert address in str(refused.value) and "\n" not in str(refused.value)
        server.broken, before = "", server.connections
        assert ask(vla).shape == (1, 8, 7)
        assert server.connections >= before + (broken != "other")
        vla.close()


def test_the_other_protocol_is_named(compact):
    with served(compact, "gr00t") as (address, _), pytest.raises(PolicyFault, match=r"\(openpi\) must"):
        opened(OPENPI, address.replace("tcp://", "ws://"))
    with served(compact, "openpi") as (address, _), pytest.raises(PolicyFault, match=r"\(gr00t\) must answer within"):
        opened(GR00T, address.replace("ws://", "tcp://"))


@pytest.mark.parametrize("protocol", ["openpi", "gr00t"])
def test_a_server_that_is_gone_is_named_and_one_that_comes_back_goes_on(compact, protocol):
    policy = {"type": "remote", "protocol": protocol, "timeout": 0.3}
    with served(compact, protocol) as (address, _):
        vla = opened(policy, address)
    port = int(address.rpartition(":")[2])
    with pytest.raises(PolicyFault, match=r"must be reachable|must answer within"):
        ask(vla)
    with pytest.raises(PolicyFault, match=r"must be reachable|must answer within"):
        vla.ready()
    with served(compact, protocol, port=port):
        vla.ready()
        assert ask(vla).shape == (1, 8, 7)
        vla.close()


def test_a_connection_that_is_lost_is_renewed_while_the_question_may_wait(compact):
    with served(compact, "openpi") as (address, _):
        vla = opened({"type": "remote", "protocol": "openpi", "timeout": 20.0}, address)
    port, answers = int(address.rpartition(":")[2]), []
    asking = threading.Thread(target=lambda: answers.append(ask(vla)))
    asking.start()
    time.sleep(0.3)
    assert not answers
    with served(compact, "openpi", port=port):
        asking.join(20)
        assert answers[0].shape == (1, 8, 7)
        vla.close()


def test_another_checkpoint_at_the_address_is_refused(compact, tmp_path):
    policy = {"type": "remote", "protocol": "openpi", "timeout": 1.0}
    with served(compact, "openpi") as (address, _):
        vla = opened(policy, address)
    with served(write_compact(tmp_path / "other", seed=1), "openpi", port=int(address.rpartition(":")[2])):
        with pytest.raises(
            PolicyFault, match=r"must serve the model that vla\.json names \(checkpoint .*\), got checkpoint "
        ):
            ask(vla)
        with pytest.raises(PolicyFault, match="must serve the model"):
            open_model(vla.model)
        vla.close()


def test_images_that_the_model_does_not_take_are_refused_by_the_camera(compact):
    with served(compact, "openpi") as (address, _):
        vla = opened({"type": "remote", "protocol": "openpi"}, address)
        images, robot = robots(1)
        with pytest.raises(ValueError, match="images must hold the cameras front, wrist, got front"):
            vla.predict_chunk({"front": images["front"]}, robot, INSTRUCTION)
        with pytest.raises(ValueError, match=r"images of camera front must have shape \(n, 32, 32, 3\)"):
            vla.predict_chunk(images | {"front": images["front"][:, :16]}, robot, INSTRUCTION)
        vla.close()


def test_clients_keep_to_their_time_when_nobody_listens():
    for protocol, address in (("gr00t", "tcp://127.0.0.1:1"), ("openpi", "ws://127.0.0.1:1")):
        client = open_client(protocol, address, "")
        with pytest.raises(PolicyFault, match=r"must be reachable|must answer within"):
            client.connect(0.2)
        client.close()
