"""Repositories in a Hugging Face cache of the tests' own, as an air-gapped user makes them by hand."""

from pathlib import Path

REVISION = "0" * 40


def cached_repository(cache: Path, name: str) -> Path:
    """The folder for the files of the hub's repository `name` in `cache`."""
    repository = cache / f"models--{name.replace('/', '--')}"
    (repository / "refs").mkdir(parents=True, exist_ok=True)
    (repository / "refs/main").write_text(REVISION)
    snapshot = repository / "snapshots" / REVISION
    snapshot.mkdir(parents=True, exist_ok=True)
    return snapshot
