"""Object-centric residual reinforcement learning for vision-language-action policies.

The six calls for a script or a notebook (docs/notebook.md) are loaded when they are first used.
"""

import importlib
import os
import sys
from typing import TYPE_CHECKING

from ocrrl.front_door.gymnasium_ids import register_with_gymnasium

# Read when mujoco and Mesa are first loaded: off-screen rendering, in software by the thread that asks for an image; with a
# thread of its own (1) it is waited for, up to four times as long where every core is busy.
if sys.platform == "linux":
    os.environ.setdefault("MUJOCO_GL", "egl")
os.environ.setdefault("LP_NUM_THREADS", "0")

__all__ = ["evaluate", "lineage", "load_policy", "load_residual", "make_env", "train_residual"]

if TYPE_CHECKING:
    from ocrrl.front_door.calls import evaluate as evaluate
    from ocrrl.front_door.calls import load_policy as load_policy
    from ocrrl.front_door.calls import load_residual as load_residual
    from ocrrl.front_door.calls import make_env as make_env
    from ocrrl.front_door.calls import train_residual as train_residual
    from ocrrl.lineage.lineage import lineage as lineage
else:

    def __getattr__(name):
        if name == "lineage":  # the package of this name can be called
            return importlib.import_module("ocrrl.lineage")
        if name in __all__:
            return getattr(importlib.import_module("ocrrl.front_door.calls"), name)
        raise AttributeError(f"module 'ocrrl' has no attribute {name!r}; it offers {', '.join(__all__)}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


register_with_gymnasium()
