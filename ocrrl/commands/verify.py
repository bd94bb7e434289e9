"""`ocrrl verify`: checks models against their signatures."""

import argparse
from collections import Counter
from pathlib import Path

from ocrrl.lineage.project import find_project
from ocrrl.lineage.signature import verify_model
from ocrrl.lineage.wording import short


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", nargs="+", help="signed models: data/models/vla_retrained")
    parser.add_argument("--key", type=Path, required=True, help="public key of who signed them")


def run(options: argparse.Namespace) -> int:
    for path in options.path:
        project, model = find_project(path)
        signed = verify_model(project.root, model, options.key)
        episodes = Counter(episode["kind"] for episode in signed.lineage["episodes"])
        counted = [f"{count} {kind.replace('_', ' ')}s" for kind, count in episodes.items()]
        lineage = ", ".join([f"{len(signed.lineage['artifacts'])} artifacts", *counted])
        print(f"{model} {short(signed.lineage['hash'])}: {signed.files} files as signed; lineage as signed: {lineage}")
    return 0
