"""No name leaves `data/`: whatever becomes a part of a path is a name, on the command line too."""

import pytest

from ocrrl.cli import main
from ocrrl.layout import Layout

ESCAPE = "../../../escape"


@pytest.mark.parametrize(
    ("what", "path"),
    [
        ("tabletop task", lambda: Layout(ESCAPE)),
        ("round", lambda: Layout("cube_lift", ESCAPE)),
        ("domain", lambda: Layout("cube_lift").dataset(ESCAPE)),
        ("VLA", lambda: Layout("cube_lift").vla(ESCAPE)),
        ("policy", lambda: Layout("cube_lift").rollouts(ESCAPE)),
        ("training set", lambda: Layout("cube_lift").training_set(ESCAPE)),
        ("stage", lambda: Layout("cube_lift").work(ESCAPE)),
        ("cell", lambda: Layout("cube_lift").session(ESCAPE, "monday")),
        ("session", lambda: Layout("cube_lift").session("fr3", ESCAPE)),
        ("session", lambda: Layout("cube_lift").recording_session(ESCAPE)),
    ],
)
def test_a_part_of_a_path_must_be_a_name(what, path):
    with pytest.raises(ValueError, match=f"^{what} must be a name of .*, got '../../../escape'"):
        path()


@pytest.mark.parametrize("path", [Layout("cube_lift").residual, Layout("cube_lift").evaluation])
def test_a_seed_in_a_path_must_be_a_number(path):
    with pytest.raises(ValueError, match="seed must be a whole number"):
        path("../0")


@pytest.mark.parametrize(
    "command", ["record cube_lift", "finetune cube_lift --domain sim", "retrain_multitask", "publish"]
)
@pytest.mark.parametrize("name", [ESCAPE, "..", "/tmp/x", "round0\n", "round0; touch x #", "-1"])
def test_a_round_that_is_no_name_is_refused_before_anything_is_read_or_written(
    command, name, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert main([*command.split(), f"--round={name}"]) == 1
    assert "round must be a name" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_seed_below_0_is_refused_before_hours_of_training(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["train_residual", "cube_lift", "--seed=-1"]) == 1
    assert "seed must be a whole number of at least 0, got -1" in capsys.readouterr().err


def test_a_session_from_before_names_were_lower_case_goes_on(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="session must be a name"):
        Layout("cube_lift").session("fr3", "20260930T101500Z-rollout")
    older = tmp_path / "data/sessions/fr3/cube_lift/20260930T101500Z-rollout"
    older.mkdir(parents=True)
    assert Layout("cube_lift").session("fr3", older.name).resolve() == older


def test_the_number_of_a_round_is_read_from_its_name():
    assert Layout("cube_lift", "round12").previous.round == "round11"
    for name in ("round", "roundx", "first", "round-1", "round_1"):
        with pytest.raises(ValueError, match="round must be one of round0, round1, "):
            _ = Layout("cube_lift", name).round_number
