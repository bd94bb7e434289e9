"""The Gymnasium ids of the tabletop tasks: `ocrrl/CubeLift-v0` and its neighbours.

Gymnasium 1.x does not look for entry points of installed packages, and `import ocrrl` does not load Gymnasium (0.2 s). So the
ids are registered at the moment when both are loaded, in either order.
"""

import importlib.util
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.abc import Loader, MetaPathFinder
else:
    Loader = MetaPathFinder = object  # importlib.abc takes 40 ms to load, and `import ocrrl` is to be quick

NAMESPACE = "ocrrl"


def register_with_gymnasium() -> None:
    """Register the ids now if Gymnasium is loaded, otherwise as soon as it has been."""
    if "gymnasium" in sys.modules:
        register_ids()
    elif not any(isinstance(finder, _GymnasiumFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _GymnasiumFinder())


def register_ids() -> None:
    """Register each of the package's tabletop tasks that is not registered yet; `gymnasium.make` loads the simulator."""
    from gymnasium.envs.registration import register, registry

    from ocrrl.tabletop.registry import MODULES, tabletop_task

    for slug in MODULES:
        name = gymnasium_id(slug)
        if name not in registry:
            register(
                id=name,
                entry_point="ocrrl.front_door.gymnasium_env:TabletopEnv",
                vector_entry_point="ocrrl.front_door.gymnasium_env:TabletopVectorEnv",
                max_episode_steps=tabletop_task(slug).horizon,
                kwargs={"task": slug},
            )


def gymnasium_id(slug: str) -> str:
    """`cube_lift` is `ocrrl/CubeLift-v0`."""
    return f"{NAMESPACE}/{slug.title().replace('_', '')}-v0"


class _GymnasiumFinder(MetaPathFinder):
    """Finds Gymnasium where it lies, and has the ids registered once its own code has run."""

    def __init__(self) -> None:
        self._searching = False

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != "gymnasium" or self._searching:
            return None
        self._searching = True
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            self._searching = False
        if spec is not None and spec.loader is not None:
            spec.loader = _RegisteringLoader(spec.loader, self)
        return spec


class _RegisteringLoader(Loader):
    """Loads a module with its own loader, then registers the ids; nothing of it stays in the module."""

    def __init__(self, loader: Loader, finder: _GymnasiumFinder) -> None:
        self._loader, self._finder = loader, finder

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        if self._finder in sys.meta_path:
            sys.meta_path.remove(self._finder)
        register_ids()
