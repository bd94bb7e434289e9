"""A model that a policy server has: its lineage and card say what is on record, and that its weights are not here."""

import json

import pytest

from ocrrl.cli import main
from ocrrl.lineage.reading.hashes import manifest_hash, manifest_of

MODEL = "data/models/served"
WRITTEN = {
    "protocol": "gr00t",
    "version": "n1.6",
    "address": "env:GR00T_ADDRESS",
    "identity": "checkpoint 0123456789abcdef",
    "token": "env:GR00T_TOKEN",
}
SAID = "a remote model (checkpoint 0123456789abcdef, at env:GR00T_ADDRESS, gr00t n1.6): its weights are on the server, not in this"


@pytest.fixture
def model(own):
    folder = own / MODEL
    folder.mkdir(parents=True)
    (folder / "vla.json").write_text(json.dumps(WRITTEN))
    found = manifest_hash(manifest_of(folder, own, lambda path: False))
    (own / f"{MODEL}.dvc").write_text(f"outs:\n- md5: {found}\n  size: 1\n  nfiles: 1\n  hash: md5\n  path: served\n")
    return folder


def test_lineage_says_that_the_bytes_are_not_here(model, capsys):
    assert main(["lineage", MODEL]) == 0
    assert f"Not known: {MODEL}: {SAID}" in capsys.readouterr().out
    assert main(["lineage", MODEL, "--format", "json"]) == 0
    assert any(SAID in note for note in json.loads(capsys.readouterr().out)["unknown"])


def test_the_card_says_so_and_names_no_token(model, capsys):
    assert main(["card", MODEL]) == 0
    (card,) = (model.parents[2] / "data/cards").glob("*.md")
    text = card.read_text()
    assert "This folder holds no weights." in text and "0123456789abcdef" in text
    assert "- remote\n" in text and "library_name: ocrrl" in text and "TOKEN" not in text


def test_other_models_say_nothing_of_servers(at, capsys):
    assert main(["lineage", "data/models/vla_retrained"]) == 0
    assert "remote model" not in capsys.readouterr().out
