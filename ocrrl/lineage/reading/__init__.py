"""What lies in the project: the files of DVC and git, hashes, and what a path of `data/` holds."""
