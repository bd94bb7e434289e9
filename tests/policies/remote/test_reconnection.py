"""A server that is gone, back, another one, or refuses the token."""

import threading
import time

import pytest

from ocrrl.interface.protocols import PolicyFault
from ocrrl.policies.remote.client import ServerLost, ServerSilent
from ocrrl.policies.remote.handshake import open_client, open_model
from tests.policies.remote.scripted import GR00T, OPENPI, ask, opened, patience
from tests.policies.remote.served import SIZE, robots, served, write_compact
from tests.policies.synthetic import INSTRUCTION


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


def test_a_served_checkpoint_of_other_images_is_refused_before_anything_moves(compact):
    with (
        served(compact, "openpi") as (address, _),
        pytest.raises(ValueError, match=r"must have images of \(32, 32\) pixels"),
    ):
        opened({"type": "remote", "protocol": "openpi"}, address, {"front": (64, 64), "wrist": SIZE})


def test_the_other_protocol_is_named(compact):
    with served(compact, "gr00t") as (address, _), pytest.raises(PolicyFault, match=r"\(openpi\) must"):
        opened(OPENPI | {"timeout": 1.0}, address.replace("tcp://", "ws://"))
    with served(compact, "openpi") as (address, _), pytest.raises(PolicyFault, match=r"\(gr00t\) must answer in time"):
        opened(GR00T | {"timeout": 0.5}, address.replace("ws://", "tcp://"))


@pytest.mark.parametrize("protocol", ["openpi", "gr00t"])
def test_a_server_that_is_gone_is_named_and_one_that_comes_back_goes_on(compact, protocol):
    policy = {"type": "remote", "protocol": protocol, "timeout": 10.0}
    with served(compact, protocol) as (address, _):
        vla = opened(policy, address)
    port = int(address.rpartition(":")[2])
    with patience(vla, 0.3):
        with pytest.raises(PolicyFault, match=r"must be reachable|must answer in time"):
            ask(vla)
        with pytest.raises(PolicyFault, match=r"must be reachable|must answer in time"):
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
    policy = {"type": "remote", "protocol": "openpi", "timeout": 10.0}
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
        with pytest.raises(PolicyFault, match=r"must be reachable|must answer in time"):
            client.connect(0.2)
        client.close()


@pytest.mark.parametrize(("first", "said"), [(ServerLost("it broke"), "it broke"), (None, "no answer in time")])
def test_where_time_runs_out_on_a_lost_server_the_loss_is_said(compact, first, said):
    faults = [fault for fault in (first, ServerSilent("no answer in time")) if fault is not None]

    def fail(remaining):
        raise faults.pop(0)

    with served(compact, "openpi") as (address, _):
        vla = opened({"type": "remote", "protocol": "openpi"}, address)
        with pytest.raises(PolicyFault, match=said):
            vla._until(time.monotonic() + 5.0, fail)
        vla.close()
    assert not faults
