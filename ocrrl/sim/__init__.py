"""The MuJoCo engine: arm and table, controller, cameras and the vectorised environment."""

from ocrrl.rendering_faults import rendering_named

with rendering_named("mujoco cannot be loaded"):
    import mujoco  # noqa: F401  reads MUJOCO_GL and loads what it names
