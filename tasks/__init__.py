"""Prefect tasks: each runs one stage of dvc.yaml as a child process. They know `ocrrl` by its command line only."""
