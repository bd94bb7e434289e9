"""Sets up a Prefect server: work pools, slots, the automation that marks runs without a heartbeat as crashed, deployments."""

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate, WorkPoolCreate, WorkPoolUpdate
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound

from flows.access import profile_variables
from tasks.child_process import ask
from tasks.graph import SLOTS

WRITTEN = Path(".work") / "serve" / "prefect.yaml"
WHOLE_LOOP = "flows/self_improve.py:self_improve"
ZOMBIES = "Runs without a heartbeat have crashed"
WHAT_NEXT = "After kill -9 or a power cut, run the deployment again: finished stages are not repeated."
HEARTBEATS_MISSED = timedelta(seconds=90)  # three of those that prefect.toml asks for


# Prefect's own template lets whoever starts a flow run replace the command, its environment and its folder.
FIXED_JOB = {
    "job_configuration": {"labels": {}, "name": None, "stream_output": True},
    "variables": {"type": "object", "properties": {}, "additionalProperties": False},
}


def deploy(workspace: Path) -> None:
    """Write every deployment to the server. SystemExit with what Prefect says where it fails."""
    file = workspace / WRITTEN
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(with_tabletop_tasks(workspace), sort_keys=False))
    command = ["prefect", "--no-prompt", "deploy", "--all", "--prefect-file", str(WRITTEN)]
    done = ask(command, workspace, profile_variables(workspace))
    if done.returncode:
        raise SystemExit(f"serve: `{' '.join(command[2:])}` failed:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")


def with_tabletop_tasks(workspace: Path) -> dict[str, Any]:
    """prefect.yaml of `workspace`, the loop's deployment repeated for each tabletop task of its params.yaml."""
    settings = yaml.safe_load((workspace / "prefect.yaml").read_text())
    tasks = yaml.safe_load((workspace / "params.yaml").read_text()).get("tabletop_tasks") or {}
    (whole,) = (deployment for deployment in settings["deployments"] if deployment["entrypoint"] == WHOLE_LOOP)
    settings["deployments"] += [
        whole
        | {
            "name": task.replace("_", "-"),
            "description": f"The whole loop for {task.replace('_', ' ').title()}",
            "parameters": {"tasks": [task]},
        }
        for task in tasks
    ]
    return settings


def prepare_server(pool: str) -> None:
    """Create what is missing; what is there, the user's own limits for example, stays. Pools get the fixed job."""
    with get_client(sync_client=True) as client:
        for name in (pool, *SLOTS):
            add_pool(client, name)
        for slot, limit in slot_limits().items():
            add_slot(client, slot, limit)
        add_zombie_automation(client)


def slot_limits() -> dict[str, int]:
    """Stages at once by slot: half the cores, every GPU (without one, networks train on a core each), one robot."""
    cores = os.cpu_count() or 1
    gpus = len(list(Path("/dev").glob("nvidia[0-9]*")))
    return {"cpu": max(1, cores // 2), "gpu": gpus or cores, "robot": 1}


def add_pool(client: SyncPrefectClient, name: str) -> None:
    """A process work pool: every flow run is a process on the worker's machine, with a command that nobody can replace."""
    try:
        client.create_work_pool(WorkPoolCreate(name=name, type="process", base_job_template=FIXED_JOB))
    except ObjectAlreadyExists:  # of an earlier release too, with Prefect's own template
        client.update_work_pool(name, WorkPoolUpdate(base_job_template=FIXED_JOB))


def add_slot(client: SyncPrefectClient, name: str, limit: int) -> None:
    try:
        client.read_global_concurrency_limit_by_name(name)
    except ObjectNotFound:
        client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=name, limit=limit))


def add_zombie_automation(client: SyncPrefectClient) -> None:
    """A flow run whose process was killed together with its worker sends no heartbeat, and is marked as crashed."""
    if client.read_automations_by_name(ZOMBIES):
        return
    ended = {f"prefect.flow-run.{state}" for state in ("Completed", "Failed", "Cancelled", "Crashed", "Suspended")}
    trigger = EventTrigger(
        after={"prefect.flow-run.heartbeat"},
        expect={"prefect.flow-run.heartbeat", *ended},
        match=ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*"}),
        for_each={"prefect.resource.id"},
        posture=Posture.Proactive,
        threshold=1,
        within=HEARTBEATS_MISSED,
    )
    crashed = ChangeFlowRunState(
        name=None,
        state=StateType.CRASHED,
        message="No heartbeat for 90 s: its process was killed. Run the deployment again; finished stages are kept.",
        force=False,
    )
    client.create_automation(AutomationCore(name=ZOMBIES, description=WHAT_NEXT, trigger=trigger, actions=[crashed]))


if __name__ == "__main__":
    prepare_server("laptop")  # with the auth string of the environment or the profile
