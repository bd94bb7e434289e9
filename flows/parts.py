"""Flows that run parts of the loop: stages of dvc.yaml and nothing else.

prefect deployment run ingest/full -p tasks='["cube_lift"]'
python -m flows.parts ingest        # here, without a deployment
"""

import argparse

from prefect import Flow, flow

from tasks.graph import Selection
from tasks.run_graph import run_stages

STAGES = {
    "ingest": ("record", "ingest"),
    "replay": ("replay", "replay_rollouts"),
    "finetune": ("finetune", "finetune_multitask", "promote"),
    "train_residual": ("train_residual",),
    "retrain": ("training_set", "retrain", "retrain_multitask", "publish"),
}


def _part(name: str, what: str) -> Flow[..., None]:
    def run(tasks: list[str] | None = None, rounds: list[str] | None = None) -> None:
        run_stages(Selection((), STAGES[name], tuple(tasks or ()), tuple(rounds or ())))

    run.__doc__ = f"""{what}

    Runs what is out of date among {", ".join(f"`{stage}`" for stage in STAGES[name])}; what they need must be up to date.

    Args:
        tasks: tabletop tasks, such as `cube_lift`; all when left out.
        rounds: rounds of self-improvement, such as `round0`; all when left out.
    """
    return flow(name=name, persist_result=False)(run)


ingest = _part(
    "ingest", "Recordings (the twin's, or your own) checked, and the real LeRobotDataset made of the sound ones."
)
replay = _part("replay", "The same actions in the training simulator: the sim LeRobotDataset and offline transitions.")
finetune = _part("finetune", "Paired fine-tuning: the sim and the real VLA on the two views of the same actions.")
train_residual = _part("train_residual", "Residual training: Algorithm 1 on the frozen sim VLA.")
retrain = _part(
    "retrain",
    "The training sets from the rollouts, and the VLA retrained on each; of all tasks also the multi-task VLA.",
)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Run one part of the loop here, without a deployment.")
    parser.add_argument("part", choices=tuple(STAGES))
    globals()[parser.parse_args().part]()
