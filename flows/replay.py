"""`replay`: replay rendering: the same actions in the training simulator, as the sim LeRobotDataset and offline transitions.

prefect deployment run replay/full -p tasks='["cube_lift"]'
"""

from prefect import flow

from tasks.graph import Selection
from tasks.run_graph import run_stages

STAGES = ("replay", "replay_rollouts")


@flow(name="replay", persist_result=False)
def replay(tasks: list[str] | None = None, rounds: list[str] | None = None) -> None:
    """Run what is out of date among `replay`, `replay_rollouts`; what they need must be up to date.

    Args:
        tasks: tabletop tasks, such as `cube_lift`; all when left out.
        rounds: rounds of self-improvement, such as `round0`; all when left out.
    """
    run_stages(Selection((), STAGES, tuple(tasks or ()), tuple(rounds or ())))


if __name__ == "__main__":
    replay()
