"""Array operations for both numpy and torch, where the critic needs gradients."""

import sys
from types import ModuleType
from typing import Any


def array_namespace(array: Any) -> ModuleType:
    """The module (`numpy` or `torch`) whose functions act on `array`; torch is never imported for a numpy array."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(array, torch.Tensor):
        return torch
    import numpy

    return numpy
