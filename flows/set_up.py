"""What the flows need on a Prefect server: the work pool, the slots, and the automation that marks zombies."""

import os
from datetime import timedelta
from pathlib import Path

from prefect.automations import Automation
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate, WorkPoolCreate
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import EventTrigger, Posture
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound

ZOMBIES = "Runs without a heartbeat have crashed"
HEARTBEATS_MISSED = timedelta(seconds=90)  # three of those that prefect.toml asks for


def prepare_server(pool: str) -> None:
    """Create what is missing; what is there, the user's own limits for example, stays."""
    with get_client(sync_client=True) as client:
        add_pool(client, pool)
        for slot, limit in slot_limits().items():
            add_slot(client, slot, limit)
    add_zombie_automation()


def slot_limits() -> dict[str, int]:
    """Stages at once by slot: half the cores, every GPU (without one, networks train on a core each), one robot."""
    cores = os.cpu_count() or 1
    gpus = len(list(Path("/dev").glob("nvidia[0-9]*")))
    return {"cpu": max(1, cores // 2), "gpu": gpus or cores, "robot": 1}


def add_pool(client: SyncPrefectClient, name: str) -> None:
    """A process work pool: every flow run is a process on the worker's machine."""
    try:
        client.create_work_pool(WorkPoolCreate(name=name, type="process"))
    except ObjectAlreadyExists:
        return


def add_slot(client: SyncPrefectClient, name: str, limit: int) -> None:
    try:
        client.read_global_concurrency_limit_by_name(name)
    except ObjectNotFound:
        client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=name, limit=limit))


def add_zombie_automation() -> None:
    """A flow run whose process was killed together with its worker sends no heartbeat, and is marked as crashed."""
    try:
        Automation.read(name=ZOMBIES)
        return
    except ValueError:
        pass
    ended = {f"prefect.flow-run.{state}" for state in ("Completed", "Failed", "Cancelled", "Crashed", "Suspended")}
    Automation(
        name=ZOMBIES,
        description="kill -9, a power cut: run the deployment again, and finished stages are not repeated",
        trigger=EventTrigger(
            after={"prefect.flow-run.heartbeat"},
            expect={"prefect.flow-run.heartbeat", *ended},
            match={"prefect.resource.id": "prefect.flow-run.*"},  # type: ignore[arg-type]
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=HEARTBEATS_MISSED,
        ),
        actions=[
            ChangeFlowRunState(
                type="change-flow-run-state",
                name=None,
                state=StateType.CRASHED,
                message="No heartbeat for 90 s: its process was killed. Run the deployment again; finished stages are kept.",
            )
        ],
    ).create()
