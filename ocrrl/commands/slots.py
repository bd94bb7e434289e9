"""`ocrrl slots`: which slots (`meta.slot` in dvc.yaml) this machine can fill. Quick: torch is not imported."""

import argparse
import json
import os
from importlib.util import find_spec
from pathlib import Path

from ocrrl.extras import how_to_install

GPU_DEVICES = ("nvidia[0-9]*", "dxg")  # of Linux, and of Linux under Windows
ROBOT_MODULE = "franky"


def run(options: argparse.Namespace) -> int:
    print(json.dumps(slots(), indent=2))
    return 0


def slots() -> dict[str, bool | dict[str, str]]:
    """`cpu`, `gpu`, `robot`: whether it is here; `reasons`: why not, for those that are not."""
    missing = {"gpu": gpu_missing(), "robot": robot_missing()}
    reasons = {slot: reason for slot, reason in missing.items() if reason}
    return {"cpu": True, **{slot: slot not in reasons for slot in missing}, "reasons": reasons}


def gpu_missing(devices: Path = Path("/dev")) -> str:
    """Why torch cannot compute on a GPU here, empty if as far as can be seen it can."""
    if os.environ.get("CUDA_VISIBLE_DEVICES", "all").strip() in ("", "-1"):
        return "CUDA_VISIBLE_DEVICES hides every GPU"
    if not any(next(devices.glob(pattern), None) for pattern in GPU_DEVICES):
        return f"no NVIDIA device in {devices}"
    torch = find_spec("torch")
    if torch is None or torch.origin is None:
        return "torch is not installed"
    if not (Path(torch.origin).parent / "lib" / "libtorch_cuda.so").is_file():
        return "torch is a build without CUDA"
    return ""


def robot_missing() -> str:
    """Why no robot can be driven from here, empty if the package that talks to it is installed.

    That package is all that is looked at; whether an arm answers, opening the cell finds out.
    """
    if find_spec(ROBOT_MODULE) is None:
        return f"the module {ROBOT_MODULE} is not installed; {how_to_install('robot')}"
    return ""
