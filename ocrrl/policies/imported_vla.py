"""imported.json: a VLA that somebody else's trainer made of an export, and how `finetune` publishes it in place of training one.

A LeRobot checkpoint lies beside imported.json, whole. A checkpoint of Isaac-GR00T or openpi cannot be opened here: imported.json
holds its files' hashes, or its address, and the VLA is the server that answers with it (`policy.type: remote`).
"""

import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ocrrl import files
from ocrrl.config_builder import build
from ocrrl.interface.json_file import read_json_object, said
from ocrrl.policies.checkpoint import load_vla
from ocrrl.policies.chunk_delay import measured_delay
from ocrrl.policies.chunked_policy import require_lasts
from ocrrl.policies.latency_file import NAME as LATENCY
from ocrrl.policies.latency_file import policy_kind, read_latency
from ocrrl.policies.policy_type import policy_type

NAME = "imported.json"
FORMAT_VERSION = 1
LEROBOT, SERVED = "lerobot", "served"
KINDS = (LEROBOT, SERVED)
REMEDY = "register it again with `ocrrl import-vla`, or fetch it (`dvc pull`)"
REMOTE = "remote"
"""The policy type of a VLA on a policy server."""
NOT_CHECKED = (
    "its weights cannot be opened here: what is checked is the server that answers with them, not that it does"
)


@dataclass(frozen=True, kw_only=True)
class ImportedVLA:
    """What `ocrrl import-vla` registered."""

    kind: str
    """`lerobot`: the checkpoint is here; `served`: it is behind a policy server."""
    tabletop_task: str
    domain: str
    checkpoint: str
    """The folder or address that was named."""
    checkpoint_files: Mapping[str, str]
    """MD5 of each file by its path; empty for an address."""
    export: str
    """The exported dataset's folder."""
    export_hash: str
    source: str
    """The dataset that was exported, relative to its project."""
    source_hash: str
    """DVC's hash of it."""
    episodes: tuple[str, ...]
    """The sources of the episodes that were exported; empty where the dataset has no sidecar."""
    instructions: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {self.kind!r}")


def write_imported(folder: Path, imported: ImportedVLA) -> None:
    """Write `folder`/imported.json."""
    files.write_json(folder / NAME, {"format_version": FORMAT_VERSION, **asdict(imported)})


def read_imported(folder: Path) -> ImportedVLA:
    """The content of `folder`/imported.json; FileNotFoundError or ValueError naming what is missing or wrong."""
    path = folder / NAME
    content = read_json_object(path, remedy=REMEDY)
    if (version := content.pop("format_version", None)) != FORMAT_VERSION:
        raise ValueError(f"{path}: format_version must be {FORMAT_VERSION}, got {said(version)}; {REMEDY}")
    return build(ImportedVLA, content, f"{path}:", complete=False)


def require_for(imported: ImportedVLA, folder: Path, task: str, domain: str) -> None:
    """ValueError unless `imported`, read from `folder`, is of this tabletop task and domain."""
    if (imported.tabletop_task, imported.domain) != (task, domain):
        raise ValueError(
            f"tabletop_tasks.{task}.{domain}_vla must be a VLA that was imported for {task}, {domain}, got {folder}, imported for "
            f"{imported.tabletop_task}, {imported.domain}"
        )


def publish_imported(
    folder: Path, out: Path, work: Path, policy: Mapping[str, Any], device: str, latency: Path | None
) -> None:
    """Open the LeRobot checkpoint in `folder`, as what acts would, and publish a copy at `out` with its record.

    Raises ValueError for a type other than `policy` says, for a checkpoint that is damaged or cannot drive this robot, and for a
    latency of another VLA.
    """
    imported = read_imported(folder)
    vla = load_vla(folder, device, {str(policy["type"]): bool(policy.get("allow_remote_code", False))})
    finished = files.fresh_folder(work) / "pretrained_model"
    shutil.copytree(folder, finished)
    if latency is not None:
        late = measured_delay(read_latency(latency, policy_kind(folder))).largest
        require_lasts(vla.chunk_size, vla.n_action_steps, late)
        shutil.copyfile(latency, finished / LATENCY)
    record = {
        "policy": {"type": policy_type(folder)},
        "steps": 0,
        "episodes": len(imported.episodes),
        "episode_names": list(imported.episodes) or None,
        "instructions": sorted(imported.instructions),
        "loss": [],
        "note": "trained elsewhere: imported.json says on what",
    }
    files.write_json(finished / "training.json", record)
    files.publish(finished, out)
    shutil.rmtree(work, ignore_errors=True)


def note_served(folder: Path, out: Path) -> None:
    """Say in the record of the VLA on a server that was published at `out` what the VLA imported to `folder` was trained on."""
    imported, path = read_imported(folder), out / "training.json"
    record = read_json_object(path) | {
        "episode_names": list(imported.episodes) or None,
        "episodes": len(imported.episodes),
    }
    files.write_json(path, record | {"instructions": sorted(imported.instructions)})
    files.write_bytes(out / NAME, (folder / NAME).read_bytes())
