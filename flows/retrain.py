"""`retrain`: retraining: the training sets from the rollouts, and the VLA retrained on each.

prefect deployment run retrain/full -p tasks='["cube_lift"]'
"""

from prefect import flow

from tasks.graph import Selection
from tasks.run_graph import run_stages

STAGES = ("training_set", "retrain", "retrain_multitask", "publish")


@flow(name="retrain", persist_result=False)
def retrain(tasks: list[str] | None = None, rounds: list[str] | None = None) -> None:
    """Run what is out of date among `training_set` and the retraining stages; what they need must be up to date.

    Args:
        tasks: tabletop tasks, such as `cube_lift`; all when left out, and the multi-task VLA with them.
        rounds: rounds of self-improvement, such as `round0`; all when left out.
    """
    run_stages(Selection((), STAGES, tuple(tasks or ()), tuple(rounds or ())))


if __name__ == "__main__":
    retrain()
