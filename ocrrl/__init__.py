"""Object-centric residual reinforcement learning for vision-language-action policies."""

import os
import sys

# Read when mujoco and Mesa are first loaded: off-screen rendering, in software by the thread that asks for a picture; with a
# thread of its own (1) it is waited for, up to four times as long where every core is busy.
if sys.platform == "linux":
    os.environ.setdefault("MUJOCO_GL", "egl")
os.environ.setdefault("LP_NUM_THREADS", "0")
