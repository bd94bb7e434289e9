"""One name everywhere: a stage's entry in dvc.yaml, its params.yaml section, its command and its module."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from ocrrl.cli import MULTITASK_STAGES, STAGES, _parser
from ocrrl.layout import MULTITASK, PUBLISHED_VLA, Layout
from ocrrl.params import CONFIGS, MULTITASK_CONFIGS
from ocrrl.tabletop.registry import slugs

ROOT = Path(__file__).parents[1]
PIPELINE = yaml.safe_load((ROOT / "dvc.yaml").read_text())
LAYOUT, TOGETHER = Layout("cube_lift"), Layout(MULTITASK)
NEXT, NEXT_TOGETHER = Layout("cube_lift", "round1"), Layout(MULTITASK, "round1")
ALL_STAGES = (*STAGES, *MULTITASK_STAGES)
LATER = ("replay_rollouts", "promote", "finetune_multitask")  # of later rounds only

OUTPUTS = {
    "record": [LAYOUT.recorded_episodes],
    "ingest": [LAYOUT.dataset("real"), LAYOUT.normalised_episodes, LAYOUT.ingest_report],
    "replay": [LAYOUT.dataset("sim"), LAYOUT.replay_transitions, LAYOUT.replay_report],
    "finetune": [LAYOUT.vla("sim")],
    "train_residual": [LAYOUT.residual(0)],
    "evaluate": [LAYOUT.evaluation_episodes(0), LAYOUT.evaluation(0)],
    "rollout": [LAYOUT.rollouts("corrected"), LAYOUT.rollout_report("corrected")],
    "rollout_base": [LAYOUT.rollouts("base"), LAYOUT.rollout_report("base")],
    "training_set": [LAYOUT.training_set("retrained"), LAYOUT.training_set("base_rollouts")],
    "retrain": [LAYOUT.vla("retrained"), LAYOUT.vla("demonstrations_only"), LAYOUT.vla("base_rollouts")],
    "evaluate_retrained": [LAYOUT.retrained_evaluation],
    "report": [LAYOUT.report],
    "retrain_multitask": [TOGETHER.vla(arm) for arm in ("retrained", "demonstrations_only", "base_rollouts")],
    "evaluate_multitask": [TOGETHER.retrained_evaluation],
    "publish": [PUBLISHED_VLA],
    "report_multitask": [TOGETHER.report],
    "replay_rollouts": [NEXT.dataset("sim"), NEXT.replay_transitions, NEXT.replay_report],
    "finetune_multitask": [NEXT_TOGETHER.vla("sim")],
    "promote": [NEXT.vla("sim"), NEXT.vla("real"), NEXT.promotion],
}


def entry(stage: str) -> dict:
    """The stage's body for cube_lift, with its template filled in."""
    body = PIPELINE["stages"][stage]
    text = yaml.safe_dump(body.get("do", body))
    for key, value in {
        "${key}": "cube_lift",
        "${item.task}": "cube_lift",
        "${item.domain}": "sim",
        "${item.seed}": "0",
        "${item.round}": "round1" if stage in LATER else "round0",
        "${item.previous}": "round0",
        "${item}": "round1" if stage in LATER else "round0",
        "${round}": "round0",
        "${last_round}": "round0",
        "${item.episodes}": "data/episodes/cube_lift/recorded",
    }.items():
        text = text.replace(key, value)
    return yaml.safe_load(text)


def test_every_stage_has_a_command_a_module_and_a_section():
    assert set(PIPELINE["stages"]) == set(ALL_STAGES)
    for stage in ALL_STAGES:
        assert (ROOT / "ocrrl" / "stages" / f"{stage}.py").is_file()
    assert set(CONFIGS) == set(STAGES) - {"report", "replay_rollouts"}
    assert set(MULTITASK_CONFIGS) == set(MULTITASK_STAGES) - {"publish", "finetune_multitask", "report_multitask"}


@pytest.mark.parametrize("stage", ("retrain_multitask", "evaluate_multitask", "finetune_multitask", "report_multitask"))
def test_a_multitask_stage_names_every_tabletop_task(stage):
    dependencies = entry(stage)["deps"]
    of_cube_lift = [dependency for dependency in dependencies if "cube_lift" in dependency]
    assert of_cube_lift
    for task in slugs():
        assert {dependency.replace("cube_lift", task) for dependency in of_cube_lift} <= set(dependencies)


@pytest.mark.parametrize("stage", ALL_STAGES)
def test_a_stage_s_command_parses_and_its_outputs_lie_where_the_layout_says(stage):
    body = entry(stage)
    check, command = body["cmd"]
    assert check == "ocrrl check_names"
    program, *arguments = command.split()
    assert program == "ocrrl"
    assert _parser().parse_args(arguments).command == stage
    outputs = [*body.get("outs", []), *body.get("metrics", [])]
    assert sorted(outputs) == sorted(str(path) for path in OUTPUTS[stage])


@pytest.mark.parametrize("stage", ALL_STAGES)
def test_a_stage_depends_on_code_that_exists_and_on_data_that_a_stage_writes(stage):
    written = {str(path) for paths in OUTPUTS.values() for path in paths} | {str(LAYOUT.vla("real"))}
    for dependency in entry(stage)["deps"]:
        for task in slugs():
            dependency = dependency.replace(task, "cube_lift")
        if dependency.startswith("data/"):
            assert dependency in written, dependency
        else:
            assert (ROOT / dependency).exists(), dependency


def test_importing_the_library_loads_no_engine():
    code = (
        "import sys, pkgutil, importlib, ocrrl\n"
        "for module in pkgutil.walk_packages(ocrrl.__path__, 'ocrrl.'):\n"
        "    if 'compact_vla' not in module.name: importlib.import_module(module.name)\n"
        "assert not {'prefect', 'dvc'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_help_is_quick_because_it_imports_nothing_heavy():
    code = (
        "import sys\nfrom ocrrl.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "assert not {'torch', 'mujoco', 'numpy', 'h5py'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def test_an_unknown_tabletop_task_is_refused_with_the_known_ones(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "ocrrl.cli", "replay", "juggle"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert f"tabletop task must be one of {', '.join(slugs())}, got 'juggle'" in done.stderr
    assert "Traceback" not in done.stderr
