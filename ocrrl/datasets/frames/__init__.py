"""Video frames of a dataset: decoded once, kept on disk, read by number."""
