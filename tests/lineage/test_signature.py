"""A model's signature: made with a key of the lab's, over its files and its lineage; whatever does not verify is one line."""

import base64
import json
import stat
import subprocess
import sys

import pytest
import yaml

from ocrrl.cli import main
from ocrrl.lineage.reading.hashes import Ignored, path_hash
from ocrrl.lineage.signature import signature_file
from tests.pipeline_copy import ROOT

pytest.importorskip("model_signing", reason="extra `standards`")
MODEL, DATASET = "data/models/vla_retrained", "data/dataset_real/round0/cube_lift"
PIPELINE = {"stages": {"publish": {"cmd": "ocrrl publish", "deps": [DATASET], "outs": [MODEL]}}}


def hashed(root, path):
    return {"path": path, "hash": "md5", "md5": path_hash(root / path, root, Ignored.of_project(root))}


def lock(root):
    """Write dvc.lock as DVC would after the stage."""
    entry = {"cmd": "ocrrl publish", "deps": [hashed(root, DATASET)], "outs": [hashed(root, MODEL)]}
    (root / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": {"publish": entry}}))


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """A project with one model of three files, and the keys `lab` and `other`; the working folder."""
    monkeypatch.chdir(tmp_path)
    for name in ("config.json", "model.safetensors", "processor/state.json"):
        (tmp_path / MODEL / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / MODEL / name).write_text(name)
    (tmp_path / DATASET).mkdir(parents=True)
    (tmp_path / DATASET / "frames.parquet").write_text("frames")
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump(PIPELINE))
    lock(tmp_path)
    for name in ("lab", "other"):
        assert main(["sign", "--make-key", f"cells/{name}"]) == 0
    return tmp_path


@pytest.fixture
def signed(lab, capsys):
    assert main(["sign", MODEL, "--key", "cells/lab.pem"]) == 0
    capsys.readouterr()
    return lab


def said(capsys, *words):
    """The one line of a refusal."""
    assert main(words) == 1
    (line,) = capsys.readouterr().err.splitlines()
    return line


def refused(capsys, key="cells/lab.pub"):
    return said(capsys, "verify", MODEL, "--key", key)


def test_a_signed_model_verifies_with_its_lineage_and_its_hash_stays(signed, capsys):
    assert stat.S_IMODE((signed / "cells/lab.pem").stat().st_mode) == 0o600
    assert main(["verify", MODEL, "--key", "cells/lab.pub"]) == 0
    assert "3 files as signed; lineage as signed: 2 artifacts" in capsys.readouterr().out
    assert main(["lineage", MODEL, "--verify"]) == 0
    bundle = json.loads((signed / signature_file(MODEL)).read_text())
    statement = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    lineage = statement["predicate"]["lineage"]
    assert {artifact["path"]: artifact["hash"] for artifact in lineage["artifacts"]} == {
        path: hashed(signed, path)["md5"] for path in (MODEL, DATASET)
    }


def test_the_stock_verifier_of_model_signing_takes_the_signature(signed):
    from model_signing.verifying import Config

    Config().use_elliptic_key_verifier(public_key="cells/lab.pub").verify(MODEL, signature_file(MODEL))
    (signed / MODEL / "config.json").write_text("{}")
    with pytest.raises(ValueError, match="mismatch"):
        Config().use_elliptic_key_verifier(public_key="cells/lab.pub").verify(MODEL, signature_file(MODEL))


def test_a_tampered_byte_a_missing_and_an_added_file_are_named(signed, capsys):
    weights = signed / MODEL / "model.safetensors"
    weights.write_text("Model.safetensors")
    assert "must be what was signed, model.safetensors has other bytes; `dvc checkout" in refused(capsys)
    weights.unlink()
    (signed / MODEL / "more.py").write_text("")
    assert "model.safetensors is missing, more.py was added" in refused(capsys)


def test_another_key_s_signature_is_refused(signed, capsys):
    assert "got another key's signature: give the public key" in refused(capsys, "cells/other.pub")
    assert main(["sign", MODEL, "--key", "cells/other.pem"]) == 0
    assert "must be signed with the key of cells/lab.pub" in refused(capsys)


def test_a_model_without_signature_is_refused_with_the_command_that_signs_it(lab, capsys):
    line = refused(capsys)
    assert f"{MODEL} must be signed, got no data/signatures/models/vla_retrained.sig" in line
    assert f"`ocrrl sign {MODEL} --key KEY.pem`" in line


