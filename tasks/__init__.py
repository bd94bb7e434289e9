"""Prefect tasks: each runs one stage of dvc.yaml as a child process, through `ocrrl`'s command line only."""
