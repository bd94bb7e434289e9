"""The cameras that every world has, and the size of their pictures as a VLA sees them."""

CAMERA_SIZES: dict[str, tuple[int, int]] = {"front": (64, 64), "wrist": (64, 64)}
"""Height and width [pixels] by camera name."""
