"""`ocrrl card`: a model card."""

import argparse
from pathlib import Path

from ocrrl.report.card import write_card


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", help="a model: data/models/vla_retrained")
    parser.add_argument("--out", type=Path, help="in place of data/cards/<name>.md")


def run(options: argparse.Namespace) -> int:
    print(write_card(options.path, options.out))
    return 0
