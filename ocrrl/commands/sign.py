"""`ocrrl sign`: signs models with their lineage; makes keys."""

import argparse
import json
from pathlib import Path

from ocrrl.commands.lineage import lineage_json
from ocrrl.lineage.lineage import trace
from ocrrl.lineage.project import find_project
from ocrrl.lineage.signature import make_key, sign_model


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", nargs="*", help="models that DVC tracks: data/models/vla_retrained")
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument("--key", type=Path, help="private key (PEM, ECDSA)")
    how.add_argument("--make-key", type=Path, metavar="NAME", help="write a new pair of keys: NAME.pem, NAME.pub")


def run(options: argparse.Namespace) -> int:
    if options.make_key is not None:
        private, public = make_key(options.make_key)
        print(f"{private}: keep it to yourself and out of git; {public}: for `signed_by` of a cell file")
        return 0
    if not options.path:
        raise ValueError("sign must be given models, such as data/models/vla_retrained, got none")
    for path in options.path:
        project, model = find_project(path)
        lineage = trace(project, model)
        lineage.manifest()  # a model that is not as recorded is not signed
        print(sign_model(project.root, model, options.key, json.loads(lineage_json(lineage))))
    return 0
