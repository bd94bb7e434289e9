"""`ingest`: teleop ingestion: the twin's scripted recordings (or your own) checked and made the real LeRobotDataset.

prefect deployment run ingest/full -p tasks='["cube_lift"]'
"""

from prefect import flow

from tasks.graph import Selection
from tasks.run_graph import run_stages

STAGES = ("record", "ingest")


@flow(name="ingest", persist_result=False)
def ingest(tasks: list[str] | None = None, rounds: list[str] | None = None) -> None:
    """Run what is out of date among `record`, `ingest`; what they need must be up to date.

    Args:
        tasks: tabletop tasks, such as `cube_lift`; all when left out.
        rounds: rounds of self-improvement, such as `round0`; all when left out.
    """
    run_stages(Selection((), STAGES, tuple(tasks or ()), tuple(rounds or ())))


if __name__ == "__main__":
    ingest()
