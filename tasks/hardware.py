"""Whether the machine has what a stage's slot stands for."""

import json
import subprocess
from pathlib import Path

import yaml

from tasks.child_process import environment
from tasks.graph import Stage


class HardwareMissing(RuntimeError):
    """The worker's machine lacks what the stage was told to use."""


def refuse_without(stage: Stage, workspace: Path) -> None:
    """Raise HardwareMissing where params.yaml asks `stage` for a device that this machine does not have.

    A stage of slot `gpu` with `device: cpu`, and a twin, need no hardware.
    """
    if not asks_for_cuda(stage, workspace):
        return
    done = subprocess.run(
        ["ocrrl", "slots"], cwd=workspace, env=environment({}), capture_output=True, text=True, check=True
    )
    slots = json.loads(done.stdout)
    if not slots["gpu"]:
        raise HardwareMissing(
            f"{stage.title} asks for `device: cuda` in params.yaml, and this worker's machine has no GPU "
            f"({slots.get('reasons', {}).get('gpu', 'none found')}): start a worker of pool `gpu` on a machine that has one, "
            "or set `device: cpu`"
        )


def asks_for_cuda(stage: Stage, workspace: Path) -> bool:
    """Whether params.yaml says `device: cuda` for `stage`; a tabletop task's own value comes before the shared one."""
    params = yaml.safe_load((workspace / "params.yaml").read_text())
    device = ""
    for name in sorted(stage.parameters, key=lambda name: not name.endswith(".shared")):
        section = params
        for key in name.split("."):
            section = section.get(key, {}) if isinstance(section, dict) else {}
        if isinstance(section, dict):
            device = str(section.get("device", device))
    return device.startswith("cuda")
