"""`make test` on a machine without libusb and EGL: what needs them is skipped and said, the rest runs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TESTS = """
import subprocess, sys, threading
import pytest
from ocrrl.cli import main
from ocrrl.perception.cameras.realsense import connected_serials

def renderer():
    import mujoco
    return mujoco.Renderer(mujoco.MjModel.from_xml_string("<mujoco/>"), 16, 16)

def test_simulation():
    import mujoco
    model = mujoco.MjModel.from_xml_string("<mujoco/>")
    mujoco.mj_step(model, mujoco.MjData(model))

def test_image():
    renderer()

def test_image_whose_error_is_printed():
    try:
        renderer()
    except ImportError:
        pytest.fail("printed")

def test_camera():
    connected_serials()

def test_that_a_missing_camera_library_is_named():
    with pytest.raises(RuntimeError, match="apt-get install libusb"):
        connected_serials()

@pytest.mark.renders
def test_child():
    subprocess.run([sys.executable, "-c", "exit(1)"], check=True)

def test_failing_for_another_reason():
    assert False
"""


@pytest.mark.parametrize("hidden", [True, False])
def test_only_what_needs_a_missing_library_is_skipped(tmp_path, hidden):
    folder = tmp_path / "tests"
    folder.mkdir()
    (folder / "conftest.py").write_text((ROOT / "tests/conftest.py").read_text())
    (folder / "test_some.py").write_text(TESTS)
    (tmp_path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    fake = tmp_path / "fake/pyrealsense2/__init__.py"
    fake.parent.mkdir(parents=True)
    cause = "libusb-1.0.so.0: cannot open shared object file"
    fake.write_text(f"raise ImportError({cause!r}, name=__name__)\n" if hidden else "context = None\n")
    environment = {name: value for name, value in os.environ.items() if name != "MUJOCO_GL"}
    environment |= {"PYTHONPATH": os.pathsep.join([str(fake.parents[1]), str(ROOT)])}
    if hidden:
        environment |= {"__EGL_VENDOR_LIBRARY_DIRS": str(tmp_path), "__EGL_VENDOR_LIBRARY_FILENAMES": ""}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]
    said = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True).stdout
    if hidden:
        assert "SKIPPED [1] tests/conftest.py:1: needs libusb, which is missing: apt-get install libusb-1.0-0" in said
        assert "SKIPPED [3] tests/conftest.py:1: needs EGL, which is missing: apt-get install libegl1" in said
        assert "1 failed, 2 passed, 4 skipped" in said, said
    else:
        assert "needs libusb" not in said
    assert "FAILED tests/test_some.py::test_failing_for_another_reason" in said
