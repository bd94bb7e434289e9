"""`train_residual`: residual training: Algorithm 1 on the frozen sim VLA.

prefect deployment run train_residual/full -p tasks='["cube_lift"]'
"""

from prefect import flow

from tasks.graph import Selection
from tasks.run_graph import run_stages

STAGES = ("train_residual",)


@flow(name="train_residual", persist_result=False)
def train_residual(tasks: list[str] | None = None, rounds: list[str] | None = None) -> None:
    """Run what is out of date among `train_residual`; what they need must be up to date.

    Args:
        tasks: tabletop tasks, such as `cube_lift`; all when left out.
        rounds: rounds of self-improvement, such as `round0`; all when left out.
    """
    run_stages(Selection((), STAGES, tuple(tasks or ()), tuple(rounds or ())))


if __name__ == "__main__":
    train_residual()
