"""The cameras of every environment, and the image size of the VLA."""

CAMERA_SIZES: dict[str, tuple[int, int]] = {"front": (64, 64), "wrist": (64, 64)}
"""Height and width [pixels] by camera name."""
