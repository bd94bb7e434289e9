"""Exports by the command line, as a user makes them."""

import argparse
from pathlib import Path

from ocrrl.commands import export


def exported(source: Path | str, out: Path, *words: str) -> Path:
    """`ocrrl export source --format lerobot_v21 --out out ...`; what goes wrong is raised."""
    parser = argparse.ArgumentParser()
    export.add_arguments(parser)
    assert export.run(parser.parse_args([str(source), "--format", "lerobot_v21", "--out", str(out), *words])) == 0
    return out
