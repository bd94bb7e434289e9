"""How long a VLA takes: measured on a real one, written, and refused where it belongs to another."""

import json

import numpy as np
import pytest

from ocrrl.cli import main
from ocrrl.policies.checkpoint import load_vla
from ocrrl.policies.chunk_delay import ChunkDelay
from ocrrl.policies.latency_file import NAME, WARM_UP, delay_of, measure, policy_kind, read_latency, write_latency
from tests.policies.tiny_act import write_act

KIND = {"type": "act", "chunk_size": 4, "images": {"front": [32, 32], "wrist": [32, 32]}}


@pytest.fixture(scope="module")
def act(tmp_path_factory):
    return write_act(tmp_path_factory.mktemp("act"))


def test_the_kind_of_a_vla_is_its_type_its_chunk_and_its_images(act, tmp_path):
    assert policy_kind(act) == KIND
    (tmp_path / "config.json").write_text('{"type": "act"}')
    with pytest.raises(ValueError, match=r"config\.json must have a type, a chunk_size and image features"):
        policy_kind(tmp_path)


def test_answers_are_timed_one_robot_at_a_time_after_a_warm_up(act):
    asked, times = [], iter(np.arange(100.0) ** 2)

    class Counting:
        def predict_chunk(self, images, robot, instruction):
            asked.append((images["front"].shape, robot.proprioception().shape, instruction))
            return load_vla(act).predict_chunk(images, robot, instruction)

    seconds = measure(Counting(), {"front": (32, 32), "wrist": (32, 32)}, "lift it", 2, lambda: next(times))
    assert asked == [((1, 32, 32, 3), (1, 8), "lift it")] * (WARM_UP + 2)
    assert seconds == [7.0**2 - 6.0**2, 9.0**2 - 8.0**2]


def test_a_measured_vla_is_late_by_what_its_folder_says(act, tmp_path):
    folder = tmp_path / "vla"
    folder.mkdir()
    (folder / "config.json").write_text((act / "config.json").read_text())
    assert delay_of(folder) == ChunkDelay()
    write_latency(folder / NAME, KIND, "cuda", 0.02, [0.09, 0.10, 0.12, 0.12])
    assert read_latency(folder / NAME, KIND) == [0.11, 0.12, 0.14, 0.14]
    assert delay_of(folder) == ChunkDelay((0, 0, 0, 1.0))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format_version": 2}, "format_version must be 1, got 2"),
        ({"seconds": []}, "seconds must be numbers above 0"),
        ({"seconds": [0.1, -1.0]}, "seconds must be numbers above 0"),
        ({"seconds": [True]}, "seconds must be numbers above 0"),
        ({"seconds": [1e9]}, "at most 60"),
        ({"policy": KIND | {"chunk_size": 50}}, r"policy must be the VLA that it is used with, .*measure-latency"),
        ({"policy": None}, "policy must be the VLA that it is used with"),
    ],
)
def test_a_file_that_is_wrong_or_of_another_vla_is_refused_by_name(tmp_path, change, message):
    file = tmp_path / NAME
    write_latency(file, KIND, "cpu", 0.0, [0.1])
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(ValueError, match=message) as refused:
        read_latency(file, KIND)
    assert str(file) in str(refused.value) and "\n" not in str(refused.value)


def test_a_file_that_is_not_there_says_how_it_is_made(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"gone\.json must be a file, .* measure it with `ocrrl measure-latency`"
    ):
        read_latency(tmp_path / "gone.json", KIND)


def test_the_command_measures_and_says_what_was_found(act, tmp_path, capsys):
    out = tmp_path / "latency.json"
    command = ["measure-latency", str(act), "--out", str(out), "--requests", "20", "--device", "cpu"]
    assert main([*command, "--frame-age", "0.25"]) == 0
    said = capsys.readouterr().out
    assert f"{out}: 20 answers, median " in said and "late by control steps of 50 ms: " in said
    assert min(read_latency(out, KIND)) > 0.25
    for wrong, message in (
        (["--requests", "5"], "--requests must be at least 20"),
        (["--frame-age", "-1"], "in [0, 1] s"),
    ):
        assert main([*command, *wrong]) == 1
        assert message in capsys.readouterr().err
