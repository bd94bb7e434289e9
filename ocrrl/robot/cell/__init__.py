"""One hardware cell: its file, its cameras, its tracker, and the environment that they make with the arm."""
