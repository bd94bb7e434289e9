"""`self-improve`: the whole loop, from teleoperated episodes to a retrained VLA and its report.

prefect deployment run self-improve/full
prefect deployment run self-improve/cube-lift
prefect deployment run self-improve/full -p targets='["report@cube_lift"]'
"""

from prefect import flow

from tasks.graph import Selection
from tasks.run_graph import run_stages


@flow(name="self-improve", persist_result=False)
def self_improve(
    targets: list[str] | None = None,
    tasks: list[str] | None = None,
    rounds: list[str] | None = None,
    on_workers: bool = False,
) -> None:
    """Run what is out of date; stages that need nothing of each other run side by side.

    Args:
        targets: stages of dvc.yaml, or paths they write, with all they need; everything when left out.
        tasks: tabletop tasks, such as `cube_lift`; all when left out.
        rounds: rounds of self-improvement, such as `round0`; all when left out.
        on_workers: run each stage on a worker of its slot's pool (`cpu`, `gpu`, `robot`), in that worker's clone.
    """
    run_stages(Selection(tuple(targets or ()), (), tuple(tasks or ()), tuple(rounds or ())), on_workers)


if __name__ == "__main__":
    self_improve()
