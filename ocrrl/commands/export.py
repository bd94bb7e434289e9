"""`ocrrl export`: a dataset for the trainers of others (LeRobot v2.1, Isaac-GR00T, openpi), or episodes for Foxglove (MCAP)."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from ocrrl.datasets.sidecar import SidecarEpisode

FORMATS = ("lerobot_v21", "mcap")
LARGEST_IMAGE = 2048  # pixels


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "source",
        help="a dataset (data/dataset_real/round0/TASK, data/training_set_retrained/round0/TASK) or a tabletop task; for mcap an "
        "episode's file, or the folder of a session, of rollouts or of other episodes",
    )
    parser.add_argument("--format", required=True, choices=FORMATS)
    parser.add_argument(
        "--out", type=Path, required=True, help="a folder, or an episode's .mcap file, that does not exist"
    )
    parser.add_argument("--gr00t", action="store_true", help="modality.json and configurations for Isaac-GR00T")
    parser.add_argument("--openpi", action="store_true", help="a configuration for openpi")
    parser.add_argument("--form", type=Path, metavar="FORM.yaml", help="the form of the actions; without: our steps")
    parser.add_argument("--domain", default="real", choices=("real", "sim"), help="of a tabletop task (real)")
    parser.add_argument(
        "--episodes", type=Path, help="the recordings' folder, for forms of joints: the joints are there"
    )
    parser.add_argument("--image-size", type=int, metavar="N", help="bring pictures to N x N, with black borders")
    parser.add_argument(
        "--lossless", action="store_true", help="pictures to the byte (H.264 in RGB; other readers: yuv420p; mcap: PNG)"
    )


def run(options: argparse.Namespace) -> int:
    if options.format == "mcap":
        return _mcap(options)
    from ocrrl.datasets.export.described import Described
    from ocrrl.datasets.export.exporter import Plan, Written, export, write_files
    from ocrrl.datasets.export.gr00t_files import gr00t_commands, gr00t_files, modality
    from ocrrl.datasets.export.lerobot_v21 import COMMON, LOSSLESS
    from ocrrl.datasets.export.openpi_files import openpi_cameras, openpi_commands, openpi_files
    from ocrrl.policies.action_forms import columns
    from ocrrl.policies.action_forms.action_form import action_form

    declared = _declared(options.form)
    where = str(options.form or "action form")
    form, out = action_form(declared, where), options.out.absolute()
    try:
        columns.require_exportable(form)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
    source, chosen = _source(options.source, options.domain)
    plan = Plan(
        source=source,
        fps=int(form.declaration.hz),
        state_names=columns.state_names(form),
        action_names=columns.action_names(form),
        convert=lambda state, action, joints: columns.demonstrated_rows(form, state, action, joints),
        encoding=LOSSLESS if options.lossless else COMMON,
        chosen=chosen,
        joints=_joints(options.episodes) if options.episodes else None,
        fit=_fit(source, options.image_size) if options.image_size is not None else None,
    )
    commands: list[str] = []

    def describe(work: Path, written: Written) -> None:
        texts: dict[str, str] = {
            "meta/action_form.yaml": yaml.safe_dump(declared or {"form": "steps"}, sort_keys=False)
        }
        if options.gr00t:
            described = Described(written.cameras, columns.state_groups(form), columns.action_groups(form))
            policy = columns.gr00t_policy(form, declared, written.cameras)
            texts |= gr00t_files(described) | {
                "meta/modality.json": _json(modality(described)),
                "configs/policy_gr00t.yaml": yaml.safe_dump({"policy": policy}, sort_keys=False),
            }
            commands.extend(gr00t_commands(out))
        if options.openpi:
            described = Described(written.cameras, (), columns.action_groups(form))
            policy = columns.openpi_policy(form, declared, openpi_cameras(written.cameras))
            texts |= openpi_files(described, f"{out.parent.name}/{out.name}")
            texts["configs/policy_openpi.yaml"] = yaml.safe_dump({"policy": policy}, sort_keys=False)
            commands.extend(openpi_commands(out))
        if commands:
            texts["configs/commands.txt"] = "\n".join([*commands, ""])
        write_files(work, texts)
        _write_origin(work, source, written, declared, options.lossless)

    written = export(plan, out, describe)
    print(
        f"{out}: {written.episodes} episodes, {written.frames} frames of {source} as LeRobot v2.1; what comes back from training: "
        f"`ocrrl import-vla FOLDER --task TASK --domain {options.domain} --trained-on {out}`"
    )
    for command in commands:
        print(command)
    return 0


def _mcap(options: argparse.Namespace) -> int:
    """Exit code 1 where an episode could not be read; it is named, and the others are written."""
    from ocrrl.viewers.mcap_export import export_mcap

    trainers = {
        "--gr00t": options.gr00t,
        "--openpi": options.openpi,
        "--form": options.form,
        "--episodes": options.episodes,
    }
    for name, value in (trainers | {"--image-size": options.image_size}).items():
        if value:
            raise ValueError(f"{name} must be left out with --format mcap, got it; it goes with --format lerobot_v21")
    source = Path(options.source)
    written, count = export_mcap(source, options.out, options.lossless, lambda line: print(line, file=sys.stderr))
    print(f"{options.out}: {written} of {count} episodes of {source} as MCAP; open it in Foxglove")
    return int(written < count)


def _declared(path: Path | None) -> dict[str, Any]:
    from ocrrl.config_builder import shown
    from ocrrl.safe_yaml import read_yaml

    content = {} if path is None else read_yaml(path)
    if not isinstance(content, dict):
        raise ValueError(f"{path} must hold a mapping of an action form's fields, got {shown(content)}")
    return content


def _source(named: str, domain: str) -> tuple[Path, list[str] | None]:
    """The dataset that `named` is, or that of the tabletop task, and the episodes that are trained on; None for all."""
    from ocrrl.interface.json_file import read_json
    from ocrrl.layout import Layout
    from ocrrl.params import PARAMS_FILE, Params

    folder = Path(named)
    if (folder / "meta/info.json").is_file():
        return folder, None
    tasks = Params.read().tasks() if PARAMS_FILE.is_file() else []
    if named not in tasks:
        raise ValueError(
            f"source must be a LeRobotDataset's folder or a tabletop task ({', '.join(tasks) or 'no params.yaml here'}), got {named!r}"
        )
    layout = Layout(named)
    source = layout.dataset(domain)
    if not (source / "meta/info.json").is_file():
        stage = "ingest" if domain == "real" else "replay"
        raise FileNotFoundError(f"{source} must be there; `dvc repro {stage}@{named}` makes it, `dvc pull` fetches it")
    replayed = Params.read().config("finetune", named).real_episodes == "replayed"
    if domain == "real" and replayed:
        return source, read_json(layout.accepted_replays, remedy=f"`dvc repro replay@{named}` makes it")
    return source, None


def _joints(folder: Path) -> Callable[[SidecarEpisode], np.ndarray]:
    """The joints of the recordings in `folder`, found by the files' SHA-256, or by name where the dataset has none."""
    import hashlib

    from ocrrl.episodes.episode_store import read_episode

    found = {}
    for path in sorted(folder.rglob("*.h5")):
        with path.open("rb") as file:
            found[hashlib.file_digest(file, "sha256").hexdigest()] = path
    by_name = {path.name: path for path in found.values()}

    def joints(entry: SidecarEpisode) -> np.ndarray:
        path = found.get(entry.sha256) if entry.sha256 else by_name.get(Path(entry.source).name)
        if path is None:
            raise FileNotFoundError(
                f"{folder} must hold the recording {entry.source} ({(entry.sha256 or 'no hash')[:8]}), got {len(found)} others; name "
                "the folder that the dataset was made from with --episodes"
            )
        return read_episode(path).joint_positions

    return joints


