"""A model's card shows what blind sessions decided of it, by the plan's hash."""

import json

import pytest
import yaml

from ocrrl.cli import main
from ocrrl.files import fingerprint
from ocrrl.lineage.reading.hashes import Ignored, path_hash

RESIDUAL = "data/residual_0/round0/cube_lift"
SESSION = "data/sessions/rehearsal/cube_lift/blind"
PLAN = "5e" * 32
SEQUENTIAL = {
    "decision": "better",
    "decided_after": 9,
    "pairs": 9,
    "difference": 0.89,
    "low": 0.31,
    "high": 1.0,
    "p_value": 0.021,
    "plan": PLAN,
    "unlocked_early": False,
}


@pytest.fixture
def card_of(own, capsys):
    """The residual's card beside a tracked session with such a verdict of a model with such a fingerprint."""

    def write(sequential, of=None):
        folder = own / SESSION
        folder.mkdir(parents=True, exist_ok=True)
        models = {RESIDUAL: of or fingerprint(own / RESIDUAL)}
        session = {"cell": "rehearsal", "tabletop_task": "cube_lift", "models": models, "until": "decided"}
        (folder / "session.json").write_text(json.dumps(session))
        if sequential is not None:
            (folder / "evaluation.json").write_text(json.dumps({"rehearsal": {"sequential": sequential}}))
        out = {"md5": path_hash(folder, own, Ignored.of_project(own)), "path": folder.name}
        folder.with_name("blind.dvc").write_text(yaml.safe_dump({"outs": [out]}))
        assert main(["card", RESIDUAL]) == 0, capsys.readouterr().err
        return (own / "data/cards/residual_0-round0-cube_lift.md").read_text()

    return write


def test_the_verdict_stands_in_the_card_with_the_plan_s_hash(card_of):
    rows = [[part.strip() for part in line.strip("|").split("|")] for line in card_of(SEQUENTIAL).splitlines()]
    verdict = "Sequential test: better after 9 of 9 pairs, +89 [+31, +100] points, p 0.021 at any look"
    assert [f"`{SESSION}`", "rehearsal (simulated)", verdict, PLAN] in rows


def test_one_that_was_unlocked_early_is_undecided(card_of):
    text = card_of(SEQUENTIAL | {"unlocked_early": True, "decision": "not_yet", "decided_after": None})
    assert "not decided yet after 9 pairs" in text and "; unlocked early" in text


def test_a_blind_session_and_one_of_another_model_say_nothing(card_of):
    assert SESSION not in card_of(None).partition("## Results")[2].partition("## Training")[0]
    assert PLAN not in card_of(SEQUENTIAL, of="0" * 16)
