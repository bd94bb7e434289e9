"""Files that appear whole or not at all, and the same bytes for the same content."""

import hashlib
import json
import math
import os
import shutil
from pathlib import Path
from typing import Any


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path` so that a crash leaves the old file or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as JSON with sorted keys, whole or not at all; a NaN or infinity becomes null."""
    text = json.dumps(_without_nan(value), indent=2, sort_keys=True, allow_nan=False)
    write_bytes(path, (text + "\n").encode())


def publish(work: Path, out: Path) -> None:
    """Move the finished folder `work` to `out`, replacing what is there; both are on the same file system."""
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.is_dir():
        shutil.rmtree(out)
    elif out.exists():
        out.unlink()
    work.replace(out)


def fresh_folder(folder: Path) -> Path:
    """`folder`, empty, whatever it held before."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def fingerprint(*parts: Any) -> str:
    """Sixteen hex digits over `parts`: paths count by their files' names and contents, the rest by its repr."""
    digest = hashlib.sha256()
    for part in parts:
        if not isinstance(part, Path):
            digest.update(repr(part).encode())
            continue
        files = sorted(f for f in part.rglob("*") if f.is_file()) if part.is_dir() else [part]
        for file in files:
            digest.update((file.name if file == part else str(file.relative_to(part))).encode())
            with file.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()[:16]


def code_fingerprint() -> str:
    """Fingerprint of the library's source, so that no work of older code is gone on with."""
    return fingerprint(*sorted(Path(__file__).parent.rglob("*.py")))


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
