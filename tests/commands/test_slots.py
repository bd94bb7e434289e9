import json
import subprocess
import sys

from ocrrl.cli import main
from ocrrl.commands import slots


def test_slots_are_facts_with_reasons(capsys):
    assert main(["slots"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found) == {"cpu", "gpu", "robot", "reasons"}
    assert found["cpu"] is True
    assert set(found["reasons"]) == {slot for slot in ("gpu", "robot") if not found[slot]}


def test_a_gpu_needs_a_device_that_is_not_hidden(tmp_path, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert slots.gpu_missing(tmp_path) == f"no NVIDIA device in {tmp_path}"
    (tmp_path / "nvidia0").touch()
    assert slots.gpu_missing(tmp_path) in ("", "torch is a build without CUDA")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert slots.gpu_missing(tmp_path) == "CUDA_VISIBLE_DEVICES hides every GPU"


def test_a_robot_needs_its_package(monkeypatch):
    monkeypatch.setattr(slots, "ROBOT_MODULE", "no_such_module")
    assert slots.robot_missing() == "the module no_such_module is not installed; `pip install 'ocrrl[robot]'`"


def test_looking_is_quick_because_nothing_heavy_is_imported():
    code = "import sys; from ocrrl.cli import main; main(['slots']); assert not {'torch', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
