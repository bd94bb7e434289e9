"""Where a model came from, read from dvc.lock, .dvc files, DVC's cache and the run record; no engine is imported."""
