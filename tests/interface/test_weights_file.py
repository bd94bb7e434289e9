"""Safetensors files: a sound one is described as the library reads it, a damaged one is refused by name."""

import json
import struct

import numpy as np
import pytest
import safetensors.numpy
import safetensors.torch
import torch

from ocrrl.interface.weights_file import read_weights_file
from tests.interface.test_json_file import POINTER

TENSORS = {
    "a": np.arange(6, dtype=np.float32).reshape(2, 3),
    "b": np.zeros(3, np.int64),
    "c": np.zeros((0, 4), np.float64),
}


def write(path, header, size=24):
    """A file with this header (bytes, or a value of JSON) and `size` bytes of data."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(size))
    return path


def entry(dtype="F32", shape=(2, 3), offsets=(0, 24)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


def test_a_file_is_described_as_the_library_reads_it(tmp_path):
    path = tmp_path / "model.safetensors"
    safetensors.numpy.save_file(TENSORS, path, metadata={"format": "np"})
    described = read_weights_file(path)
    assert {name: stored.shape for name, stored in described.tensors.items()} == {
        k: v.shape for k, v in TENSORS.items()
    }
    assert described.metadata == {"format": "np"}
    described.require_finite()


def test_every_cut_of_a_file_is_refused(tmp_path):
    path = tmp_path / "model.safetensors"
    whole = safetensors.numpy.save(TENSORS)
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"model\.safetensors.* must "):
            read_weights_file(path)
    path.write_bytes(whole + b"x")
    with pytest.raises(ValueError, match="the file is too long; fetch the model again"):
        read_weights_file(path)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (b"{" * 50_000, "must have a safetensors header of JSON"),
        (b"\xff\xff{}", "must have a safetensors header of JSON"),
        ([], r"must have a safetensors header that is an object, got \[\]"),
        ({"a": None}, "a must have data_offsets, dtype, shape in the header, got None"),
        ({"a": entry(dtype="F31")}, "a must be of a type among .*, got 'F31'"),
        ({"a": entry(dtype=["F32"])}, "a must be of a type among"),
        ({"a": entry(shape=(-2, -3))}, "a must have a shape and two data_offsets of whole numbers"),
        ({"a": entry(shape=(2, 3.0))}, "a must have a shape and two data_offsets of whole numbers"),
        ({"a": entry(shape=(True, 6))}, "a must have a shape and two data_offsets of whole numbers"),
        ({"a": entry(offsets=(0,))}, "a must have a shape and two data_offsets of whole numbers"),
        ({"a": entry(shape=(2**40, 2**40))}, "a must have .* bytes for F32"),
        ({"a": entry(shape=(2, 2))}, r"a must have 16 bytes for F32 \(2, 2\), got \[0, 24\]"),
        ({"a": entry(offsets=(4, 28))}, "a must begin at byte 0 of the data, got 4"),
        ({"a": entry(), "b": entry(offsets=(12, 36))}, "b must begin at byte 24 of the data, got 12"),
        ({"a": entry(), "b": entry(offsets=(24, 48))}, "must hold 48 bytes of tensors, got 24: the file is cut"),
        ({"a": entry(), "__metadata__": {"run": 3}}, "__metadata__ must map names to text"),
        (b'{"a": 1, "a": 2}', "the key .a. twice"),
    ],
)
def test_a_damaged_header_is_refused_by_name_in_one_line(tmp_path, header, message):
    path = write(tmp_path / "model.safetensors", header)
    with pytest.raises(ValueError, match=message) as refused:
        read_weights_file(path)
    assert str(path) in str(refused.value) and "\n" not in str(refused.value) and len(str(refused.value)) < 500


def test_a_missing_file_and_a_git_lfs_pointer_are_named_with_the_next_step(tmp_path):
    path = tmp_path / "model.safetensors"
    with pytest.raises(FileNotFoundError, match=r"model\.safetensors must be a file, got nothing there; fetch"):
        read_weights_file(path)
    path.write_bytes(POINTER)
    with pytest.raises(ValueError, match=r"got a Git LFS pointer to it; fetch it with `git lfs pull`"):
        read_weights_file(path)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_single_number_that_is_not_finite_is_found(tmp_path, dtype, value):
    wrong = torch.linspace(-3e4, 3e4, 1001).to(dtype)
    safetensors.torch.save_file({"sound": wrong.clone()}, tmp_path / "sound.safetensors")
    read_weights_file(tmp_path / "sound.safetensors").require_finite()
    wrong[777] = value
    safetensors.torch.save_file({"x": torch.arange(3), "weight": wrong}, tmp_path / "model.safetensors")
    with pytest.raises(
        ValueError, match=r"model\.safetensors: weight must hold finite numbers, got 1 that are NaN or infinite"
    ):
        read_weights_file(tmp_path / "model.safetensors").require_finite()


def test_other_tensors_than_expected_are_named(tmp_path):
    path = tmp_path / "model.safetensors"
    safetensors.numpy.save_file(TENSORS, path)
    described, shapes = read_weights_file(path), {"a": (2, 3), "b": (3,), "c": (0, 4)}
    for wrong, message in (
        (shapes | {"d": (1,)}, "must hold the tensors of us, got a file without d"),
        ({"a": (2, 3)}, "must hold only the tensors of us, got also b, c"),
        (shapes | {"a": (3, 2)}, r"a must have the shape \(3, 2\) of us, got \(2, 3\)"),
        (shapes, "b must be of type F32, got I64"),
    ):
        with pytest.raises(ValueError, match=message):
            described.require(wrong, "us")
    described.require({"a": (2, 3)}, "us", others=True)
