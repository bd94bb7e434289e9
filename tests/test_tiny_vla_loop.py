"""The whole loop at the smoke preset with a tiny pi0.5 and a tiny GR00T N1.7 of random weights, in this process, offline."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from ocrrl.cli import main
from ocrrl.stages import train_residual
from tests.pipeline_copy import ROOT
from tests.policies.hub_cache import empty_hub_cache
from tests.policies.tiny_groot import tiny_groot
from tests.policies.tiny_pi05 import tiny_pi05
from tests.scripted_residual import ScriptedLift

pytest.importorskip("transformers")
TASK = "cube_lift"
TRAINED = {"steps": 2, "batch_size": 4, "learning_rate": 1e-4, "device": "cpu"}


class InThisProcess:
    """In place of the background process of `train_residual`, in which the tiny policy's sizes would not be known."""

    def __init__(self, function):
        self._function, self._answer = function, None

    def start(self, *arguments):
        self._answer = self._function(*arguments)

    def ready(self):
        return True

    def result(self):
        return self._answer

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass


def command(*words: str) -> None:
    assert main(list(words)) == 0, words


@pytest.fixture(scope="module")
def demonstrated(tmp_path_factory):
    """A project at the smoke preset whose demonstrations are recorded, ingested and replayed."""
    folder = tmp_path_factory.mktemp("loop")
    for name in ("dvc.yaml", ".dvcignore"):
        shutil.copy(ROOT / name, folder / name)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        command("params", "--preset", "smoke", "--tasks", TASK)
        for stage in ("record", "ingest", "replay"):
            command(stage, TASK)
    return folder


@pytest.fixture
def hub_cache(tmp_path_factory, monkeypatch) -> Path:
    return empty_hub_cache(tmp_path_factory.mktemp("hub"), monkeypatch)


@pytest.fixture(params=["pi05", "groot"])
def project(request, demonstrated, tmp_path, hub_cache, monkeypatch):
    """The project with the policy sections of a tiny VLA."""
    if request.param == "groot":
        pytest.importorskip("diffusers")
        policy = tiny_groot(tmp_path / "groot", hub_cache)
    else:
        policy = tiny_pi05(monkeypatch, hub_cache)
    shutil.copytree(demonstrated, tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    monkeypatch.setattr("os.cpu_count", lambda: 1)  # stages stay in this process
    monkeypatch.setattr(train_residual, "BackgroundProcess", InThisProcess)
    params = yaml.safe_load(Path("params.yaml").read_text())
    for section in (params["finetune"]["shared"], params["retrain"]["shared"]):
        section |= TRAINED | {"policy": policy}
    params["train_residual"]["shared"] |= {"total_timesteps": 320, "validation_every": 320, "device": "cpu"}
    Path("params.yaml").write_text(yaml.safe_dump(params))
    return tmp_path / "project"


def run_loop() -> None:
    for domain in ("sim", "real"):
        command("finetune", TASK, "--domain", domain)
    command("train_residual", TASK)
    for stage in ("evaluate", "rollout", "rollout_base", "training_set", "retrain", "evaluate_retrained", "report"):
        command(stage, TASK)


def metrics(stage: str) -> dict:
    return json.loads(Path(f"data/metrics/{stage}/round0/{TASK}.json").read_text())


def test_the_loop_runs_with_a_scripted_residual(project, monkeypatch):
    monkeypatch.setattr("ocrrl.residual.residual_policy.load_residual", lambda path, task: ScriptedLift())
    run_loop()
    assert metrics("rollout")["corrected"]["recorded"] == 2


def test_a_round_without_a_success_ends_with_a_result(project, capsys):
    run_loop()
    print(capsys.readouterr().out)
    assert 0
