"""What commands say to a hostile or damaged model in the place of a good one: one line, exit code 1, and nothing of it runs."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from ocrrl.cli import main
from ocrrl.layout import Layout
from tests.damaged_models import cut, pointer, spoil
from tests.policies.lerobot_dots import write_dots
from tests.policies.tiny_act import write_act
from tests.untrained_models import write_untrained_models

LAYOUT = Layout("cube_lift")


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with a real VLA and residual 0, whose parameters are those of the smoke preset."""
    monkeypatch.chdir(tmp_path)
    write_untrained_models(LAYOUT)
    assert main(["params", "--preset", "smoke", "--tasks", "cube_lift"]) == 0
    return tmp_path


def set_policy(policy):
    """`policy` in the sections of params.yaml that train."""
    path = Path("params.yaml")
    sections = yaml.safe_load(path.read_text())
    for entry in (sections["finetune"]["shared"], sections["retrain"]["shared"], sections["retrain_multitask"]):
        entry["policy"] = policy
    path.write_text(yaml.safe_dump(sections))


def refused(capsys, *command):
    """The one line that the command prints to stderr."""
    capsys.readouterr()
    assert main(list(command)) == 1
    printed = capsys.readouterr().err.strip().splitlines()
    said = [
        line for line in printed if not line.startswith("data/runs.jsonl: this run is recorded without")
    ]  # no git here
    assert len(said) == 1 and said[0].startswith(f"ocrrl {command[0]}: "), said
    return said[0]


def hostile_act(project):
    """An ACT folder whose pipeline names a command, in place of the real VLA; the file that it would make."""
    shutil.rmtree(LAYOUT.vla("real"))
    write_act(LAYOUT.vla("real"))
    mark, path = project / "was_run", LAYOUT.vla("real") / "policy_preprocessor.json"
    pipeline = json.loads(path.read_text())
    pipeline["steps"].insert(0, {"class": "os.system", "config": {"command": f"touch {mark}"}})
    path.write_text(json.dumps(pipeline))
    return mark


def test_a_hostile_policy_in_place_of_the_vla_runs_nothing(project, capsys):
    mark = hostile_act(project)
    for command in ("rollout", "rollout_base"):
        line = refused(capsys, command, "cube_lift")
        assert (
            "vla_real/round0/cube_lift/config.json: type must be compact_vla, as the `policy` sections of params.yaml say"
            in line
        )
    session = ("rollout", "cube_lift", "--cell", "rehearsal", "--session", "monday", "--episodes", "2")
    assert "type must be compact_vla" in refused(capsys, *session)
    set_policy({"type": "act"})
    line = refused(capsys, "rollout", "cube_lift")
    assert "policy_preprocessor.json: steps[0].class must not be there, got 'os.system'" in line
    assert "steps[0].class must not be there" in refused(capsys, *session)
    assert not mark.exists()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (cut("model.safetensors"), "vla_real/round0/cube_lift/model.safetensors must hold "),
        (pointer("model.safetensors"), "fetch it with `git lfs pull`"),
        (spoil("model.safetensors", "model.state.bias"), "model.state.bias must hold finite numbers"),
        (cut("config.json"), "vla_real/round0/cube_lift/config.json must be JSON"),
    ],
)
def test_a_damaged_vla_is_one_line(project, capsys, damage, message):
    damage(LAYOUT.vla("real"))
    assert message in refused(capsys, "rollout_base", "cube_lift")


def test_a_damaged_residual_is_one_line(project, capsys):
    cut("actor.safetensors")(LAYOUT.residual(0))
    assert "residual_0/round0/cube_lift/actor.safetensors must hold " in refused(capsys, "rollout", "cube_lift")


def test_evaluate_in_its_processes_says_the_same_line(project, capsys):
    spoil("model.safetensors", "model.state.bias")(LAYOUT.vla("real"))
    shutil.copytree(LAYOUT.vla("real"), LAYOUT.vla("sim"))
    assert "/model.safetensors: model.state.bias must hold finite" in refused(capsys, "evaluate", "cube_lift")


def test_finetune_refuses_hostile_pretrained_weights_and_parameters(project, capsys):
    write_dots(LAYOUT.dataset("sim"))
    path, dots = Path("params.yaml"), {"cameras": {"front": [32, 32], "wrist": [32, 32]}}
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | dots))
    base = write_act(project / "base")
    command = ("finetune", "cube_lift", "--domain", "sim")
    for policy, message in (
        (
            {"type": "act", "pretrained_path": "nowhere/at/all"},
            "policy.pretrained_path must be the folder of a checkpoint",
        ),
        ({"type": "diffusion", "pretrained_path": str(base)}, "policy.type must be act to start from"),
        ({"type": "act", "chunk_size": "many"}, "policy.chunk_size must be a whole number, got 'many'"),
        ({"type": "act", "use_peft": True}, "policy.use_peft must be false"),
        ({"type": "groot"}, "policy type groot must be allowed first"),
        ({"type": "compact_vla", "hidden": 10**12}, "compact_vla.hidden must be a whole number from 1 to 8192"),
        (
            {"type": "compact_vla", "hidden": "wide"},
            "policy.hidden must be a whole number, got 'wide'",
        ),
        ({"type": "act", "allow_remote_code": "yes"}, "policy.allow_remote_code must be true or false, got 'yes'"),
        ({"type": ["act"]}, "policy must be a mapping with a type, which is text, got"),
    ):
        set_policy(policy)
        assert message in refused(capsys, *command), policy
    (base / "optimizer.pt").write_bytes(b"\x80\x04.")
    set_policy({"type": "act", "pretrained_path": str(base)})
    assert "base/optimizer.pt must not be in a model's folder" in refused(capsys, *command)
    assert not LAYOUT.vla("sim").exists()
