"""The registry of tabletop tasks. To add one to the package, write its file and add a line to `MODULES`.

A user's own task lies in a module of the project, outside the package: `register` names it by its slug. It does so in an
environment variable, so that child processes know the task too. A module is imported when its task is asked for.
"""

import importlib
import os
import re
import sys
from collections.abc import Mapping
from operator import attrgetter
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from ocrrl.interface.names import LONGEST_NAME, shown

if TYPE_CHECKING:
    from ocrrl.interface.tabletop_tasks import TabletopTask
    from ocrrl.tabletop.parts.object_shapes import ObjectShape
    from ocrrl.tabletop.parts.waypoints import WaypointPlan

MODULES: Mapping[str, str] = {
    "cube_lift": "ocrrl.tabletop.cube_lift",
    "pick_and_place": "ocrrl.tabletop.pick_and_place",
    "stack_cube": "ocrrl.tabletop.stack_cube",
    "close_drawer": "ocrrl.tabletop.close_drawer",
    "stand_cup_up": "ocrrl.tabletop.stand_cup_up",
}
"""The package's tabletop tasks: slug and module."""

USER_MODULES = "OCRRL_TABLETOP_MODULES"
"""Environment variable with the user's own: `push_puck=my_lab.push_puck,open_box=my_lab.open_box`."""

SLUG = re.compile(rf"(?!round\d)[a-z][a-z0-9_]{{0,{LONGEST_NAME - 1}}}")
RESERVED = ("multitask", "shared")  # stand where a slug would, in paths and in params.yaml
MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)
REQUIRED = (
    *("TASK", "Scene"),
    *(f"Scene.{name}" for name in ("task", "add_objects", "object_states", "initial_object_poses")),
    *("Scene.stage_rewards", "Scene.solved"),
)
PAGE = "docs/add_a_tabletop_task.md"


def slugs() -> tuple[str, ...]:
    """Every tabletop task that is known, the package's first."""
    return (*MODULES, *_user_modules())


def tabletop_task(slug: str) -> "TabletopTask":
    """The contract of the tabletop task `slug`; ValueError names the known ones."""
    return task_module(slug).TASK


def task_module(slug: str) -> ModuleType:
    """The module of the tabletop task `slug`: TASK, Scene, plan_demonstration, SHAPES, DISTRACTORS, HANDLED; the last four may lack.

    Raises ValueError for a slug that is not known, a module that cannot be found, lacks a member or holds another task.
    """
    from ocrrl.interface.tabletop_tasks import TabletopTask  # numpy: who looks up a file's place needs none

    name = module_name(slug)
    module = _imported(slug, name)
    for member in REQUIRED:
        _require(slug, module, member)
    if not isinstance(module.TASK, TabletopTask) or module.TASK.slug != slug:
        got = repr(module.TASK.slug) if isinstance(module.TASK, TabletopTask) else type(module.TASK).__name__
        raise ValueError(
            f"tabletop task {slug!r}: TASK in {name} must be a TabletopTask with this slug, got {got}; "
            "give it the name under which it is registered"
        )
    return module


def plan_demonstration(slug: str) -> "WaypointPlan":
    """The demonstrator of the tabletop task `slug`; ValueError where its module has none."""
    module = task_module(slug)
    _require(slug, module, "plan_demonstration")
    return module.plan_demonstration


def shapes_of(task: "TabletopTask") -> "dict[str, ObjectShape]":
    """The shapes of the task's tracked objects by name, in their order; ValueError where one has none."""
    module = task_module(task.slug)
    known = getattr(module, "SHAPES", {})
    if missing := [tracked.name for tracked in task.objects if tracked.name not in known]:
        raise ValueError(
            f"tabletop task {task.slug!r} needs the shape of {', '.join(missing)}: add it to SHAPES in {module.__name__}"
        )
    return {tracked.name: known[tracked.name] for tracked in task.objects}


def register(slug: str, module: str) -> None:
    """Make the user's `module` (dotted name) known as the tabletop task `slug`, in this process and in its children.

    Registering the same again changes nothing. Raises ValueError for a slug that is no name or is taken, and for a module
    that is no name.
    """
    if not isinstance(slug, str) or not SLUG.fullmatch(slug) or slug in RESERVED:
        raise ValueError(
            f"a tabletop task's slug must be 1 to {LONGEST_NAME} lower-case letters, digits or '_', begin with a letter, not "
            f"with round0, and be none of {', '.join(RESERVED)}, got {shown(slug)}; rename the task"
        )
    if not isinstance(module, str) or not MODULE.fullmatch(module):
        raise ValueError(
            f"tabletop task {slug!r}: module must be a dotted name such as my_lab.{slug}, got {shown(module)}; "
            f"a file my_lab/{slug}.py has the name my_lab.{slug}"
        )
    known = {**MODULES, **_user_modules()}
    if known.get(slug, module) != module:
        raise ValueError(
            f"tabletop task {slug!r}: the slug must not be taken, got one that {known[slug]} has; choose another for {module}"
        )
    if slug not in known:
        os.environ[USER_MODULES] = ",".join(f"{s}={m}" for s, m in (_user_modules() | {slug: module}).items())


def code_path(slug: str, project: Path = Path()) -> str:
    """The file, or the folder of a package, of the tabletop task `slug`, relative to the project's folder, for DVC.

    Nothing is imported. Raises ValueError for a user's module that does not lie in `project`.
    """
    name = module_name(slug)
    stem = name.replace(".", "/")
    if slug in MODULES or (project / f"{stem}.py").is_file():
        return f"{stem}.py"
    if (project / stem / "__init__.py").is_file():
        return stem
    raise ValueError(
        f"tabletop task {slug!r}: module {name} must lie in the project's folder, where DVC watches it, got no {stem}.py in "
        f"{project.resolve()}; write it ({PAGE}) or correct the module"
    )


def module_name(slug: str) -> str:
    """The dotted name of the module of the tabletop task `slug`; ValueError names the known tasks."""
    known = {**MODULES, **_user_modules()}
    if slug not in known:
        raise ValueError(f"tabletop task must be one of {', '.join(known)}, got {slug!r}")
    return known[slug]


def _user_modules() -> dict[str, str]:
    entries = filter(None, os.environ.get(USER_MODULES, "").split(","))
    return {slug: module for slug, _, module in (entry.partition("=") for entry in entries)}


def _imported(slug: str, name: str) -> ModuleType:
    if slug not in MODULES and (folder := str(Path.cwd())) not in sys.path:
        sys.path.append(folder)  # last, so that no file of a project takes an installed package's place
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise  # something that the task's file imports
        raise ValueError(
            f"tabletop task {slug!r}: module {name} must lie in the project's folder or be installed, got none in {Path.cwd()}; "
            f"write {name.replace('.', '/')}.py ({PAGE}) or correct the module"
        ) from error


def _require(slug: str, module: ModuleType, member: str) -> None:
    try:
        attrgetter(member)(module)
    except AttributeError as error:
        raise ValueError(
            f"tabletop task {slug!r}: {module.__name__} must have {member}, which is missing; {PAGE} says what it is"
        ) from error
