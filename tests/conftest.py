"""Tests that need a system library (libusb for RealSense cameras, EGL for images) are skipped where it is missing.

Each library is tried in a process of its own, since a driver that is broken may end the process. Where one is missing, a test
that fails and asked for it is skipped. Tests that ask in a child process, where this cannot be seen, bear a marker.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from tests.checked_shapes import begin_test, check_shapes

os.environ["HF_HUB_OFFLINE"] = "1"  # no test asks the hub; where it cannot be reached each try would wait for minutes
check_shapes()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The whole loop first: two processes end together only if what takes longest is not left for the end."""
    items.sort(key=lambda item: item.path.name != "test_smoke_loop.py")


class NoImages(ImportError):
    """Raised where an image would be drawn."""

    asked_for = False
    """Whether the running test did: a command may print the error in place of raising it."""


@dataclass(frozen=True)
class SystemLibrary:
    """What a test may need of the machine."""

    name: str
    markers: tuple[str, ...]
    probe: str
    """Python code that fails where the library is missing."""
    remedy: str
    is_missed_by: Callable[[BaseException], bool]
    """Whether an error of the running test comes from the library's absence."""


def _without_images() -> None:
    os.environ["MUJOCO_GL"] = "disable"  # `import mujoco` fails without EGL; simulation without images does not
    import mujoco.rendering.classic.gl_context

    class NoContext:
        def __init__(self, width: int, height: int) -> None:
            NoImages.asked_for = True
            raise NoImages("an image was asked for")

        def free(self) -> None: ...

    mujoco.GLContext = mujoco.rendering.classic.gl_context.GLContext = NoContext


LIBUSB = SystemLibrary(
    "libusb",
    ("realsense", "wire"),
    "import pyrealsense2",
    "apt-get install libusb-1.0-0",
    lambda error: isinstance(error, ImportError) and (error.name or "").startswith("pyrealsense2"),
)
EGL = SystemLibrary(
    "EGL",
    ("renders", "wire"),
    "import ocrrl, mujoco; mujoco.Renderer(mujoco.MjModel.from_xml_string('<mujoco/>'), 16, 16).render()",
    "apt-get install libegl1 libegl-mesa0 libgl1-mesa-dri",
    lambda error: NoImages.asked_for or isinstance(error, NoImages),
)
_probes = {
    library: subprocess.Popen(
        [sys.executable, "-c", library.probe], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    for library in (LIBUSB, EGL)
}
_reasons: dict[SystemLibrary, str] = {}
"""Why tests are skipped, by the library that is missing."""


def pytest_sessionstart() -> None:
    for library, probe in _probes.items():
        said = probe.communicate()[1].strip().splitlines()
        if probe.returncode:
            last = said[-1] if said else f"exit code {probe.returncode}"
            _reasons[library] = f"needs {library.name}, which is missing: {library.remedy} ({last})"
    if EGL in _reasons:
        _without_images()


def pytest_runtest_setup(item: pytest.Item) -> None:
    NoImages.asked_for = False
    begin_test(is_checked=item.get_closest_marker("wrong_shapes") is None)
    for library, reason in _reasons.items():
        if any(item.get_closest_marker(marker) for marker in library.markers):
            pytest.skip(reason)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo):
    report = yield
    error = call.excinfo and call.excinfo.value
    for library, reason in _reasons.items():
        absent = report.failed and any(library.is_missed_by(cause) for cause in _causes(error))
        if absent or (isinstance(error, pytest.skip.Exception) and str(error) == reason):
            report.outcome, report.longrepr = "skipped", (__file__, 1, f"Skipped: {reason}")  # one line for all
    return report


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        for inner in error.exceptions if isinstance(error, BaseExceptionGroup) else ():
            yield from _causes(inner)
        error = error.__cause__ or error.__context__
