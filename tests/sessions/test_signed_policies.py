"""A cell file that demands signatures: a session there takes no policy whose signature or lineage does not verify."""

import os
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from ocrrl.cli import main
from ocrrl.layout import Layout
from ocrrl.lineage.reading.hashes import Ignored, path_hash
from ocrrl.robot.operator.approval import issue
from ocrrl.tabletop.cube_lift import TASK as CUBE_LIFT
from ocrrl.tabletop.cube_lift import Scene as CubeLift
from tests.robot.cell.hardware_cell import write_cell_file
from tests.untrained_models import write_untrained_models

pytest.importorskip("model_signing", reason="extra `standards`")
LAYOUT = Layout("cube_lift")
VLA, RESIDUAL = str(LAYOUT.vla("real")), str(LAYOUT.residual(0))
REHEARSAL = ("rollout", "cube_lift", "--cell", "rehearsal", "--cell-file", "cells/fr3.yaml", "--session", "monday")


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """Both models signed with the key that the cell file names, and an approval of one episode that nobody has looked at yet."""
    from ocrrl.lineage.signature import sign_model

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(CubeLift, "task", replace(CUBE_LIFT, horizon=3))
    write_untrained_models(LAYOUT)
    demand(write_cell_file(tmp_path), "cells/lab.pub")
    for name in ("lab", "other"):
        assert main(["sign", "--make-key", f"cells/{name}"]) == 0
    for model in (VLA, RESIDUAL):
        found = path_hash(tmp_path / model, tmp_path, Ignored.of_project(tmp_path))
        artifact = {"path": model, "hash": found}
        sign_model(tmp_path, model, Path("cells/lab.pem"), artifact | {"artifacts": [artifact], "episodes": []})
    monkeypatch.setenv("OCRRL_APPROVAL", issue("rehearsal", "monday", "cube_lift", 1, "Ada", time.time))
    return tmp_path


def demand(cell_file, key):
    sections = yaml.safe_load(cell_file.read_text())
    cell_file.write_text(yaml.safe_dump(sections | {"signed_by": key}))


def refused(capsys):
    """The one line of the refusal; nobody was asked for an approval, and no session was begun."""
    assert main([*REHEARSAL, "--episodes", "1"]) == 1
    assert "OCRRL_APPROVAL" in os.environ and not LAYOUT.session("rehearsal", "monday").exists()
    *_, line = capsys.readouterr().err.splitlines()
    return line


def test_signed_policies_act(lab, capsys):
    assert main([*REHEARSAL, "--episodes", "1"]) == 0
    out = capsys.readouterr().out
    for model in (VLA, RESIDUAL):
        assert f"{model}: " in out and "files and lineage as signed by the key of cells/lab.pub" in out
    assert "1 episodes recorded" in out


@pytest.mark.parametrize("model", [VLA, RESIDUAL])
def test_a_tampered_byte_is_refused_before_anybody_is_asked(lab, capsys, model):
    weights = max((lab / model).iterdir(), key=lambda path: path.stat().st_size)
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert f"{model} must be what was signed, {weights.name} has other bytes" in refused(capsys)


def test_an_unsigned_policy_is_refused(lab, capsys):
    (lab / f"data/signatures/{RESIDUAL.removeprefix('data/')}.sig").unlink()
    assert f"{RESIDUAL} must be signed, got no" in refused(capsys)


def test_another_key_s_signature_is_refused(lab, capsys):
    demand(lab / "cells/fr3.yaml", "cells/other.pub")
    assert f"{VLA} must be signed with the key of cells/other.pub" in refused(capsys)


def test_a_key_or_a_package_that_is_not_there_is_refused_too(lab, capsys, monkeypatch):
    demand(lab / "cells/fr3.yaml", "cells/nobody.pub")
    assert "cells/nobody.pub must be the public key" in refused(capsys)
    demand(lab / "cells/fr3.yaml", "cells/lab.pub")
    for module in [name for name in sys.modules if name.partition(".")[0] == "model_signing"]:
        monkeypatch.setitem(sys.modules, module, None)
    assert "`pip install 'ocrrl[standards]'`" in refused(capsys)
