"""Repositories in a Hugging Face cache of the tests' own, as an air-gapped user makes them by hand."""

from pathlib import Path

import pytest

REVISION = "0" * 40


def empty_hub_cache(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let `folder` be the hub's cache in place of this user's, in this process and in its children."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder))
    monkeypatch.setenv("HF_HUB_CACHE", str(folder))
    return folder


def cached_repository(cache: Path, name: str) -> Path:
    """The folder for the files of the hub's repository `name` in `cache`."""
    repository = cache / f"models--{name.replace('/', '--')}"
    (repository / "refs").mkdir(parents=True, exist_ok=True)
    (repository / "refs/main").write_text(REVISION)
    snapshot = repository / "snapshots" / REVISION
    snapshot.mkdir(parents=True, exist_ok=True)
    return snapshot
