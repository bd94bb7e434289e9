"""Which scene, demonstrator and cell a tabletop task's name stands for: the one place where worlds are put together."""

from typing import TYPE_CHECKING

from ocrrl.interface.tabletop_tasks import tabletop_task

if TYPE_CHECKING:
    from ocrrl.robot.twin import TwinCell
    from ocrrl.sim.environment import SimEnvironment
    from ocrrl.sim.tabletop_scene import TabletopScene
    from ocrrl.sim.teleoperator import ScriptedTeleoperator, TrueStateEnvironment

CELLS = ("sim", "twin")


def make_scene(slug: str) -> "TabletopScene":
    """The scene of the tabletop task `slug`; ValueError names the known ones."""
    task = tabletop_task(slug)
    from ocrrl.sim.cube_lift import CubeLift

    return {"cube_lift": CubeLift}[task.slug]()


def make_teleoperator(slug: str, environment: "TrueStateEnvironment") -> "ScriptedTeleoperator":
    """The scripted stand-in for a teleoperator of the tabletop task `slug`."""
    task = tabletop_task(slug)
    from ocrrl.sim import cube_lift
    from ocrrl.sim.teleoperator import ScriptedTeleoperator

    plan = {"cube_lift": cube_lift.plan_demonstration}[task.slug]
    return ScriptedTeleoperator(environment, plan)


def make_environment(cell: str, slug: str, num_envs: int, image_size: int = 64) -> "SimEnvironment | TwinCell":
    """`num_envs` copies of the tabletop task `slug` in the training simulator (`sim`) or in a twin cell (`twin`)."""
    if cell == "sim":
        from ocrrl.sim.environment import SimEnvironment

        return SimEnvironment(make_scene(slug), num_envs, image_size=image_size)
    if cell == "twin":
        from ocrrl.robot.twin import TwinCell

        return TwinCell(make_scene(slug), num_envs, image_size=image_size)
    raise ValueError(f"cell must be one of {', '.join(CELLS)}, got {cell!r}")
