"""Why off-screen rendering fails, in one line: most often an environment variable."""

import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager


@contextmanager
def rendering_named(what: str = "images cannot be rendered") -> Iterator[None]:
    """Loads or opens what renders: an error is a RuntimeError that begins with `what` and says what to change."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # GLFW warns before it fails
            yield
    except ModuleNotFoundError:  # a package that is not installed
        raise
    except Exception as error:  # mujoco, PyOpenGL and drivers raise errors of every type; the cause stays attached
        text = " ".join(str(error).split())
        raise RuntimeError(f"{what}: {what_to_change(os.environ)} ({type(error).__name__}: {text})") from error


def what_to_change(variables: Mapping[str, str]) -> str:
    """The next step where rendering off screen fails: a variable that another program left, else the driver."""
    back_end, platform = variables.get("MUJOCO_GL", "egl"), variables.get("PYOPENGL_PLATFORM", "egl")
    if back_end.lower() != "egl":
        return f"MUJOCO_GL must be egl or unset, got {back_end!r}: `unset MUJOCO_GL`"
    if platform.lower() != "egl":
        return f"PYOPENGL_PLATFORM must be egl or unset, got {platform!r}: `unset PYOPENGL_PLATFORM`"
    if (device := variables.get("MUJOCO_EGL_DEVICE_ID")) is not None:
        return f"MUJOCO_EGL_DEVICE_ID must be the number of a device or unset, got {device!r}: `unset MUJOCO_EGL_DEVICE_ID`"
    return "EGL must be installed: apt-get install libegl1 libegl-mesa0 libgl1-mesa-dri; `ocrrl doctor` tries it"
