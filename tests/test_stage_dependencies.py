"""A stage's dependencies in dvc.yaml cover the code that it imports, so that no result outlives the code it came from."""

import ast
import re
from pathlib import Path

import pytest

from tests.test_pipeline_names import ALL_STAGES, ROOT, entry

# What every command passes through: it finds the stage and its parameters, whose values DVC watches by themselves.
PLUMBING = {
    *("ocrrl/__init__.py", "ocrrl/params.py", "ocrrl/config_builder.py", "ocrrl/safe_yaml.py", "ocrrl/layout.py"),
    *("ocrrl/error_line.py", "ocrrl/printable.py", "ocrrl/surroundings.py", "ocrrl/rendering_faults.py"),
    "ocrrl/stages/__init__.py",
    "ocrrl/loggers/run_logger.py",  # watches a run, and changes nothing of it
    "ocrrl/tabletop/registry.py",  # says which file holds a tabletop task; the stage depends on that file
}
# Packages' own `__init__.py` hold a docstring or the choice of the rendering back end.
# `worlds` knows every scene; a stage names the ones it builds. The demonstrator is `record`'s alone.
ONLY_FOR = {
    "ocrrl/sim/teleoperator.py": {"record"},
    "ocrrl/residual/": {"train_residual", "evaluate", "rollout"},
    "ocrrl/robot/twin/": set(ALL_STAGES) - {"replay", "replay_rollouts", "train_residual"},
}


TASK_FILE = "ocrrl/tabletop/cube_lift.py"  # stands for every tabletop task's; the registry imports it by its slug
# A stage that uses a contract alone needs none of `ocrrl/tabletop/parts`.
USES_A_TASK = re.compile(r"\btask\.(instruction|objects|horizon|success_hold|home_joints)\b|ocrrl\.tabletop\.registry")


def modules_of(name: str) -> list[Path]:
    path = ROOT / Path(*name.split("."))
    return [p for p in (path.with_suffix(".py"), path / "__init__.py") if p.is_file()]


def imported_by(path: Path) -> set[Path]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            if name == "ocrrl" or name.startswith("ocrrl."):
                found.update(modules_of(name))
    return found


def closure(path: Path) -> set[str]:
    seen, waiting, uses_a_task = set(), [path], False
    while waiting:
        current = waiting.pop()
        name = current.relative_to(ROOT).as_posix()
        if name in seen or name in PLUMBING:
            continue
        seen.add(name)
        waiting += imported_by(current)
        uses_a_task |= not name.startswith("ocrrl/interface/") and bool(USES_A_TASK.search(current.read_text()))
        if name == "ocrrl/worlds.py":
            waiting.append(ROOT / TASK_FILE)
    return {name for name in (*seen, *[TASK_FILE] * uses_a_task) if not name.endswith("__init__.py")}


@pytest.mark.parametrize("stage", ALL_STAGES)
def test_a_stage_depends_on_all_the_code_it_imports(stage):
    declared = [dependency for dependency in entry(stage).deps if dependency.startswith("ocrrl/")]
    others = tuple(place for place, stages in ONLY_FOR.items() if stage not in stages)
    uncovered = {
        module
        for module in closure(ROOT / "ocrrl" / "stages" / f"{stage}.py")
        if not any(module == d or module.startswith(f"{d}/") for d in declared) and not module.startswith(others)
    }
    assert not uncovered, f"{stage} imports {sorted(uncovered)}, which its deps in dvc.yaml lack"
