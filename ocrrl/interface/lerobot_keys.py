"""LeRobot's names of what a VLA is given and gives, in datasets and in checkpoints."""

IMAGE_PREFIX = "observation.images."
"""Before a camera's name."""
STATE_KEY = "observation.state"
ACTION_KEY = "action"
