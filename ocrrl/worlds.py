"""Makes the simulator, twin and demonstrator of a tabletop task from its slug."""

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from ocrrl.interface.cameras import DEFAULT_CAMERAS, CameraSizes
from ocrrl.interface.residual_observations import LOOKS, Look
from ocrrl.tabletop.registry import plan_demonstration, task_module

if TYPE_CHECKING:
    from ocrrl.robot.twin.twin import TwinCell
    from ocrrl.sim.environment import SimEnvironment
    from ocrrl.sim.teleoperator import ScriptedTeleoperator, TrueStateEnvironment
    from ocrrl.tabletop.parts.scene import TabletopScene


def make_scene(slug: str) -> "TabletopScene":
    """The scene of the tabletop task `slug`; ValueError names the known ones."""
    return task_module(slug).Scene()


def make_teleoperator(slug: str, environment: "TrueStateEnvironment") -> "ScriptedTeleoperator":
    """The scripted stand-in for a teleoperator of the tabletop task `slug`."""
    from ocrrl.sim.teleoperator import ScriptedTeleoperator

    return ScriptedTeleoperator(environment, plan_demonstration(slug))


def make_simulator(
    slug: str,
    num_envs: int,
    randomised: Mapping[str, Any] | None = None,
    cameras: CameraSizes = DEFAULT_CAMERAS,
    look: Look = "plain",
) -> "SimEnvironment":
    """`num_envs` copies of the tabletop task `slug` in the training simulator, dynamics `randomised` by name of range.

    `cameras` are those that it takes images with. `look` is that of `capture_at`'s images; `capture` stays plain, since a sim VLA
    was trained on plain images. Raises ValueError that names the cameras of the scene, as the other makers do, or the looks.
    """
    from ocrrl.sim.appearance import AppearanceRange
    from ocrrl.sim.dynamics import DynamicsRange
    from ocrrl.sim.environment import SimEnvironment

    if look not in LOOKS:
        raise ValueError(f"look must be one of {', '.join(LOOKS)}, got {look!r}")
    realistic = AppearanceRange() if look == "realistic" else None
    dynamics = DynamicsRange(**dict(randomised or {}))
    return SimEnvironment(make_scene(slug), num_envs, dynamics=dynamics, cameras=cameras, realistic=realistic)


def make_twin(slug: str, num_envs: int, cameras: CameraSizes = DEFAULT_CAMERAS) -> "TwinCell":
    """`num_envs` copies of the tabletop task `slug` in the default twin cell, which takes images with `cameras`."""
    from ocrrl.robot.twin.twin import TwinCell

    return TwinCell(make_scene(slug), num_envs, cameras=cameras)


def make_environment(
    cell: str, slug: str, num_envs: int, cameras: CameraSizes = DEFAULT_CAMERAS, look: Look = "plain"
) -> "SimEnvironment | TwinCell":
    """`num_envs` copies of the tabletop task `slug` in `cell`: `sim`, the training simulator in this `look`, or `twin`."""
    makers = {"sim": partial(make_simulator, look=look), "twin": make_twin}
    if cell not in makers:
        raise ValueError(f"cell must be one of {', '.join(makers)}, got {cell!r}")
    return makers[cell](slug, num_envs, cameras=cameras)
