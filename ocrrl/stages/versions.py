"""Library versions for the attributes of a recording."""

from importlib.metadata import version


def package_versions() -> dict[str, str]:
    """Version by package name."""
    return {name: version(name) for name in ("ocrrl", "mujoco", "numpy", "franky-sim")}