def _fit(source: Path, size: int) -> Callable[[str, np.ndarray], np.ndarray]:
    from ocrrl.episodes.image_fit import ImageFit
    from ocrrl.interface.json_file import read_json_object
    from ocrrl.interface.lerobot_keys import IMAGE_PREFIX

    if not 16 <= size <= LARGEST_IMAGE or size % 2:
        raise ValueError(f"--image-size must be an even number of pixels from 16 to {LARGEST_IMAGE}, got {size}")
    features = read_json_object(source / "meta/info.json")["features"]
    cameras = [key.removeprefix(IMAGE_PREFIX) for key in features if key.startswith(IMAGE_PREFIX)]
    return ImageFit(dict.fromkeys(cameras, (size, size)), "pad").fit


def _write_origin(work: Path, source: Path, written: Any, declared: dict[str, Any], lossless: bool) -> None:
    from importlib.metadata import version

    from ocrrl.datasets.export.origin import Origin, write_origin
    from ocrrl.lineage.reading.hashes import Ignored, manifest_hash, manifest_of, path_hash

    source = source.absolute()
    root = next((folder for folder in source.parents if (folder / "dvc.yaml").is_file()), None)
    files = manifest_of(work, work, Ignored())
    write_origin(
        work,
        Origin(
            source=(source.relative_to(root) if root else source).as_posix(),
            source_hash=path_hash(source, root or source.parent, Ignored.of_project(root) if root else Ignored()),
            content_hash=manifest_hash(files),
            files=files,
            episodes=list(written.listed),
            form=declared,
            lossless=lossless,
            version=version("ocrrl"),
        ),
    )


def _json(value: dict[str, Any]) -> str:
    import json

    return json.dumps(value, indent=4) + "\n"
