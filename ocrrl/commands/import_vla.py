"""`ocrrl import-vla`: registers a VLA that somebody else's trainer made of an export, for `finetune` to publish."""

import argparse
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ocrrl.datasets.export.origin import Origin

DOMAINS = ("real", "sim")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "checkpoint",
        help="the folder of the checkpoint, or its address (gs://..., hf://...) where only a server can open it",
    )
    parser.add_argument("--task", required=True, help="the tabletop task")
    parser.add_argument("--domain", required=True, choices=DOMAINS)
    parser.add_argument(
        "--trained-on", required=True, type=Path, metavar="EXPORT", help="the folder that `ocrrl export` wrote"
    )
    parser.add_argument("--round", default="round0", help="round0: later rounds' VLAs are those of `retrain`")
    parser.add_argument(
        "--device", default="auto", help="on which a LeRobot checkpoint is tried: auto, cpu or cuda (auto)"
    )


def run(options: argparse.Namespace) -> int:
    from ocrrl import files
    from ocrrl.datasets.export.lerobot_v21 import whole_folder
    from ocrrl.datasets.export.origin import read_origin
    from ocrrl.layout import ROUND, Layout
    from ocrrl.policies.imported_vla import LEROBOT, NAME, NOT_CHECKED, SERVED, ImportedVLA, write_imported
    from ocrrl.tabletop.registry import tabletop_task

    task = tabletop_task(options.task)
    if options.round != ROUND:
        raise ValueError(
            f"--round must be {ROUND}, where `finetune` publishes it, got {options.round!r}; a retrained VLA is served, "
            "its address under policy.address.retrained of `retrain`"
        )
    origin = read_origin(options.trained_on)
    _require_unchanged(options.trained_on, origin)
    _require_domain(origin, options.trained_on, task.slug, options.domain)
    is_address, folder = "://" in options.checkpoint, Path(options.checkpoint)
    if not is_address and not folder.is_dir():
        raise FileNotFoundError(
            f"{folder} must be a checkpoint's folder, or an address such as gs://bucket/checkpoint, got neither"
        )
    out = Layout(task.slug).imported_vla(options.domain)
    kind = SERVED
    if not is_address and _is_lerobot(folder):
        kind = LEROBOT
        _try_lerobot(folder, origin, options.trained_on, options.device)
    imported = ImportedVLA(
        kind=kind,
        tabletop_task=task.slug,
        domain=options.domain,
        checkpoint=options.checkpoint,
        checkpoint_files={} if is_address else _hashes(folder),
        export=str(options.trained_on),
        export_hash=origin.content_hash,
        source=origin.source,
        source_hash=origin.source_hash,
        episodes=tuple(entry["source"] for entry in origin.episodes),
        instructions=_instructions(options.trained_on),
    )
    with whole_folder(out) as work:
        if kind == LEROBOT:
            files.require_room(out.parent, files.size_of(folder), f"the copy of {folder}")
            shutil.copytree(folder, work, dirs_exist_ok=True, ignore=shutil.ignore_patterns(NAME))
        write_imported(work, imported)
    if kind == SERVED:
        hashes = "no file of an address is hashed" if is_address else f"{len(imported.checkpoint_files)} files hashed"
        print(f"{options.checkpoint}: {NOT_CHECKED}; {hashes}")
    _print_next(out, task.slug, options.domain, kind, folder)
    return 0


def _print_next(out: Path, task: str, domain: str, kind: str, folder: Path) -> None:
    from ocrrl.policies.imported_vla import LEROBOT
    from ocrrl.policies.policy_type import policy_type

    section = (
        f"{{type: {policy_type(folder)}}}" if kind == LEROBOT else "the section of configs/policy_*.yaml in the export"
    )
    print(f"{out}: registered. Next:")
    print(f"  dvc add {out}")
    print(f"  params.yaml: tabletop_tasks.{task}: {domain}_vla: {out}; finetune.{task}: policy: {section}")
    print(f"  ocrrl params && dvc repro train_residual@{task}-0")


def _require_unchanged(export: Path, origin: "Origin") -> None:
    """ValueError naming the first file of the `export` that is no longer what was exported; a trainer's own files may be beside."""
    from ocrrl.datasets.export.origin import REMEDY
    from ocrrl.lineage.reading.hashes import file_md5, manifest_hash

    for name, value in origin.files.items():
        path = export / name
        if not path.is_file() or file_md5(path) != value:
            state = "another content" if path.is_file() else "no such file"
            raise ValueError(f"{path} must be as it was exported ({value[:8]}), got {state}; {REMEDY}")
    if manifest_hash(origin.files) != origin.content_hash:
        raise ValueError(f"{export}: content_hash must be that of its files, got {origin.content_hash[:8]}; {REMEDY}")


def _require_domain(origin: "Origin", export: Path, task: str, domain: str) -> None:
    from ocrrl.lineage.reading.places import place_of

    place = place_of(origin.source)
    if place.kind == "dataset" and place.variant in DOMAINS and place.variant != domain:
        raise ValueError(f"--domain must be {place.variant}, as {export} is an export of {origin.source}, got {domain}")
    tasks = {entry.get("tabletop_task") for entry in origin.episodes}
    if tasks and task not in tasks:
        raise ValueError(f"--task must be one of {', '.join(sorted(map(str, tasks)))}, as {export} holds, got {task}")


def _is_lerobot(folder: Path) -> bool:
    """Whether config.json names a type, as LeRobot's does; Isaac-GR00T's names a model_type."""
    from ocrrl.interface.json_file import read_json_object

    path = folder / "config.json"
    return path.is_file() and isinstance(read_json_object(path).get("type"), str)


def _try_lerobot(folder: Path, origin: "Origin", export: Path, device: str) -> None:
    """ValueError unless the checkpoint opens as a VLA that answers with our own steps."""
    from ocrrl.policies.action_forms.action_form import DEFAULT, action_form
    from ocrrl.policies.checkpoint import load_vla

    if action_form(origin.form, f"{export}: form").declaration != DEFAULT.declaration:
        raise ValueError(
            f"{folder} must answer with our own steps, got a checkpoint that was trained on {export} with actions in another form; "
            "export without --form, or serve the checkpoint and declare policy.actions"
        )
    load_vla(folder, device)


def _hashes(folder: Path) -> dict[str, str]:
    from ocrrl.lineage.reading.hashes import Ignored, manifest_of

    found = manifest_of(folder, folder, Ignored())
    if not found:
        raise FileNotFoundError(f"{folder} must hold a checkpoint, got an empty folder")
    return found


def _instructions(export: Path) -> tuple[str, ...]:
    import json

    lines = (export / "meta/tasks.jsonl").read_text().splitlines()
    return tuple(json.loads(line)["task"] for line in lines)
