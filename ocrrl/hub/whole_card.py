"""Whether a card says what must be said before anything is published: licence, cell, origin, content, limits."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ocrrl.hub.card import Subject
from ocrrl.hub.card_sections import HASHES, HOW_IT_WAS_MADE, LIMITS, NO_ROBOT, SOME_SIMULATED, simulated
from ocrrl.hub.dataset_card import EPISODES, STATISTICS
from ocrrl.hub.licence import Licence
from ocrrl.hub.model_card import RESULTS, TRAINING_DATA
from ocrrl.printable import one_line
from ocrrl.safe_yaml import parse_yaml

MOST_BYTES = 2_000_000
_COMMON = (HOW_IT_WAS_MADE, LIMITS, HASHES)


def read_whole_card(path: Path, subject: Subject) -> tuple[str, Licence]:
    """The text of the card of `subject` at `path`, and the licence that it names.

    FileNotFoundError where there is none, ValueError for one that is not whole; both say which command writes it.
    """
    write = f"`ocrrl card {subject.path} --license ID` writes it"
    if not path.is_file():
        raise FileNotFoundError(f"{path} must be the card of {subject.path}, got nothing there; {write}, then read it")
    content = path.read_bytes()
    try:
        text = content[: MOST_BYTES + 1].decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} must be UTF-8 text, got byte {content[error.start]:#04x}; {write}") from error
    if len(content) > MOST_BYTES:
        raise ValueError(f"{path} must have at most {MOST_BYTES} bytes, got {len(content)}; {write}")
    values, body = _parted(text, path, write)
    try:
        licence = Licence.of_card(values)
    except ValueError as error:
        raise ValueError(f"{path}: {error}; {write}") from error
    _require_this_version(values, path, subject, write)
    _require_cells(values, body, path, subject, write)
    wanted = (*((RESULTS, TRAINING_DATA) if subject.is_model else (STATISTICS, EPISODES)), *_COMMON)
    if missing := [heading for heading in wanted if not _section(body, heading)]:
        raise ValueError(
            f"{path} must have the sections {', '.join(wanted)}, got none or an empty {missing[0]}; {write}"
        )
    return text, licence


def _parted(text: str, path: Path, write: str) -> tuple[Mapping[str, Any], str]:
    parts = re.split(r"^---[ \t]*$", text, maxsplit=2, flags=re.MULTILINE)
    values = parse_yaml(parts[1], str(path)) if len(parts) == 3 and not parts[0].strip() else None
    if not isinstance(values, dict):
        raise ValueError(f"{path} must begin with front matter (YAML between two lines ---), got none; {write}")
    return values, parts[2]


def _require_this_version(values: Mapping[str, Any], path: Path, subject: Subject, write: str) -> None:
    now = subject.lineage.tree.top.hash
    if values.get("dvc_hash") != now:
        got = one_line(str(values.get("dvc_hash")))[:8]
        raise ValueError(
            f"{path}: dvc_hash must be that of {subject.path} ({now[:8]}), got {got}: it describes another version; {write} anew"
        )


def _require_cells(values: Mapping[str, Any], body: str, path: Path, subject: Subject, write: str) -> None:
    """Every cell that the lineage or the folder tells is named, and a simulated one is called so."""
    cells = subject.cells
    named = [part.strip() for part in str(values.get("cell") or "").split(",") if part.strip()]
    if not named:
        raise ValueError(f"{path}: cell must name where it comes from (twin, fr3, ...), got nothing; {write}")
    if missing := [cell for cell in cells if cell not in named]:
        raise ValueError(
            f"{path}: cell must name {', '.join(cells)}, got {', '.join(named)} without {missing[0]}; {write}"
        )
    no_robot = simulated(dict.fromkeys([*cells, *named]))
    if no_robot and not (NO_ROBOT in body or SOME_SIMULATED in body):
        raise ValueError(
            f"{path} must say that {', '.join(no_robot)} is simulated ({SOME_SIMULATED!r} or {NO_ROBOT!r}), got neither; {write}"
        )


def _section(body: str, heading: str) -> str:
    found = re.search(rf"^## {re.escape(heading)}[ \t]*\n(.*?)(?=^## |\Z)", body, flags=re.MULTILINE | re.DOTALL)
    return found[1].strip() if found else ""
