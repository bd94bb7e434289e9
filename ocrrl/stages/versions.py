"""The versions that a recording depends on, for its attributes."""

from importlib.metadata import version


def package_versions() -> dict[str, str]:
    """Version by package name."""
    return {name: version(name) for name in ("ocrrl", "mujoco", "numpy", "franky-sim")}
