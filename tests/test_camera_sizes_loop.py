"""The loop with cameras of other sizes, and with one camera, by `dvc repro` as a user runs it."""

import json
import re

import pytest
import yaml

from ocrrl.episodes.episode_store import image_sizes
from tests.pipeline_copy import copy_project, run

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.renders]
VLA = "data/vla_sim/round0/cube_lift"


def declare(project, cameras):
    path = project / "params.yaml"
    path.write_text(re.sub(r"^cameras: .*$", f"cameras: {json.dumps(cameras)}", path.read_text(), flags=re.MULTILINE))


def sizes_in(project, dataset):
    features = json.loads((project / f"data/{dataset}/round0/cube_lift/meta/info.json").read_text())["features"]
    return {name.rpartition(".")[2]: value["shape"][:2] for name, value in features.items() if "images" in name}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """With a front camera of 96 x 128 and a wrist camera of 96 x 96."""
    folder = copy_project(tmp_path_factory.mktemp("cameras") / "project")
    declare(folder, {"wrist": [96, 96], "front": [96, 128]})
    run(folder, "dvc", "repro", "rollout@cube_lift", "evaluate@cube_lift-0")
    return folder


def test_every_stage_has_the_declared_sizes(project):
    sizes = {"front": [96, 128], "wrist": [96, 96]}
    recorded = sorted((project / "data/episodes/cube_lift/recorded").glob("*.h5"))
    assert image_sizes(recorded[0]) == {"front": (96, 128), "wrist": (96, 96)}
    assert sizes_in(project, "dataset_real") == sizes_in(project, "dataset_sim") == sizes
    features = json.loads((project / VLA / "config.json").read_text())["input_features"]
    assert features["observation.images.front"]["shape"] == [3, 96, 128]
    assert json.loads((project / "data/metrics/evaluate_0/round0/cube_lift.json").read_text())["twin"]
    run(project, "ocrrl", "measure-latency", VLA, "--out", "latency.json", "--requests", "20", "--device", "cpu")
    assert json.loads((project / "latency.json").read_text())["policy"]["images"] == sizes


def test_other_cameras_make_stale_what_takes_images_and_each_later_stage_says_both_sizes_until_then(project):
    text = (project / "params.yaml").read_text()
    declare(project, {"front": [64, 64]})
    try:
        stale = json.loads(run(project, "dvc", "status", "--json", "--with-deps", "evaluate@cube_lift-0").stdout)
        refusals = {
            command: run(project, "ocrrl", *command.split(), check=False).stderr
            for command in ("finetune cube_lift --domain sim", "evaluate cube_lift --seed 0", "rollout_base cube_lift")
        }
    finally:
        (project / "params.yaml").write_text(text)
    assert {stage.partition("@")[0] for stage in stale} == {"record", "ingest", "replay", "train_residual", "evaluate"}
    for command, said in refusals.items():
        assert "front 64 x 64" in said and "front 96 x 128, wrist 96 x 96" in said and "`dvc repro`" in said, command
        assert said.strip().splitlines()[-1].startswith(f"ocrrl {command.split()[0]}: data/"), said


def test_the_loop_runs_with_the_front_camera_alone(project, tmp_path):
    alone = copy_project(tmp_path / "alone")
    declare(alone, {"front": [64, 64]})
    run(alone, "dvc", "repro", "evaluate@cube_lift-0")
    assert sizes_in(alone, "dataset_real") == sizes_in(alone, "dataset_sim") == {"front": [64, 64]}
    first = sorted((alone / "data/episodes/cube_lift/recorded").glob("*.h5"))[0]
    assert image_sizes(first) == {"front": (64, 64)}
    lock = yaml.safe_load((alone / "dvc.lock").read_text())["stages"]
    assert lock["record@cube_lift"]["params"]["params.yaml"]["cameras"] == {"front": [64, 64]}
