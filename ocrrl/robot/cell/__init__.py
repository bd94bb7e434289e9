"""A hardware cell: its file, cameras, tracker and environment."""
