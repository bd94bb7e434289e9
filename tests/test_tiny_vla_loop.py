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
pytestmark = [pytest.mark.slow, pytest.mark.renders]
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


@pytest.fixture(params=["pi05", pytest.param("groot", marks=pytest.mark.long)])
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
    return policy["type"]


def metrics(stage: str) -> dict:
    return json.loads(Path(f"data/metrics/{stage}/round0/{TASK}.json").read_text())


def retrained_on(name: str) -> list[str]:
    entries = json.loads(Path(f"data/training_set_{name}/round0/{TASK}/sidecar/episodes.json").read_text())
    return [entry["kind"] for entry in entries]


def test_the_loop_runs_to_a_retrained_vla(project, monkeypatch, capsys):
    """A scripted residual stands in for the trained one, so that some rollouts succeed; then nobody succeeds."""
    for domain in ("sim", "real"):
        command("finetune", TASK, "--domain", domain)
    command("train_residual", TASK)
    with monkeypatch.context() as patch:
        patch.setattr("ocrrl.residual.residual_policy.load_residual", lambda path, task: ScriptedLift())
        for stage in ("evaluate", "rollout", "rollout_base", "training_set", "retrain", "evaluate_retrained", "report"):
            command(stage, TASK)
    evaluated = metrics("evaluate_0")
    for cell in ("sim", "twin"):
        assert evaluated[cell]["base"]["successes"] == 0 and evaluated[cell]["residual"]["successes"] > 0
    assert metrics("rollout")["corrected"]["recorded"] == 2
    assert retrained_on("retrained").count("rollout") == 2 and "base_rollout" not in retrained_on("base_rollouts")
    for name in ("vla_sim", "vla_real", "vla_retrained"):
        trained = json.loads(Path(f"data/{name}/round0/{TASK}/training.json").read_text())
        assert trained["policy"]["type"] == project and len(trained["loss"]) == 2
    capsys.readouterr()
    for stage in ("rollout", "training_set", "retrain", "evaluate_retrained", "report"):
        command(stage, TASK)
    said = capsys.readouterr().out
    assert "rollout cube_lift, round0: no success in 4 attempts; the round goes on without rollouts. Next: " in said
    assert (
        "training_set cube_lift, round0: no rollout succeeded, so the retrained VLA is trained on demonstrations"
        in said
    )
    assert set(retrained_on("retrained")) == {"demonstration"}
