"""Shared code of tabletop tasks. Nothing here loads MuJoCo before a scene is built."""
