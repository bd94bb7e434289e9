"""`ocrrl timings`: prints the wall and CPU time of the stages that ran here."""

import argparse

from ocrrl.lineage.run_record import timings_table


def run(options: argparse.Namespace) -> int:
    print(timings_table())
    return 0
