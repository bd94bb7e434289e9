"""Stages shaped as ours, of a few bytes each: what `ocrrl` is in the toy project. Words stand for episodes and weights."""

import argparse
import hashlib
import json
import os
import shutil
import sys
from pathlib import Path

import yaml

from ocrrl.lineage.run_record import recorded_run

sys.path.insert(0, "code")


def words(*paths: Path) -> str:
    """A digest of everything under `paths`."""
    digest = hashlib.sha256()
    for path in paths:
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and file.suffix != ".pyc":
                digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()[:12]


def write(path: Path, content) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content, sort_keys=True))


def entry(source: str, file: Path, kind: str, cell: str = "twin") -> dict:
    return {
        "source": source,
        "kind": kind,
        "tabletop_task": "cube_lift",
        "operator": "anna" if kind == "demonstration" else "policy",
        "cell": cell,
        "success": True,
        "seed": None if kind == "demonstration" else 7,
        "length": 40,
        "has_object_poses": True,
        "sha256": None if cell == "sim" else hashlib.sha256(file.read_bytes()).hexdigest(),
    }


def dataset(folder: Path, entries: list[dict], content: str) -> None:
    write(folder / "sidecar/episodes.json", entries)
    write(folder / "data/file-000.parquet", content)


def run(options: argparse.Namespace) -> None:
    task, data, round_name = options.tabletop_task, Path("data"), options.round
    params = yaml.safe_load(Path("params.yaml").read_text())
    recordings = Path(params["tabletop_tasks"][task]["episodes"])

    def place(kind: str) -> Path:
        return data / kind / round_name / task

    def report(stage: str) -> Path:
        return place(f"metrics/{stage}").with_suffix(".json")

    demonstrations = sorted(recordings.glob("*.h5"))
    good = [file for file in demonstrations if "bad" not in file.read_text()]
    kept = [file for file in good if "slips" not in file.read_text()]
    if options.command == "ingest":
        dataset(place("dataset_real"), [entry(f.name, f, "demonstration") for f in good], words(*good))
        place("normalised").mkdir(parents=True)
        rejected = [{"source": f.name, "reason": "success must be true"} for f in demonstrations if f not in good]
        accepted = [{"source": f.name, "origin": f.name} for f in good]
        measured = {"source_format": "ocrrl", "accepted": accepted, "rejected": rejected}
        write(report("ingest"), measured)
    elif options.command == "replay":
        dataset(place("dataset_sim"), [entry(f.name, f, "demonstration", "sim") for f in kept], words(*kept))
        dropped = [{"source": f.name, "reason": "slip must be at most 0.03"} for f in good if f not in kept]
        write(report("replay"), {"kept": [f.name for f in kept], "dropped": dropped})
    elif options.command in ("finetune", "train_residual"):
        from library.network import describe

        read = place(f"dataset_{options.domain}" if options.command == "finetune" else "vla_sim")
        out = place(f"vla_{options.domain}" if options.command == "finetune" else f"residual_{options.seed}")
        section = params[options.command]
        steps = (section["shared"] | section[task])["steps"]
        write(out / "model.safetensors", describe(words(read), steps) + os.environ.get("TOY_NOISE", ""))
        write(out / "config.json", {"type": "toy"})
        write(out / "training.json", {"episode_names": [f.name for f in kept], "instructions": ["lift it"]})
    elif options.command == "rollout":
        text = words(place("vla_real"), place("residual_0"))
        for policy, count in (("corrected", 3), ("base", 1)):
            folder = place(f"rollouts_{policy}")
            for number in range(count):
                write(folder / f"episode_{number:06d}.h5", f"{policy} {number} {text}")
            attempts = [{"episode": f"episode_{n:06d}.h5", "seed": 7 + n, "success": True} for n in range(count)]
            write(folder / "attempts.json", {"cell": "twin", "attempts": attempts})
    elif options.command == "training_set":
        for name, policy, kind in (("retrained", "corrected", "rollout"), ("base_rollouts", "base", "base_rollout")):
            rollouts = sorted(place(f"rollouts_{policy}").glob("*.h5"))[:2]
            entries = [entry(f.name, f, "demonstration") for f in kept]
            entries += [entry(f"{task}_{policy}/{f.name}", f, kind) for f in rollouts]
            dataset(place(f"training_set_{name}"), entries, words(*kept, *rollouts))
    elif options.command == "retrain":
        for name in ("retrained", "base_rollouts"):
            out, read = place(f"vla_{name}"), place(f"training_set_{name}")
            write(out / "model.safetensors", words(place("vla_real"), read))
            write(out / "config.json", {"type": "toy"})
            write(out / "training.json", {"episode_names": None, "instructions": ["lift it"]})
    elif options.command == "publish":
        shutil.copytree(place("vla_retrained"), data / "models/vla_retrained")
    elif options.command == "evaluate_retrained":
        rate = {"episodes": 100, "mean_steps_success": 50.0, "wilson_low": 0.4, "wilson_high": 0.6}
        counts = {"before": 30, "retrained": 50, "base_rollouts": 20}
        variants = {variant: rate | {"successes": n, "success_rate": n / 100} for variant, n in counts.items()}
        variants["differences"] = {"before": {"success_rate": {"difference": 0.2, "low": 0.1, "high": 0.3}}}
        write(report("evaluate_retrained"), {"tabletop_tasks": {task: {"twin": variants}}})


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("command")
    parser.add_argument("tabletop_task")
    parser.add_argument("--round")
    parser.add_argument("--domain")
    parser.add_argument("--seed", type=int)
    chosen = parser.parse_args()
    with recorded_run(vars(chosen), chosen.command):
        run(chosen)
