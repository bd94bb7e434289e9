"""`ocrrl push`: uploads a model or a dataset with its card to a Hugging Face hub, in one commit."""

import argparse
import os
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "path", help="a model or a dataset: data/models/vla_retrained, data/dataset_real/round0/cube_lift"
    )
    parser.add_argument("--to", required=True, metavar="OWNER/NAME", help="the repository")
    parser.add_argument("--card", type=Path, help="instead of data/cards/<name>.md, which `ocrrl card` writes")
    parser.add_argument("--public", action="store_true", help="make a new repository public (private)")
    parser.add_argument("--replace", action="store_true", help="remove files that the repository has besides")
    parser.add_argument("--dry-run", action="store_true", help="check everything and list the files; send nothing")


def run(options: argparse.Namespace) -> int:
    from ocrrl.hub.publication import publication
    from ocrrl.hub.upload import hub, upload

    api = hub()
    what = publication(options.path, options.to, options.card, api.endpoint)
    if options.dry_run:
        print(*what.files, sep=os.linesep)
        print(
            f"{len(what.files)} files, {what.size / 1e6:.1f} MB, for the {what.kind} {what.repository}; nothing was sent"
        )
        return 0
    print(upload(api, what, options.public, options.replace).url)
    return 0
