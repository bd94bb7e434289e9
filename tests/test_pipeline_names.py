"""One name everywhere: a stage's entry in dvc.yaml, its params.yaml section, its command and its module."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from ocrrl.cli import _parser
from ocrrl.commands.stages import MULTITASK_STAGES, STAGES
from ocrrl.layout import MULTITASK, PUBLISHED_VLA, Layout
from ocrrl.lineage.reading.pipeline import PipelineStage, pipeline_stages
from ocrrl.params import CONFIGS, MULTITASK_CONFIGS
from ocrrl.params_graph import Recordings, graph_sections
from ocrrl.tabletop.registry import slugs

ROOT = Path(__file__).parents[1]
PIPELINE = yaml.safe_load((ROOT / "dvc.yaml").read_text())
LAYOUT, TOGETHER = Layout("cube_lift"), Layout(MULTITASK)
NEXT, NEXT_TOGETHER = Layout("cube_lift", "round1"), Layout(MULTITASK, "round1")
ALL_STAGES = (*STAGES, *MULTITASK_STAGES)

OUTPUTS = {
    "record": [LAYOUT.recorded_episodes],
    "ingest": [LAYOUT.dataset("real"), LAYOUT.normalised_episodes, LAYOUT.ingest_report],
    "replay": [LAYOUT.dataset("sim"), LAYOUT.replay_transitions, LAYOUT.accepted_replays, LAYOUT.replay_report],
    "finetune": [LAYOUT.vla("sim")],
    "train_residual": [LAYOUT.residual(0)],
    "evaluate": [LAYOUT.evaluation_episodes(0), LAYOUT.evaluation(0)],
    "rollout": [LAYOUT.rollouts("corrected"), LAYOUT.rollout_report("corrected")],
    "rollout_base": [LAYOUT.rollouts("base"), LAYOUT.rollout_report("base")],
    "training_set": [LAYOUT.training_set("retrained"), LAYOUT.training_set("base_rollouts")],
    "retrain": [LAYOUT.vla("retrained"), LAYOUT.vla("demonstrations_only"), LAYOUT.vla("base_rollouts")],
    "evaluate_retrained": [LAYOUT.retrained_evaluation],
    "report": [LAYOUT.report],
    "retrain_multitask": [TOGETHER.vla(variant) for variant in ("retrained", "demonstrations_only", "base_rollouts")],
    "evaluate_multitask": [TOGETHER.retrained_evaluation],
    "publish": [PUBLISHED_VLA],
    "report_multitask": [TOGETHER.report],
    "replay_rollouts": [NEXT.dataset("sim"), NEXT.replay_transitions, NEXT.accepted_replays, NEXT.replay_report],
    "finetune_multitask": [NEXT_TOGETHER.vla("sim")],
    "promote": [NEXT.vla("sim"), NEXT.vla("real"), NEXT.promotion],
}


def stages_of_two_rounds() -> dict[str, PipelineStage]:
    graph = graph_sections({task: Recordings(f"recordings/{task}") for task in slugs()}, 1, 2)
    texts = {"dvc.yaml": (ROOT / "dvc.yaml").read_text(), "graph.yaml": yaml.safe_dump(graph, sort_keys=False)}
    return pipeline_stages(texts.get)


RESOLVED = stages_of_two_rounds()


def entry(stage: str) -> PipelineStage:
    """The first of the stage's instances, that of cube_lift; its templates are filled in."""
    return next(found for address, found in RESOLVED.items() if address.partition("@")[0] == stage)


def test_every_stage_has_a_command_a_module_and_a_section():
    assert set(PIPELINE["stages"]) == set(ALL_STAGES)
    for stage in ALL_STAGES:
        assert (ROOT / "ocrrl" / "stages" / f"{stage}.py").is_file()
    assert set(CONFIGS) == set(STAGES) - {"report", "replay_rollouts"}
    assert set(MULTITASK_CONFIGS) == set(MULTITASK_STAGES) - {"publish", "finetune_multitask", "report_multitask"}


def test_no_tabletop_task_is_named_in_a_stage():
    """So that a new one edits no line of dvc.yaml."""
    stages = yaml.safe_dump(PIPELINE["stages"])
    assert [task for task in slugs() if task in stages] == []


@pytest.mark.parametrize("stage", ALL_STAGES)
def test_a_stage_s_command_parses_and_its_outputs_lie_where_the_layout_says(stage):
    found = entry(stage)
    program, *arguments = found.command.split()
    assert program == "ocrrl"
    assert _parser(arguments[0]).parse_args(arguments).command == stage
    assert sorted(found.outs) == sorted(str(path) for path in OUTPUTS[stage])


@pytest.mark.parametrize("stage", ALL_STAGES)
def test_a_stage_depends_on_code_that_exists_and_on_data_that_stages_write(stage):
    written = {out for found in RESOLVED.values() for out in found.outs}
    for dependency in entry(stage).deps:
        if dependency.startswith("data/"):
            inside = [out for out in written if out.startswith(f"{dependency}/")]
            assert dependency in written or len(inside) == len(slugs()), dependency
        elif not dependency.startswith("recordings/"):
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


def test_dvc_writes_no_ignore_file_into_a_folder_that_a_stage_depends_on():
    """It writes one beside every out that git does not ignore, and the file would count in the folder's hash."""
    deps = {dep for found in RESOLVED.values() for dep in found.deps}
    outs = {out for found in RESOLVED.values() for out in found.outs}
    inside = {f"{out}/" for out in outs for dep in deps if out.startswith(f"{dep}/")}
    ignored = subprocess.run(["git", "check-ignore", *inside], cwd=ROOT, capture_output=True, text=True).stdout
    assert inside and inside == set(ignored.split())
