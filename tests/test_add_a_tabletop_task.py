"""A sixth tabletop task, added to a copy of the project by the steps that docs/add_a_tabletop_task.md tells."""

import importlib
import json
import shutil
import sys

import numpy as np
import pytest
import yaml

from ocrrl.interface import tabletop_tasks
from ocrrl.sim.environment import SimEnvironment
from ocrrl.sim.teleoperator import ScriptedTeleoperator
from tests.pipeline_copy import ROOT, copy_project, run
from tests.sixth_task.changes import CHANGES, CONTRACT, FILES, SCENE, Insertion, add_push_puck

PAGE = (ROOT / "docs" / "add_a_tabletop_task.md").read_text()
CODE = ("ocrrl/**/*.py", "ocrrl/presets/*", "tasks/*.py", "flows/*.py", "benchmarks/*.py", "*.yaml")
COMMANDS = ("dvc ", "ocrrl ")
OTHER_TESTS = (
    "tests/sim/test_tabletop_tasks.py::test_each_has_a_scene_and_a_name_of_its_own",
    "tests/sim/test_tabletop_tasks.py::test_the_demonstrator_succeeds_and_its_reward_rises[push_puck]",
    "tests/test_params.py::test_the_committed_params_are_the_default_preset",
    "tests/test_pipeline_names.py::test_a_multitask_stage_names_every_tabletop_task",
    "tests/test_pipeline_names.py::test_an_unknown_tabletop_task_is_refused_with_the_known_ones",
    "tests/flows/test_deployments.py::test_the_loop_its_parts_and_every_tabletop_task_have_a_deployment",
)


@pytest.fixture(scope="module")
def push_puck():
    """The toy scene's module, its contract beside the others'."""
    namespace = dict(vars(tabletop_tasks))
    exec(CONTRACT, namespace)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tabletop_tasks, "PUSH_PUCK", namespace["PUSH_PUCK"], raising=False)
        yield importlib.import_module("tests.sixth_task.push_puck")
        del sys.modules["tests.sixth_task.push_puck"]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = copy_project(tmp_path_factory.mktemp("six_tasks") / "project")
    for name in ("tests", "flows", "tasks"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("prefect.yaml", "pyproject.toml"):
        shutil.copy(ROOT / name, folder / name)
    add_push_puck(folder)
    return folder


def test_the_page_names_every_file_that_the_steps_touch():
    for file in FILES:
        assert file.replace("push_puck", "<slug>") in PAGE, f"the page lacks {file}"


def test_the_page_shows_what_the_steps_insert():
    for change in CHANGES:
        for line in change.text.splitlines() if isinstance(change, Insertion) else ():
            assert line.strip() in PAGE, f"the page lacks {line.strip()!r}, which goes into {change.file}"


def test_the_page_names_every_stage_that_lists_the_tabletop_tasks():
    for stage, body in yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"].items():
        if "stand_cup_up" in str(body):
            assert f"`{stage}`" in PAGE, f"the page lacks {stage}"


def test_what_the_page_shows_is_the_toy_task_s():
    kept = SCENE.read_text() + "".join(change.changed((ROOT / change.file).read_text()) for change in CHANGES)
    for line in (line.strip() for line in PAGE.splitlines() if line.startswith("    ")):
        assert line.startswith(COMMANDS) or line in kept, f"the toy task lacks {line!r}"


def test_the_page_names_every_file_that_lists_the_tabletop_tasks():
    for path in sorted({path for pattern in CODE for path in ROOT.glob(pattern)}):
        text, name = path.read_text(), path.relative_to(ROOT).as_posix()
        if all(task in text for task in tabletop_tasks.TABLETOP_TASKS):
            assert name in PAGE, f"{name} names every tabletop task, the page does not say what to do there"


def test_the_toy_task_s_demonstration_is_short_and_its_reward_rises(push_puck):
    n = 4
    scene = push_puck.PushPuck()
    world = SimEnvironment(scene, n)
    teleoperator = ScriptedTeleoperator(world, push_puck.plan_demonstration)
    ids, seeds = np.arange(n), list(range(n))
    world.reset(ids, seeds)
    teleoperator.reset(ids)
    rewards, crossed, solved = [], [], np.zeros(n, bool)
    for _ in range(80):
        acting = ids[~solved]
        if len(acting):
            solved[acting] = world.step(teleoperator.act(world.observe(), acting, world.capture), acting).success
        rewards.append(sum(scene.stage_rewards(world.true_state()).values()))
        crossed.append(scene.crossed(world.true_state()))
    reward, over = np.stack(rewards), np.stack(crossed)
    assert solved.all()
    assert (reward >= 0.0).all() and (reward <= 1.0).all() and (reward[-1] > 0.95).all()
    assert reward[~over].max() < reward[over].min(), "hovering must not pay more than finishing"


@pytest.mark.slow
def test_it_has_every_stage_that_cube_lift_has(project):
    run(project, "ocrrl", "params", "--preset", "smoke", "--tasks", "cube_lift", "push_puck")
    stages = set(run(project, "dvc", "stage", "list", "--name-only").stdout.split())
    of_cube_lift = {stage for stage in stages if "cube_lift" in stage}
    assert of_cube_lift
    assert {stage.replace("cube_lift", "push_puck") for stage in of_cube_lift} <= stages


@pytest.mark.slow
def test_its_demonstrations_are_recorded_ingested_and_replayed(project):
    run(project, "ocrrl", "params", "--preset", "smoke", "--tasks", "push_puck")
    run(project, "dvc", "repro", "replay@push_puck")
    replay = json.loads((project / "data/metrics/round0/replay/push_puck.json").read_text())
    assert replay["counts"]["kept"] >= 0.8 * replay["counts"]["episodes"]


@pytest.mark.slow
def test_the_project_s_own_tests_hold_with_it(project):
    run(project, "ocrrl", "params", "--preset", "default")
    run(project, "python", "-m", "pytest", *OTHER_TESTS)
