"""Where a model came from, read from dvc.lock, .dvc files, DVC's cache and the run record, without DVC or Prefect."""

import sys
from os import PathLike
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ocrrl.lineage.lineage import Lineage


class _CallablePackage(ModuleType):
    """This package, which `ocrrl.lineage(path)` can call: importing it gives the name `ocrrl.lineage` to the package."""

    def __call__(self, path: str | PathLike[str], revision: str | None = None) -> "Lineage":
        """`lineage.lineage`."""
        from ocrrl.lineage.lineage import lineage

        return lineage(path, revision)


sys.modules[__name__].__class__ = _CallablePackage
