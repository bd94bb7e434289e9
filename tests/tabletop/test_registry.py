"""Tabletop tasks are known by their slug: the package's from their list, a user's from a module of the project."""

import os
import subprocess
import sys
import textwrap

import pytest

from ocrrl.tabletop import registry
from ocrrl.tabletop.registry import MODULES, USER_MODULES, code_path, register, slugs, tabletop_task
from ocrrl.worlds import make_scene, make_teleoperator
from tests.pipeline_copy import ROOT

MODULE = """
from ocrrl.interface.tabletop_tasks import TabletopTask, TrackedObject

TASK = TabletopTask("{slug}", "open the box", (TrackedObject("box"),), 100)

class Scene:
    task = TASK
    def add_objects(self, spec): ...
    def object_states(self, model, num_envs): ...
    def initial_object_poses(self, generator): ...
    def stage_rewards(self, state): ...
    def solved(self, state): ...
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A user's folder without modules, which the process is in."""
    monkeypatch.setenv(USER_MODULES, "")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "my_lab").mkdir()
    yield tmp_path
    for name in [name for name in sys.modules if name.split(".")[0] == "my_lab"]:
        del sys.modules[name]


def write(project, name, text):
    (project / "my_lab" / f"{name}.py").write_text(text)
    register(name, f"my_lab.{name}")


def test_every_task_s_file_in_the_package_is_registered_and_no_other():
    files = {path.stem for path in (ROOT / "ocrrl" / "tabletop").glob("*.py")} - {"__init__", "registry"}
    assert files == set(MODULES)
    assert {slug: f"ocrrl.tabletop.{slug}" for slug in files} == MODULES


def test_a_contract_is_looked_up_without_the_simulator():
    code = """
        import sys
        from ocrrl.tabletop.registry import shapes_of, slugs, tabletop_task
        assert all(shapes_of(tabletop_task(slug)) for slug in slugs())
        heavy = {"mujoco", "torch", "scipy", "ocrrl.sim"} & set(sys.modules)
        assert not heavy, heavy
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True)


def test_a_module_of_the_project_is_known_here_and_in_child_processes(project):
    write(project, "open_box", MODULE.format(slug="open_box"))
    assert slugs() == (*MODULES, "open_box")
    assert tabletop_task("open_box").instruction == "open the box"
    code = "from ocrrl.tabletop.registry import tabletop_task; print(tabletop_task('open_box').horizon)"
    # -P: the folder is not on the path by itself, as with the `ocrrl` command
    child = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True)
    assert child.stdout == "100\n", child.stderr
    before = os.environ[USER_MODULES]
    register("open_box", "my_lab.open_box")
    assert os.environ[USER_MODULES] == before


def test_several_modules_of_the_project_are_known(project):
    for slug in ("open_box", "shut_box"):
        write(project, slug, MODULE.format(slug=slug))
    assert slugs() == (*MODULES, "open_box", "shut_box")
    assert make_scene("shut_box").task.slug == "shut_box"


def test_an_installed_package_comes_before_a_file_of_the_project(project):
    (project / "numpy.py").write_text("raise RuntimeError")
    write(project, "open_box", MODULE.format(slug="open_box"))
    tabletop_task("open_box")
    assert sys.path[-1] == str(project)


@pytest.mark.parametrize("slug", ["Open-Box", "open-box", "", "2_boxes", "round1", "multitask", "shared", "a" * 81, 7])
def test_a_slug_that_is_no_name_is_refused(project, slug):
    with pytest.raises(ValueError, match=r"slug must be 1 to 80 lower-case .* got .*; rename the task$"):
        register(slug, "my_lab.open_box")


@pytest.mark.parametrize("module", ["my_lab/open_box.py", "my lab", "", ".open_box", None])
def test_a_module_that_is_no_dotted_name_is_refused(project, module):
    with pytest.raises(ValueError, match=r"'open_box': module must be a dotted name such as my_lab.open_box, got"):
        register("open_box", module)


def test_a_slug_that_is_taken_is_refused(project):
    with pytest.raises(ValueError, match=r"got one that ocrrl.tabletop.cube_lift has; choose another for my_lab.mine"):
        register("cube_lift", "my_lab.mine")
    register("open_box", "my_lab.open_box")
    with pytest.raises(ValueError, match=r"got one that my_lab.open_box has"):
        register("open_box", "my_lab.other")


@pytest.mark.parametrize("module", ["my_lab.open_box", "nowhere.open_box"])
def test_a_module_that_is_missing_is_named_with_the_file_to_write(project, module):
    register("open_box", module)
    file = f"{module.replace('.', '/')}.py"
    with pytest.raises(ValueError, match=rf"module {module} must lie in the project's folder .* write {file}"):
        tabletop_task("open_box")


def test_what_a_task_s_own_file_fails_to_import_is_not_taken_for_the_file(project):
    write(project, "open_box", "import my_lab_tools")
    with pytest.raises(ModuleNotFoundError, match="my_lab_tools"):
        tabletop_task("open_box")


@pytest.mark.parametrize("member", ["TASK", "Scene", "Scene.task", "Scene.stage_rewards", "Scene.solved"])
def test_a_member_that_is_missing_is_named(project, member):
    write(project, "open_box", MODULE.format(slug="open_box") + f"\ndel {member}\n")
    with pytest.raises(
        ValueError, match=rf"'open_box': my_lab.open_box must have {member}, which is missing; docs/add"
    ):
        tabletop_task("open_box")


def test_a_demonstrator_is_asked_for_where_one_is_needed(project):
    write(project, "open_box", MODULE.format(slug="open_box"))
    with pytest.raises(ValueError, match=r"my_lab.open_box must have plan_demonstration, which is missing"):
        make_teleoperator("open_box", None)


@pytest.mark.parametrize(("task", "got"), [("TASK = 'open_box'", "str"), (None, "'close_box'")])
def test_a_contract_of_another_task_is_refused(project, task, got):
    write(project, "open_box", MODULE.format(slug="close_box") + (task or ""))
    with pytest.raises(ValueError, match=rf"must be a TabletopTask with this slug, got {got}; give it the name"):
        tabletop_task("open_box")


def test_an_unknown_task_is_refused_with_the_known_ones(project):
    register("open_box", "my_lab.open_box")
    with pytest.raises(ValueError, match=r"must be one of cube_lift, .*, open_box, got 'juggle'$"):
        tabletop_task("juggle")


def test_the_file_that_dvc_watches_follows_from_the_module(project):
    write(project, "open_box", "raise RuntimeError('not imported')")
    (project / "my_lab" / "shut_box").mkdir()
    (project / "my_lab" / "shut_box" / "__init__.py").touch()
    register("shut_box", "my_lab.shut_box")
    assert code_path("cube_lift") == "ocrrl/tabletop/cube_lift.py"
    assert code_path("open_box") == "my_lab/open_box.py"
    assert code_path("shut_box", project) == "my_lab/shut_box"
    register("elsewhere", "installed.elsewhere")
    with pytest.raises(
        ValueError, match=r"module installed.elsewhere must lie in .* got no installed/elsewhere.py in "
    ):
        code_path("elsewhere")


def test_the_members_that_are_required_are_the_scene_s_protocol():
    from ocrrl.tabletop.parts.scene import TabletopScene

    methods = {f"Scene.{name}" for name in vars(TabletopScene) if name[0] != "_"}
    assert methods | {"TASK", "Scene", "Scene.task"} == set(registry.REQUIRED)