def statement_with(root, change):
    """Change the statement in the signature, as one would who has not got the key."""
    path = root / signature_file(MODEL)
    bundle = json.loads(path.read_text())
    statement = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
    change(statement)
    bundle["dsseEnvelope"]["payload"] = base64.b64encode(json.dumps(statement).encode()).decode()
    path.write_text(json.dumps(bundle))


def test_a_signature_that_was_altered_is_refused(signed, capsys):
    statement_with(signed, lambda statement: statement["predicate"]["lineage"].update(path="data/models/other"))
    assert "must be as it was signed, its bytes are not" in refused(capsys)
    (signed / signature_file(MODEL)).write_text("{")
    assert "must be a signature of model-signing, got JSONDecodeError" in refused(capsys)


def test_a_signature_without_lineage_is_refused(signed, capsys):
    from model_signing.signing import Config

    Config().use_elliptic_key_signer(private_key="cells/lab.pem").sign(MODEL, signature_file(MODEL))
    assert "must be signed with its lineage, got a signature without" in refused(capsys)


def test_a_lineage_of_another_model_is_refused(signed, capsys):
    (signed / "data/models/copy").mkdir()
    for file in (signed / MODEL).iterdir():
        file.rename(signed / "data/models/copy" / file.name)
    (signed / signature_file(MODEL)).rename(signed / signature_file("data/models/copy"))
    line = said(capsys, "verify", "data/models/copy", "--key", "cells/lab.pub")
    assert "must have the lineage of data/models/copy" in line and f"got that of {MODEL}" in line


def test_a_lock_that_tells_another_origin_is_refused_and_a_machine_without_one_is_not(signed, capsys):
    (signed / DATASET / "frames.parquet").write_text("other frames")
    lock(signed)
    line = refused(capsys)
    assert f"dvc.lock has {DATASET} " in line and f"`ocrrl lineage {MODEL}` shows" in line
    (signed / "dvc.lock").unlink()
    assert main(["verify", MODEL, "--key", "cells/lab.pub"]) == 0


def test_a_model_that_is_not_what_dvc_lock_says_is_not_signed(lab, capsys):
    (lab / MODEL / "config.json").write_text("{}")
    assert "must be as DVC recorded it" in said(capsys, "sign", MODEL, "--key", "cells/lab.pem")
    assert not (lab / signature_file(MODEL)).exists()


@pytest.mark.parametrize("key", ["cells/none.pem", "cells/lab.pub", "dvc.yaml"])
def test_a_key_that_is_none_is_refused(lab, capsys, key):
    line = said(capsys, "sign", MODEL, "--key", key)
    assert key in line and "an ECDSA key on P-256, P-384 or P-521 as PEM" in line


@pytest.mark.parametrize("key", ["cells/none.pub", "cells/lab.pem", "dvc.yaml"])
def test_a_public_key_that_is_none_is_refused(signed, capsys, key):
    line = refused(capsys, key)
    assert f"{key} must be the public" in line


def test_a_key_is_never_written_over(lab, capsys):
    before = (lab / "cells/lab.pem").read_bytes()
    assert "a key is not written over" in said(capsys, "sign", "--make-key", "cells/lab")
    assert (lab / "cells/lab.pem").read_bytes() == before


def test_without_the_package_the_line_says_how_to_get_it(signed, capsys, monkeypatch):
    for module in [name for name in sys.modules if name.partition(".")[0] == "model_signing"]:
        monkeypatch.setitem(sys.modules, module, None)
    for line in (refused(capsys), said(capsys, "sign", MODEL, "--key", "cells/lab.pem")):
        assert "`pip install 'ocrrl[standards]'`" in line


def test_git_takes_signatures_lists_and_public_keys_and_no_private_one(signed):
    (signed / ".gitignore").write_text((ROOT / ".gitignore").read_text())
    (signed / "data/environments").mkdir()
    (signed / "data/environments/0.cdx.json").write_text("{}")
    subprocess.run(["git", "init", "-q"], cwd=signed, check=True)
    listed = subprocess.run(["git", "add", "--dry-run", "--all"], cwd=signed, capture_output=True, text=True).stdout
    added = {line.split("'")[1] for line in listed.splitlines()}
    assert {str(signature_file(MODEL)), "data/environments/0.cdx.json", "cells/lab.pub"} <= added
    assert "cells/lab.pem" not in added
