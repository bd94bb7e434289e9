"""The tabletop tasks, one file each; `registry.py` lists them, `parts/` is shared code."""
