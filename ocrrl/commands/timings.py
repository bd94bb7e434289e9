"""`ocrrl timings`: what the stages that ran here took."""

import argparse

from ocrrl.lineage.run_record import timings_table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """None."""


def run(options: argparse.Namespace) -> int:
    print(timings_table())
    return 0
