"""Object-centric residual reinforcement learning for vision-language-action policies."""

import os
import sys

# Read when mujoco and Mesa are first loaded: off-screen rendering, and one software-rendering thread a process.
if sys.platform == "linux":
    os.environ.setdefault("MUJOCO_GL", "egl")
os.environ.setdefault("LP_NUM_THREADS", "1")
