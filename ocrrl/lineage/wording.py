"""Text of hashes, sizes, parameters and runs, for text, tables and drawings."""

import json
from collections.abc import Mapping
from typing import Any

from ocrrl.lineage.run_record import RunRecord
from ocrrl.printable import one_line


def short(value: str | None) -> str:
    """The first eight hex digits of a hash; "unknown" for none."""
    return value[:8] if value else "unknown"


def human_size(size: int | None) -> str:
    """Bytes as B, kB, MB or GB (powers of 1000)."""
    if size is None:
        return "size unknown"
    amount, units = float(size), ["B", "kB", "MB", "GB"]
    while amount >= 999.5 and len(units) > 1:
        amount, units = amount / 1000, units[1:]
    return f"{amount:.0f} {units[0]}" if units[0] == "B" or amount >= 99.5 else f"{amount:.1f} {units[0]}"


def size_and_files(size: int | None, files: int | None) -> str:
    """`1.4 MB in 8 files`, or the size alone for a file."""
    if files is None:
        return human_size(size)
    count = f"{files} file" + ("" if files == 1 else "s")
    return count if size is None else f"{human_size(size)} in {count}"


def value_text(value: Any) -> str:
    """A parameter's value: words as they are, the rest as JSON."""
    return value if isinstance(value, str) else json.dumps(value)


def params_by_section(params: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Dotted names by section and key: {"retrain.shared": {"policy.type": ..., "steps": ...}, "retrain.cube_lift": ...}."""
    sections: dict[str, dict[str, Any]] = {}
    for name, value in params.items():
        words = name.split(".")
        cut = min(2, len(words) - 1)
        sections.setdefault(".".join(words[:cut]), {})[".".join(words[cut:])] = value
    return sections


def run_text(run: RunRecord | None, with_host: bool = True) -> str:
    """One line on the run that made a stage's outs."""
    if run is None:
        return "run record: none here"
    where = f" on {run.host}" if with_host else ""
    parts = [f"ran {run.started[:16].replace('T', ' ')} UTC{where}, {run.wall_s:.0f} s"]
    if run.revision is None:
        parts.append("no git revision")
    else:
        modified = f" with {', '.join(run.modified)} modified" if run.modified else ""
        parts.append(f"revision {run.revision[:8]}{modified}")
    if run.flow_run or run.flow_run_name:
        deployment = f" of {run.deployment}" if run.deployment else ""
        parts.append(f"flow run {run.flow_run_name or run.flow_run}{deployment}")
    else:
        parts.append("no flow run")
    return "; ".join(parts)


def table(rows: list[list[str]], heading: list[str]) -> list[str]:
    """`rows` under `heading` in aligned columns, a line each whatever a cell holds."""
    rows = [[one_line(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in [heading, *rows]) for column in range(len(heading))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in [heading, *rows]
    ]
