"""What both worlds must know of a tabletop task; its scene, reward and demonstrator are in `ocrrl.sim.<slug>`."""

from dataclasses import dataclass

from ocrrl.interface.poses import NO_SYMMETRY, Symmetry, square_prism_symmetry


@dataclass(frozen=True)
class TrackedObject:
    """An object whose pose the residual observes, with the rotations that leave it looking the same."""

    name: str
    symmetry: Symmetry = NO_SYMMETRY
    reference_quaternion: tuple[float, float, float, float] = (1.0, 0.0, 0.0, 0.0)
    """Canonical poses start nearest to this one (wxyz, robot base frame)."""


@dataclass(frozen=True)
class TabletopTask:
    """A tabletop task's contract: `horizon` is in control steps, `success_hold` the steps success must last."""

    slug: str
    instruction: str
    objects: tuple[TrackedObject, ...]
    horizon: int
    success_hold: int = 10


CUBE_LIFT = TabletopTask(
    slug="cube_lift",
    instruction="grasp the wooden cuboid and lift it",
    objects=(TrackedObject("cuboid", square_prism_symmetry()),),
    horizon=120,
)

TABLETOP_TASKS = {task.slug: task for task in (CUBE_LIFT,)}


def tabletop_task(slug: str) -> TabletopTask:
    """The tabletop task called `slug`; ValueError names the known ones."""
    if slug not in TABLETOP_TASKS:
        raise ValueError(f"tabletop task must be one of {', '.join(TABLETOP_TASKS)}, got {slug!r}")
    return TABLETOP_TASKS[slug]
