"""A VLA on a server as a folder: written by fine-tuning, opened, measured, refused where it is damaged or of another VLA."""

import json

import numpy as np
import pytest

from ocrrl.cli import main
from ocrrl.interface.protocols import PolicyFault
from ocrrl.policies.checkpoint import load_policy, load_vla
from ocrrl.policies.chunk_delay import ChunkDelay
from ocrrl.policies.finetune import FinetuneConfig, finetune
from ocrrl.policies.latency_file import delay_of, policy_kind, write_latency
from ocrrl.policies.policy_type import policy_type
from ocrrl.policies.remote.vla_file import BYTES_ELSEWHERE, read_vla_file
from ocrrl.policies.training_data import TrainingData
from tests.policies.lerobot_dots import write_dots
from tests.policies.remote.served import robots, served
from tests.policies.synthetic import INSTRUCTION

KIND = {"type": "remote openpi", "chunk_size": 8, "images": {"front": [32, 32], "wrist": [32, 32]}}


@pytest.fixture(scope="session")
def dots(tmp_path_factory):
    return write_dots(tmp_path_factory.mktemp("dots") / "dataset")


def publish(dots, tmp_path, policy, **more):
    config = FinetuneConfig(policy={"type": "remote", "protocol": "openpi", "timeout": 0.5} | policy)
    finetune([TrainingData(dots)], tmp_path / "vla", tmp_path / "work", config, progress=False, **more)
    return tmp_path / "vla"


def test_fine_tuning_trains_nothing_and_writes_what_server_and_robot_agreed_on(compact, dots, tmp_path, monkeypatch):
    with served(compact, "openpi", token="hunter2") as (address, service):
        monkeypatch.setenv("VLA_ADDRESS", address)
        monkeypatch.setenv("VLA_TOKEN", "hunter2")
        folder = publish(dots, tmp_path, {"address": {"sim": "env:VLA_ADDRESS"}, "token": "env:VLA_TOKEN"}, vla="sim")
        written = json.loads((folder / "vla.json").read_text())
        assert written["address"] == "env:VLA_ADDRESS" and written["cameras"]["front"]["size"] == [32, 32]
        assert written["identity"] == f"checkpoint {service.contract.identity}"
        record = json.loads((folder / "training.json").read_text())
        assert (record["steps"], record["episode_names"], record["note"]) == (0, [], BYTES_ELSEWHERE)
        assert {path.name for path in folder.iterdir()} == {"vla.json", "training.json"}
        for path in folder.iterdir():
            assert "hunter2" not in path.read_text() and address not in path.read_text()
        assert policy_type(folder) == "remote"
        assert policy_kind(folder) == KIND
        vla = load_policy(folder, INSTRUCTION, 1, expected={"remote": False}).vla
        images, robot = robots(2)
        expected = load_vla(compact, "cpu").predict_chunk(images, robot, INSTRUCTION)
        np.testing.assert_allclose(vla.predict_chunk(images, robot, INSTRUCTION), expected, atol=1e-6, rtol=0)
        with pytest.raises(ValueError, match=r"vla\.json: type must be act, .* got 'remote'"):
            load_vla(folder, expected={"act": False})
    with pytest.raises(PolicyFault, match="must be reachable"):
        load_vla(folder)


def test_the_same_server_gives_the_same_bytes(compact, dots, tmp_path):
    with served(compact, "openpi") as (address, _):
        first = publish(dots, tmp_path, {"address": address})
        content = {path.name: path.read_bytes() for path in first.iterdir()}
        assert content == {
            path.name: path.read_bytes() for path in publish(dots, tmp_path, {"address": address}).iterdir()
        }


def test_a_latency_is_measured_of_it_and_goes_with_it(compact, dots, tmp_path, capsys):
    with served(compact, "openpi") as (address, _):
        folder = publish(dots, tmp_path, {"address": address})
        out = tmp_path / "latency.json"
        assert main(["measure-latency", str(folder), "--out", str(out), "--requests", "20"]) == 0
        assert json.loads(out.read_text())["policy"] == KIND
        write_latency(out, KIND, "cuda", 0.0, [0.12])
        folder = publish(dots, tmp_path, {"address": address}, latency=out)
        assert delay_of(folder) == ChunkDelay((0, 0, 0, 1.0))
        write_latency(out, KIND | {"type": "remote n1.5"}, "cuda", 0.0, [0.12])
        with pytest.raises(
            ValueError, match=r"latency\.json: policy must be the VLA that it is used with, .*measure this one"
        ):
            publish(dots, tmp_path, {"address": address}, latency=out)
        write_latency(out, KIND, "cuda", 0.0, [0.3])
        with pytest.raises(
            ValueError, match="a chunk of 8 actions, asked for every 4 steps, lasts for a delay of at most 4"
        ):
            publish(dots, tmp_path, {"address": address}, latency=out)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format_version": 2}, "format_version must be 1, got 2"),
        ({"protocol": "grpc"}, "protocol must be one of gr00t, openpi"),
        ({"address": "http://a"}, "address must be ws://HOST:PORT"),
        ({"token": "hunter2"}, "token must be env:NAME"),
        ({"more": 1}, "more is no parameter"),
        ({"n_action_steps": 9}, r"n_action_steps must be in \[1, 8\], got 9"),
        ({"cameras": {}}, "cameras must name at least one camera"),
        ({"actions": {"form": "mine"}}, r"actions\.form must be one of steps"),
        ({"identity": None}, "identity must be text"),
    ],
)
def test_a_damaged_vla_file_is_refused_by_its_field(compact, dots, tmp_path, change, message):
    with served(compact, "openpi") as (address, _):
        folder = publish(dots, tmp_path, {"address": address})
        path = folder / "vla.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | change))
        with pytest.raises(ValueError, match=message) as refused:
            load_vla(folder)
        assert "hunter2" not in str(refused.value) and "\n" not in str(refused.value)
        assert str(path) in str(refused.value)


def test_a_folder_is_a_model_or_a_server_s_not_both(compact, dots, tmp_path):
    with served(compact, "openpi") as (address, _):
        folder = publish(dots, tmp_path, {"address": address})
    (folder / "config.json").write_text("{}")
    with pytest.raises(ValueError, match=r"must hold config\.json \(a model\) or vla\.json .*, got both"):
        load_vla(folder)
    assert read_vla_file(folder).chunk_size == 8
