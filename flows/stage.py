"""`stage`: one stage in a worker's own clone, its result pushed to the shared DVC remote; the coordinator starts it.

Deployments `stage/cpu`, `stage/gpu` and `stage/robot` are served by `make worker SLOT=...` on each machine.
"""

from pathlib import Path

from prefect import flow

from tasks.graph import Selection, read_graph
from tasks.remote_stage import check_out, offer_run_record, push_result
from tasks.run_stage import run_stage


@flow(name="stage", flow_run_name="{stage}", persist_result=False)
def stage(stage: str, revision: str) -> None:
    """Run one stage of dvc.yaml here, with what it needs pulled, and push what it wrote.

    Args:
        stage: a stage of dvc.yaml, such as `train_residual@cube_lift-0`.
        revision: the git commit that the coordinator runs.
    """
    workspace = Path.cwd()
    check_out(workspace, revision)
    (found,) = read_graph(workspace).select(Selection(targets=(stage,), only_targets=True))
    run_stage.with_options(retries=found.retries)(found, workspace, pull=True)
    push_result(found, workspace)
    offer_run_record(found, workspace)
