"""A mapping suggested for recordings that nobody has described yet."""
