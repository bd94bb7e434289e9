"""A sixth tabletop task, added by the steps of docs/add_a_tabletop_task.md: in the package, and as a user's own module."""

import json
import multiprocessing
import shutil

import numpy as np
import pytest
import yaml

from ocrrl.episodes.episode_store import read_episode
from ocrrl.rollouts.record import RecordConfig, record_episodes
from ocrrl.tabletop.registry import USER_MODULES, register, shapes_of, tabletop_task
from ocrrl.worlds import make_environment, make_simulator, make_teleoperator, make_twin
from tests.pipeline_copy import ROOT, copy_project, run

PAGE = (ROOT / "docs" / "add_a_tabletop_task.md").read_text()
TASK_FILE = ROOT / "tests" / "sixth_task" / "push_puck.py"
LINE = '    "push_puck": "ocrrl.tabletop.push_puck",\n'
NOT_OF_THE_FILE = ("dvc ", "ocrrl ", LINE.strip(), "push_puck: {")
OTHER_TESTS = (
    "tests/tabletop/test_registry.py",
    "tests/tabletop/test_tabletop_tasks.py::test_each_has_an_instruction_of_its_own_and_a_name_in_gymnasium",
    "tests/tabletop/test_tabletop_tasks.py::test_the_demonstrator_succeeds_and_its_reward_rises[push_puck]",
    "tests/tabletop/test_object_shapes.py::test_rays_meet_the_shape_where_they_meet_the_simulator_s_geoms[push_puck-puck]",
    "tests/test_pipeline_names.py::test_an_unknown_tabletop_task_is_refused_with_the_known_ones",
)


@pytest.fixture
def own_module(monkeypatch):
    """`push_puck` registered as a user's module, outside the package."""
    monkeypatch.setenv(USER_MODULES, "")
    register("push_puck", "tests.sixth_task.push_puck")


def test_what_the_page_shows_is_the_toy_task_s():
    kept = TASK_FILE.read_text()
    for line in (line.strip() for line in PAGE.splitlines() if line.startswith("    ")):
        assert line.startswith(NOT_OF_THE_FILE) or line in kept, f"the toy task lacks {line!r}"


def test_the_line_that_the_page_shows_is_like_those_of_the_registry():
    assert LINE.strip() in PAGE
    assert LINE.replace("push_puck", "cube_lift") in (ROOT / "ocrrl" / "tabletop" / "registry.py").read_text()


def test_no_other_file_lists_the_tabletop_tasks():
    """Left are the paper's numbers, DVC's graph and the parameters."""
    named = ["cube_lift", "pick_and_place", "stack_cube", "close_drawer", "stand_cup_up"]
    code = [path for folder in ("ocrrl", "tasks", "flows", "benchmarks") for path in (ROOT / folder).rglob("*.py")]
    listing = {path.relative_to(ROOT).as_posix() for path in code if all(slug in path.read_text() for slug in named)}
    assert listing == {"ocrrl/tabletop/registry.py", "ocrrl/report/paper_results.py"}


def test_hovering_does_not_pay_more_than_finishing(own_module):
    n = 4
    world = make_simulator("push_puck", n)
    teleoperator, scene = make_teleoperator("push_puck", world), world.scene
    ids, seeds = np.arange(n), list(range(n))
    world.reset(ids, seeds)
    teleoperator.reset(ids, seeds)
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
    assert reward[~over].max() < reward[over].min()


@pytest.mark.renders
def test_a_module_of_one_s_own_is_recorded_in_the_twin(own_module, tmp_path):
    cell = make_twin("push_puck", 2)
    config = RecordConfig(episodes=2, max_attempts=4)
    record_episodes(cell, make_teleoperator("push_puck", cell), tmp_path, list(range(4)), config)
    episode = read_episode(tmp_path / "episode_000000.h5")
    assert episode.attributes.success and episode.attributes.tabletop_task == "push_puck"
    assert episode.attributes.instruction == tabletop_task("push_puck").instruction
    assert list(episode.attributes.object_names) == list(shapes_of(tabletop_task("push_puck"))) == ["puck"]


def test_a_module_of_one_s_own_is_known_in_a_spawned_process(own_module):
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        start = pool.apply(_start_in_a_child, ("push_puck",))
    world = make_environment("sim", "push_puck", 1)
    world.reset(np.arange(1), [3])
    np.testing.assert_array_equal(start, world.true_state().object_poses)


def _start_in_a_child(slug: str) -> np.ndarray:
    world = make_environment("sim", slug, 1)
    world.reset(np.arange(1), [3])
    return world.true_state().object_poses


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of the project with the task in the package: one file and one line."""
    folder = copy_project(tmp_path_factory.mktemp("six_tasks") / "project")
    for name in ("tests", "docs"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    shutil.copy(TASK_FILE, folder / "ocrrl" / "tabletop")
    registry = folder / "ocrrl" / "tabletop" / "registry.py"
    last = LINE.replace("push_puck", "stand_cup_up")
    registry.write_text(registry.read_text().replace(last, last + LINE))
    return folder


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
    replay = json.loads((project / "data/metrics/replay/round0/push_puck.json").read_text())
    assert replay["counts"]["kept"] >= 0.8 * replay["counts"]["episodes"]


@pytest.mark.long
@pytest.mark.slow
def test_a_module_of_one_s_own_goes_through_the_whole_loop(tmp_path):
    folder = copy_project(tmp_path / "own")
    (folder / "my_lab").mkdir()
    shutil.copy(TASK_FILE, folder / "my_lab")
    run(folder, "ocrrl", "params", "--preset", "smoke", "--tasks", "cube_lift", "push_puck=my_lab.push_puck")
    graph = yaml.safe_load((folder / "graph.yaml").read_text())
    assert graph["loops"]["push_puck"]["code"] == graph["own_tasks"] == "my_lab/push_puck.py"
    run(folder, "ocrrl", "params", "--preset", "smoke", "--tasks", "push_puck")  # the module was named before
    run(folder, "dvc", "repro")
    assert "up to date" in run(folder, "dvc", "status").stdout
    text = run(folder, "ocrrl", "lineage", "data/models/vla_retrained", "--format", "json").stdout
    assert "data/episodes/push_puck/recorded/episode_000000.h5" in text and "my_lab/push_puck.py" in text
    (folder / "my_lab/push_puck.py").open("a").write("\n")
    changed = json.loads(run(folder, "dvc", "status", "--json").stdout)
    assert {"record@push_puck", "train_residual@push_puck-0", "evaluate_multitask@round0"} <= set(changed)


@pytest.mark.slow
def test_the_project_s_own_tests_hold_with_it(project):
    run(project, "python", "-m", "pytest", *OTHER_TESTS)
