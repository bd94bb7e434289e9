"""How many episodes have begun under each approval, on disk, so that a restart or a copied token begins no more.

One file an approval, `approvals/<nonce>.json`, written when the approval is issued and before each episode begins.
"""

import json
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from ocrrl import files
from ocrrl.file_lock import locked


def open_ledger(folder: Path, nonce: str, facts: dict[str, Any]) -> None:
    """Begin the count of the approval `nonce` at 0; `facts` (JSON) say whose it is."""
    with _only_writer(folder):
        files.write_json(ledger_file(folder, nonce), {**facts, "begun": 0})


def episodes_begun(folder: Path, nonce: str) -> int:
    """Episodes begun under `nonce`; FileNotFoundError where its count is not here."""
    return json.loads(ledger_file(folder, nonce).read_text())["begun"]


def count_episode(folder: Path, nonce: str, approved: int) -> bool:
    """Count one more episode, unless `approved` have begun: then False, and nothing is written."""
    with _only_writer(folder):
        path = ledger_file(folder, nonce)
        ledger = json.loads(path.read_text())
        if ledger["begun"] >= approved:
            return False
        files.write_json(path, {**ledger, "begun": ledger["begun"] + 1})
        return True


def ledger_file(folder: Path, nonce: str) -> Path:
    """Where the count of `nonce` lies in the work folder `folder`."""
    return folder / "approvals" / f"{nonce}.json"


def _only_writer(folder: Path) -> AbstractContextManager[None]:
    return locked(folder / "approvals" / ".lock")
