"""`ocrrl sbom`: lists the installed packages as CycloneDX."""

import argparse

from ocrrl.lineage.environment import write_environment


def run(options: argparse.Namespace) -> int:
    print(write_environment())
    return 0
