"""The parameter `device`: what it stands for, and what it refuses."""

import pytest
import torch

from ocrrl.interface.devices import chosen_device, require_threads


def test_auto_is_a_gpu_only_where_torch_can_use_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert chosen_device("auto") == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert chosen_device("auto") == "cuda"
    assert chosen_device("cpu") == "cpu"


def test_a_gpu_that_is_not_there_is_refused_with_what_is(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert chosen_device("cuda:1") == "cuda:1"
    with pytest.raises(ValueError, match=r"GPUs: 2.*got 'cuda:2'"):
        chosen_device("cuda:2")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="device: auto"):
        chosen_device("cuda")


@pytest.mark.parametrize("device", ["gpu", "cuda:", "cuda:x", "", "CPU"])
def test_other_words_are_refused(device):
    with pytest.raises(ValueError, match="auto, cpu, cuda or cuda:<index>, got"):
        chosen_device(device)


@pytest.mark.parametrize("threads", [0, -1, 1025, 10**12, 10**30])
def test_more_threads_than_a_machine_has_are_refused(threads):
    require_threads(1024)
    with pytest.raises(ValueError, match=f"threads must be 1 to 1024, got {threads}"):
        require_threads(threads)
