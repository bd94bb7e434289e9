"""Tests that need a system library (libusb for RealSense cameras, EGL for pictures) are skipped where it is missing.

Each library is tried in a process of its own, since a driver that is broken may end the process. Where one is missing, asking
for it raises `MissingLibrary`; a test that fails because of that error is skipped. Tests that ask in a child process or in a
thread, where the error does not reach the test, bear a marker.
"""

import importlib.abc
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest


class MissingLibrary(ImportError):
    """Raised in place of what the missing library would do."""


@dataclass(frozen=True)
class SystemLibrary:
    """What a test may need of the machine."""

    name: str
    markers: tuple[str, ...]
    probe: str
    """Python code that fails where the library is missing."""
    remedy: str
    close: Callable[[str], None]
    """Lets every use of the library in this process raise MissingLibrary with the given reason."""


class _NoRealSense(importlib.abc.MetaPathFinder):
    def __init__(self, reason: str) -> None:
        self._reason = reason

    def find_spec(self, fullname, path, target=None):
        if fullname == "pyrealsense2":
            raise MissingLibrary(self._reason)


def _without_realsense(reason: str) -> None:
    sys.meta_path.insert(0, _NoRealSense(reason))


def _without_pictures(reason: str) -> None:
    os.environ["MUJOCO_GL"] = "disable"  # `import mujoco` fails without EGL; simulation without pictures does not
    import mujoco.rendering.classic.gl_context

    class NoContext:
        def __init__(self, width: int, height: int) -> None:
            raise MissingLibrary(reason)

        def free(self) -> None: ...

    mujoco.GLContext = mujoco.rendering.classic.gl_context.GLContext = NoContext


LIBRARIES = (
    SystemLibrary(
        "libusb", ("realsense", "wire"), "import pyrealsense2", "apt-get install libusb-1.0-0", _without_realsense
    ),
    SystemLibrary(
        "EGL",
        ("renders", "wire"),
        "import ocrrl, mujoco; mujoco.Renderer(mujoco.MjModel.from_xml_string('<mujoco/>'), 16, 16).render()",
        "apt-get install libegl1 libegl-mesa0 libgl1-mesa-dri",
        _without_pictures,
    ),
)
_probes = [
    subprocess.Popen(
        [sys.executable, "-c", library.probe], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    for library in LIBRARIES
]
_reasons: dict[SystemLibrary, str] = {}
"""Why tests are skipped, by the library that is missing."""


def pytest_sessionstart() -> None:
    for library, probe in zip(LIBRARIES, _probes, strict=True):
        said = probe.communicate()[1].strip().splitlines()
        if probe.returncode:
            last = said[-1] if said else f"exit code {probe.returncode}"
            _reasons[library] = f"needs {library.name}, which is missing: {library.remedy} ({last})"
            library.close(_reasons[library])


def pytest_runtest_setup(item: pytest.Item) -> None:
    for library, reason in _reasons.items():
        if any(item.get_closest_marker(marker) for marker in library.markers):
            raise MissingLibrary(reason)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo):
    report = yield
    missing = [error for error in _causes(call.excinfo and call.excinfo.value) if isinstance(error, MissingLibrary)]
    if missing and report.failed:
        report.outcome, report.longrepr = "skipped", (__file__, 1, f"Skipped: {missing[0]}")
    return report


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        for inner in error.exceptions if isinstance(error, BaseExceptionGroup) else ():
            yield from _causes(inner)
        error = error.__cause__ or error.__context__
