"""What params.yaml says of a policy server, and where its address and token are."""

import os

import numpy as np
import pytest

from ocrrl.interface.observations import RobotState
from ocrrl.policies.finetune import FinetuneConfig
from ocrrl.policies.remote.addresses import is_loopback, resolve_address
from ocrrl.policies.remote.remote_config import remote_config
from ocrrl.policies.remote.state_words import state_in_words
from ocrrl.policies.remote.tokens import read_token


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"protocol": "grpc"}, r"policy\.protocol must be one of gr00t, openpi, got 'grpc'"),
        (
            {"adress": "x"},
            r"policy\.adress is no parameter; the parameters are type, protocol, .*; did you mean address\?",
        ),
        ({"address": "http://a:1"}, r"policy\.address must be tcp://HOST:PORT for protocol gr00t, or env:NAME"),
        ({"address": "tcp://a"}, "must be tcp://HOST:PORT"),
        ({"address": "tcp://a:1,tcp://b:1"}, "must be one address for protocol gr00t, which batches"),
        ({"address": "tcp://me:hunter2@a:1"}, "must not hold a user or password"),
        ({"token": "hunter2"}, r"policy\.token must be env:NAME, .*got another text \(not shown"),
        ({"state": {"a": "joints"}}, r"policy\.state\.a must be a word .* joint_positions, .*got joints"),
        ({"state": {"a": []}}, r"policy\.state\.a must be .*got none"),
        ({"cameras": {"front": "a", "wrist": "a"}}, "name each key of the server once, got a twice"),
        ({"actions": {"form": "mine"}}, r"policy\.actions\.form must be one of steps, "),
        ({"timeout": 0}, r"policy\.timeout must be a time above 0 s"),
        ({"chunk_size": -1}, r"policy\.chunk_size must be at least 1, or 0"),
        ({"allow_remote_code": True}, r"policy\.allow_remote_code is no parameter"),
    ],
)
def test_a_field_that_is_wrong_is_refused_by_name(change, message):
    policy = {"type": "remote", "protocol": "gr00t"} | change
    with pytest.raises(ValueError, match=message) as refused:
        remote_config(policy)
    assert "hunter2" not in str(refused.value) and "\n" not in str(refused.value)
    with pytest.raises(ValueError, match="policy"):
        FinetuneConfig(policy=policy)


def test_an_address_may_be_on_this_machine_alone_or_each_vla_s_own(monkeypatch):
    assert remote_config({"type": "remote", "protocol": "gr00t"}).address_of("real") == "tcp://127.0.0.1:5555"
    each = remote_config(
        {"type": "remote", "protocol": "openpi", "address": {"sim": "env:SIM", "real": "ws://gpu:8000"}}
    )
    assert (each.address_of("sim"), each.address_of("real")) == ("env:SIM", "ws://gpu:8000")
    with pytest.raises(ValueError, match="must name a server for the VLA retrained, got addresses for sim, real"):
        each.address_of("retrained")
    assert resolve_address("openpi", "env:SIM", {"SIM": "ws://a:1, ws://b:2"}) == ["ws://a:1", "ws://b:2"]
    with pytest.raises(ValueError, match=r"the environment variable SIM must hold the address .*: export SIM=ws"):
        resolve_address("openpi", "env:SIM", {})
    with pytest.raises(ValueError, match="the environment variable SIM must be ws://HOST:PORT or wss"):
        resolve_address("openpi", "env:SIM", {"SIM": "tcp://a:1"})


@pytest.mark.parametrize(
    ("host", "alone"),
    [("127.0.0.1", True), ("localhost", True), ("::1", True), ("0.0.0.0", False), ("gpu", False), ("10.0.0.1", False)],
)
def test_loopback_is_this_machine_alone(host, alone):
    assert is_loopback(host) == alone


def test_a_token_is_read_from_a_variable_or_a_file_that_is_its_owner_s_alone(tmp_path):
    assert read_token("env:T", {"T": "hunter2\n"}).reveal() == "hunter2"
    file = tmp_path / "token"
    file.write_text("hunter2\n")
    file.chmod(0o640)
    with pytest.raises(ValueError, match=r"only its owner may read, got mode 640: chmod 600") as refused:
        read_token(f"file:{file}")
    assert "hunter2" not in str(refused.value)
    file.chmod(0o600)
    token = read_token(f"file:{file}")
    assert (token.reveal(), repr(token), f"{token}") == ("hunter2", "***", "***")
    for content in ("", "two words", "\x00"):
        file.write_text(content)
        with pytest.raises(ValueError, match="must hold the server's token"):
            read_token(f"file:{file}")
    with pytest.raises(ValueError, match="must hold the server's token, got: No such file"):
        read_token(f"file:{tmp_path / 'none'}")
    with pytest.raises(ValueError, match="the environment variable T must hold"):
        read_token("env:T", {})
    assert os.environ.get("T") is None


def test_the_words_of_the_state_are_what_they_say():
    robot = RobotState(
        gripper_pose=np.array([[0.4, 0.1, 0.2, 0.0, 1.0, 0.0, 0.0]]),
        commanded_pose=np.array([[0.5, 0.1, 0.2, 0.0, 1.0, 0.0, 0.0]]),
        joint_positions=np.arange(7.0)[None],
        gripper_width=np.array([0.06]),
    )
    for words, numbers in {
        ("proprioception",): [0.4, 0.1, 0.2, 0, 1, 0, 0, 0.06],
        ("gripper_position", "gripper_rotation_vector", "finger_positions"): [0.4, 0.1, 0.2, np.pi, 0, 0, 0.03, -0.03],
        ("gripper_quaternion_xyzw",): [1, 0, 0, 0],
        ("gripper_rotation_6d",): [1, 0, 0, 0, -1, 0],
        ("gripper_opening", "gripper_closing", "gripper_width"): [0.75, 0.25, 0.06],
        ("commanded_pose",): [0.5, 0.1, 0.2, 0, 1, 0, 0],
        ("joint_positions",): list(range(7)),
    }.items():
        np.testing.assert_allclose(state_in_words(robot, words), [numbers], atol=1e-6)
