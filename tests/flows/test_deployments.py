"""prefect.yaml and prefect.toml agree with the flows, with params.yaml, and with what is promised of them."""

import ast
import importlib
import tomllib

import pytest
import yaml
from prefect import Flow

from flows import evaluate, parts, rollout
from flows.access import PROFILES
from flows.set_up import with_tabletop_tasks
from ocrrl.commands.stages import MULTITASK_STAGES, STAGES
from tasks.graph import Selection
from tests.pipeline_copy import ROOT

DEPLOYMENTS = with_tabletop_tasks(ROOT)["deployments"]
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text())
PARTS = (*parts.STAGES, "rollout", "evaluate")


def loaded(deployment) -> Flow:
    path, name = deployment["entrypoint"].split(":")
    return getattr(importlib.import_module(path.removesuffix(".py").replace("/", ".")), name)


def names():
    return {f"{loaded(deployment).name}/{deployment['name']}" for deployment in DEPLOYMENTS}


def test_the_loop_its_parts_and_every_tabletop_task_have_a_deployment():
    tasks = {f"self-improve/{task.replace('_', '-')}" for task in PARAMS["tabletop_tasks"]}
    assert names() == {
        "self-improve/full",
        *tasks,
        *(f"{part}/full" for part in PARTS),
        "stage/cpu",
        "stage/gpu",
        "stage/robot",
    }


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda d: f"{d['entrypoint']}-{d['name']}")
def test_a_deployment_s_parameters_are_its_flow_s_and_its_version_is_the_revision(deployment):
    properties = loaded(deployment).parameters.properties
    assert set(deployment.get("parameters", {})) <= set(properties)
    assert "revision" in deployment["version"] and "revision" in deployment["tags"][0]


def test_the_parts_cover_every_stage_of_dvc_yaml():
    covered = [kind for stages in (*parts.STAGES.values(), rollout.STAGES, evaluate.STAGES) for kind in stages]
    assert sorted(covered) == sorted((*STAGES, *MULTITASK_STAGES))


def test_each_part_says_what_it_does_and_runs_its_stages(monkeypatch):
    for name, stages in parts.STAGES.items():
        chosen = []
        monkeypatch.setattr(parts, "run_stages", chosen.append)
        part = getattr(parts, name)
        assert part.name == name and all(f"`{stage}`" in part.description for stage in stages)
        part.fn(["cube_lift"], ["round0"])
        assert chosen == [Selection((), stages, ("cube_lift",), ("round0",))]


@pytest.mark.parametrize("path", sorted((ROOT / "flows").glob("*.py")), ids=lambda path: path.name)
def test_a_flow_is_one_screen_and_knows_neither_the_library_nor_dvc(path):
    assert len(path.read_text().splitlines()) < 120
    for node in ast.walk(ast.parse(path.read_text())):
        modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        assert not {module.split(".")[0] for module in modules} & {"ocrrl", "dvc", "torch", "mujoco"}


def test_servers_listen_on_this_machine_and_nothing_is_reported_to_anyone():
    settings = tomllib.loads((ROOT / "prefect.toml").read_text())
    assert settings["server"]["api"]["host"] == "127.0.0.1" and settings["api"]["url"].startswith("http://127.0.0.1:")
    assert settings["server"]["analytics_enabled"] is False
    assert settings["telemetry"]["enable_resource_metrics"] is False
    assert settings["profiles_path"] == str(PROFILES) and "/.work/" in (ROOT / ".gitignore").read_text().splitlines()
    assert "auth_string" not in str(settings), "the profile holds it, which is in no commit"
    assert "analytics = false" in (ROOT / ".dvc" / "config").read_text()
