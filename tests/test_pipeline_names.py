"""One name everywhere: a stage's entry in dvc.yaml, its params.yaml section, its command and its module."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from ocrrl.cli import STAGES, _parser
from ocrrl.layout import PUBLISHED_VLA, Layout
from ocrrl.params import CONFIGS

ROOT = Path(__file__).parents[1]
PIPELINE = yaml.safe_load((ROOT / "dvc.yaml").read_text())
LAYOUT = Layout("cube_lift")

OUTPUTS = {
    "record": [LAYOUT.recorded_episodes],
    "ingest": [LAYOUT.dataset("real"), LAYOUT.normalised_episodes, LAYOUT.ingest_report],
    "replay": [LAYOUT.dataset("sim"), LAYOUT.replay_transitions, LAYOUT.replay_report],
    "finetune": [LAYOUT.vla("sim")],
    "train_residual": [LAYOUT.residual(0)],
    "evaluate": [LAYOUT.evaluation_episodes(0), LAYOUT.evaluation(0)],
    "rollout": [LAYOUT.rollouts("corrected"), LAYOUT.rollouts("base"), LAYOUT.rollout_report],
    "training_set": [LAYOUT.training_set("retrained"), LAYOUT.training_set("base_rollouts")],
    "retrain": [LAYOUT.vla("retrained"), LAYOUT.vla("demonstrations_only"), LAYOUT.vla("base_rollouts")],
    "publish": [PUBLISHED_VLA],
    "evaluate_retrained": [LAYOUT.retrained_evaluation],
    "report": [LAYOUT.report],
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
        "${round}": "round0",
        "${item.episodes}": "data/episodes/cube_lift/recorded",
    }.items():
        text = text.replace(key, value)
    return yaml.safe_load(text)


def test_every_stage_has_a_command_a_module_and_a_section():
    assert list(PIPELINE["stages"]) == list(STAGES)
    for stage in STAGES:
        assert (ROOT / "ocrrl" / "stages" / f"{stage}.py").is_file()
    assert set(CONFIGS) == set(STAGES) - {"publish", "report"}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_s_command_parses_and_its_outputs_lie_where_the_layout_says(stage):
    body = entry(stage)
    program, *arguments = body["cmd"].split()
    assert program == "ocrrl"
    assert _parser().parse_args(arguments).command == stage
    outputs = [*body.get("outs", []), *body.get("metrics", [])]
    assert sorted(outputs) == sorted(str(path) for path in OUTPUTS[stage])


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_code_that_exists_and_on_data_that_a_stage_writes(stage):
    written = {str(path) for paths in OUTPUTS.values() for path in paths} | {str(LAYOUT.vla("real"))}
    for dependency in entry(stage)["deps"]:
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
    assert "tabletop task must be one of cube_lift, got 'juggle'" in done.stderr
    assert "Traceback" not in done.stderr
