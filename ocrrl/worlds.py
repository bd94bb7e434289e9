"""Which scene, demonstrator and cell a tabletop task's name stands for: the one place where worlds are put together."""

from typing import TYPE_CHECKING

from ocrrl.interface.tabletop_tasks import tabletop_task

if TYPE_CHECKING:
    from ocrrl.robot.twin import TwinCell
    from ocrrl.sim.environment import SimEnvironment
    from ocrrl.sim.tabletop_scene import TabletopScene
    from ocrrl.sim.teleoperator import ScriptedTeleoperator, TrueStateEnvironment


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


def make_simulator(slug: str, num_envs: int) -> "SimEnvironment":
    """`num_envs` copies of the tabletop task `slug` in the training simulator."""
    from ocrrl.sim.environment import SimEnvironment

    return SimEnvironment(make_scene(slug), num_envs)


def make_twin(slug: str, num_envs: int) -> "TwinCell":
    """`num_envs` copies of the tabletop task `slug` in the default twin cell."""
    from ocrrl.robot.twin import TwinCell

    return TwinCell(make_scene(slug), num_envs)


def make_environment(cell: str, slug: str, num_envs: int) -> "SimEnvironment | TwinCell":
    """`num_envs` copies of the tabletop task `slug` in `cell`: `sim`, the training simulator, or `twin`."""
    makers = {"sim": make_simulator, "twin": make_twin}
    if cell not in makers:
        raise ValueError(f"cell must be one of {', '.join(makers)}, got {cell!r}")
    return makers[cell](slug, num_envs)
