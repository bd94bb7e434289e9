"""Deployments: those of prefect.yaml, and a `self-improve` one per tabletop task of params.yaml."""

import subprocess
from pathlib import Path
from typing import Any

import yaml

from flows.access import profile_variables
from tasks.child_process import environment

WRITTEN = Path(".work") / "serve" / "prefect.yaml"
WHOLE_LOOP = "flows/self_improve.py:self_improve"


def deploy(workspace: Path) -> None:
    """Write every deployment to the server. SystemExit with what Prefect says where it fails."""
    file = workspace / WRITTEN
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(with_tabletop_tasks(workspace), sort_keys=False))
    command = ["prefect", "--no-prompt", "deploy", "--all", "--prefect-file", str(WRITTEN)]
    variables = environment(profile_variables(workspace))
    done = subprocess.run(command, cwd=workspace, env=variables, capture_output=True, text=True)
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
