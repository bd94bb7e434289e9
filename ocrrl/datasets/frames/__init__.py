"""The pictures of a dataset: decoded one by one, kept on disk, read by number."""
