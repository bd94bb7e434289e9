"""Serves a checkpoint to other machines: `ocrrl serve-vla`."""
