"""`ocrrl card`: writes the card of a model or a dataset."""

import argparse
from pathlib import Path

from ocrrl.hub.card import write_card
from ocrrl.hub.licence import Licence


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "path", help="a model or a dataset: data/models/vla_retrained, data/dataset_real/round0/cube_lift"
    )
    parser.add_argument("--out", type=Path, help="instead of data/cards/<name>.md")
    parser.add_argument(
        "--license", help="a hub's identifier: apache-2.0, cc-by-4.0, ..., other; `ocrrl push` asks for one"
    )
    parser.add_argument("--license-name", default="", help="with --license other")
    parser.add_argument("--license-link", default="", help="with --license other")


def run(options: argparse.Namespace) -> int:
    if (options.license_name or options.license_link) and not options.license:
        raise ValueError("--license must be given with --license-name and --license-link, got none: --license other")
    licence = Licence(options.license, options.license_name, options.license_link) if options.license else None
    print(write_card(options.path, options.out, licence))
    return 0
