"""The shapes on the library's types are checked while the tests run: jaxtyping's import hook, with beartype.

Checked are the parameters and results of the functions, and the fields of the dataclasses, that name a shape: in each test the
first `CALLS` calls of each, since a check takes 20 microseconds and a training loop calls a hundred thousand times. Left out are
modules with compiled functions, which numba cannot compile with a check around them, and child processes, which import the
library without the hook. A test that passes a wrong shape on purpose bears the marker `wrong_shapes`.
"""

from collections.abc import Callable
from dataclasses import dataclass, is_dataclass
from functools import partial, wraps
from pathlib import Path
from typing import get_args

import jaxtyping
from beartype import beartype
from jaxtyping import AbstractArray, install_import_hook

LIBRARY = Path(__file__).parents[1] / "ocrrl"
CALLS = 4

_jaxtyped = jaxtyping.jaxtyped


@dataclass
class RunningTest:
    """The test that runs now."""

    number: int = 0
    is_checked: bool = True


_running = RunningTest()


def begin_test(is_checked: bool) -> None:
    """Count calls anew."""
    _running.number, _running.is_checked = _running.number + 1, is_checked


def check_shapes() -> None:
    """Check every module that is imported from here on."""
    jaxtyping.jaxtyped = lambda typechecker: partial(_with_shapes_checked, typechecker)  # what the hook decorates with
    install_import_hook(checked_modules(), f"{__name__}.checked")


def checked_modules() -> list[str]:
    """The names of the modules that are checked."""
    files = {path: path.read_text() for path in sorted(LIBRARY.rglob("*.py"))}
    return [
        ".".join(path.relative_to(LIBRARY.parent).with_suffix("").parts)
        for path, text in files.items()
        if "\nfrom jaxtyping import" in text and "\n@compiled" not in text
    ]


def checked[Function: Callable](function: Function) -> Function:
    """`function` with its shapes checked. Its other types are left to pyright, which knows protocols that cannot be checked here."""
    hints = function.__annotations__
    function.__annotations__ = {name: hint for name, hint in hints.items() if _names_a_shape(hint)}
    return beartype(function)


def _with_shapes_checked(typechecker: Callable, target: Callable) -> Callable:
    """The function or class `target`, the first calls in each test checked; itself where it names no shape."""
    if isinstance(target, type):
        if is_dataclass(target) and "__init__" in vars(target):
            target.__init__ = _with_shapes_checked(typechecker, target.__init__)
        return target
    if not any(map(_names_a_shape, target.__annotations__.values())):
        return target
    with_check, test, calls = _jaxtyped(target, typechecker=typechecker), 0, 0

    @wraps(target)
    def call(*args, **kwargs):
        nonlocal test, calls
        if test != _running.number:
            test, calls = _running.number, 0
        calls += 1
        return (with_check if _running.is_checked and calls <= CALLS else target)(*args, **kwargs)

    return call


def _names_a_shape(hint: object) -> bool:
    return (isinstance(hint, type) and issubclass(hint, AbstractArray)) or any(map(_names_a_shape, get_args(hint)))
