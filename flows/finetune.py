"""`finetune`: paired fine-tuning: the sim and the real VLA on the two views of the same actions.

prefect deployment run finetune/full -p tasks='["cube_lift"]'
"""

from prefect import flow

from tasks.graph import Selection
from tasks.run_graph import run_stages

STAGES = ("finetune", "finetune_multitask", "promote")


@flow(name="finetune", persist_result=False)
def finetune(tasks: list[str] | None = None, rounds: list[str] | None = None) -> None:
    """Run what is out of date among `finetune`, `finetune_multitask`, `promote`; what they need must be up to date.

    Args:
        tasks: tabletop tasks, such as `cube_lift`; all when left out.
        rounds: rounds of self-improvement, such as `round0`; all when left out.
    """
    run_stages(Selection((), STAGES, tuple(tasks or ()), tuple(rounds or ())))


if __name__ == "__main__":
    finetune()
