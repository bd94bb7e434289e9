"""`ocrrl unlock`: say which variant each episode of a blind session was; a session that is not decided ends by it."""

import argparse
import time
from datetime import UTC, datetime
from pathlib import Path

from ocrrl.extras import require_extra


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "session", type=Path, help="folder of a session of `ocrrl evaluate --until decided`, under data/sessions"
    )
    parser.add_argument("--early", action="store_true", help="end a session that is not decided; it stays undecided")


def run(options: argparse.Namespace) -> int:
    require_extra("train")
    from ocrrl.sessions.sequential_session import begun_session
    from ocrrl.stages.running import files_reserved

    with files_reserved(f"unlocking {options.session.name}", writes=[options.session]):
        now = f"{datetime.fromtimestamp(time.time(), UTC):%Y-%m-%dT%H:%M:%SZ}"
        begun_session(options.session).unlock(now, options.early)
    print(f"Next: dvc add {options.session}")
    return 0
