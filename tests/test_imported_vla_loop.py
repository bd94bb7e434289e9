"""A VLA that another trainer made of an export goes through the pipeline in place of one that `finetune` trains."""

import json
import shutil

import pytest
from ruamel.yaml import YAML

from tests.pipeline_copy import copy_project, run


@pytest.mark.slow
@pytest.mark.renders
def test_a_residual_stands_on_an_imported_vla_and_its_lineage_reaches_the_demonstrations(tmp_path):
    project = copy_project(tmp_path / "project")
    run(project, "dvc", "repro", "--quiet", "finetune@cube_lift-sim")
    export = tmp_path / "exports" / "lab" / "cube"
    said = run(
        project,
        "ocrrl",
        "export",
        "data/dataset_sim/round0/cube_lift",
        "--format",
        "lerobot_v21",
        "--out",
        str(export),
        "--gr00t",
    ).stdout
    assert "--trained-on" in said and "gr00t_finetune.py" in said
    elsewhere = tmp_path / "elsewhere"  # what came back: here the pipeline's own VLA, in another place
    shutil.copytree(project / "data/vla_sim/round0/cube_lift", elsewhere)
    (export / "meta/steps_data_index.json").write_text("{}")  # a trainer's own file

    said = run(
        project,
        "ocrrl",
        "import-vla",
        str(elsewhere),
        "--task",
        "cube_lift",
        "--domain",
        "sim",
        "--trained-on",
        str(export),
    ).stdout
    imported = "data/imported_sim/round0/cube_lift"
    assert f"dvc add {imported}" in said and "policy: {type: compact_vla}" in said
    run(project, "dvc", "add", "--quiet", imported)
    yaml, path = YAML(), project / "params.yaml"
    params = yaml.load(path)
    params["tabletop_tasks"]["cube_lift"]["sim_vla"] = imported
    yaml.dump(params, path)
    assert (
        "graph.yaml" in run(project, "dvc", "repro", "finetune@cube_lift-sim", check=False).stderr
    )  # stale: said, not run
    run(project, "ocrrl", "params")

    log = run(project, "dvc", "repro", "train_residual@cube_lift-0").stdout
    assert "nothing trained here" in log
    published = project / "data/vla_sim/round0/cube_lift"
    record = json.loads((published / "training.json").read_text())
    assert record["steps"] == 0 and len(record["episode_names"]) == 4 and (published / "imported.json").is_file()
    weights = next(iter(elsewhere.glob("*.safetensors")))
    assert (published / weights.name).read_bytes() == weights.read_bytes()
    assert "up to date" in run(project, "dvc", "repro", "train_residual@cube_lift-0").stdout

    lineage = run(project, "ocrrl", "lineage", "data/residual_0/round0/cube_lift").stdout
    for line in (
        f"{imported}  imported VLA",
        f"{export}  exported dataset",
        "ocrrl import-vla",
        "data/dataset_sim/round0/cube_lift  dataset",
        "data/episodes/cube_lift/recorded",
    ):
        assert line in lineage, lineage
    assert "used" in lineage.partition("Demonstrations:")[2]
    content = json.loads(
        run(project, "ocrrl", "lineage", "data/residual_0/round0/cube_lift", "--format", "json").stdout
    )
    used = [episode for episode in content["episodes"] if episode["status"] == "used"]
    assert used and all("data/vla_sim/round0/cube_lift" in episode["models"] for episode in used)
    verified = run(project, "ocrrl", "lineage", "data/residual_0/round0/cube_lift", "--verify").stdout
    assert "0 changed, 0 missing" in verified
