"""The list of installed packages: complete, the same bytes twice, named by every run record, never a reason to fail."""

import json
import sys
from importlib.metadata import version

import pytest

from ocrrl.cli import main
from ocrrl.lineage.environment import FOLDER, environment_hash
from ocrrl.lineage.run_record import read_runs, recorded_run


def run(root):
    with recorded_run({"command": "x"}, "x@y", root):
        pass
    return read_runs((root / "data/runs.jsonl").read_text())[0][-1]


def test_a_run_names_its_environment_and_an_older_line_names_none(tmp_path):
    record = run(tmp_path)
    assert record.environment == environment_hash() and len(record.environment) == 16
    (line,) = (tmp_path / "data/runs.jsonl").read_text().splitlines()
    older = {name: value for name, value in json.loads(line).items() if name != "environment"}
    (found,), unreadable = read_runs(json.dumps(older))
    assert found.environment == "" and found.outcome == "finished" and not unreadable


def test_another_package_is_another_environment(tmp_path, monkeypatch):
    before = environment_hash()
    (tmp_path / "robot_lab-1.0.dist-info").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    assert environment_hash() != before


def test_the_list_has_every_package_with_licence_and_needs_and_is_the_same_bytes_twice(tmp_path, monkeypatch, capsys):
    pytest.importorskip("cyclonedx", reason="extra `standards`")
    monkeypatch.chdir(tmp_path)
    assert main(["sbom"]) == 0
    path = tmp_path / capsys.readouterr().out.strip()
    assert path.parent == tmp_path / FOLDER and path.name == f"{environment_hash()}.cdx.json"
    written = path.read_bytes()
    path.unlink()
    monkeypatch.setenv("OCRRL_SBOM", "1")
    run(tmp_path)
    assert path.read_bytes() == written
    document = json.loads(written)
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    torch = next(component for component in document["components"] if component["name"] == "torch")
    assert torch["version"] == version("torch") and torch["purl"] == f"pkg:pypi/torch@{version('torch')}"
    needs = {row["ref"]: row.get("dependsOn", []) for row in document["dependencies"]}
    assert any(each.startswith("pkg:pypi/sympy@") for each in needs[torch["purl"]])
    assert any(each.startswith("pkg:pypi/mujoco@") for each in needs[document["metadata"]["component"]["bom-ref"]])


def test_a_list_that_cannot_be_written_is_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("OCRRL_SBOM", "1")
    monkeypatch.setitem(sys.modules, "cyclonedx.model.bom", None)
    assert run(tmp_path).outcome == "finished"
    assert "`pip install 'ocrrl[standards]'`" in capsys.readouterr().err
    monkeypatch.undo()
    monkeypatch.setenv("OCRRL_SBOM", "1")
    (tmp_path / FOLDER).write_text("a file where the folder should be")
    assert run(tmp_path).outcome == "finished"
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "git revision" not in line]
    assert "the list of packages is not written" in line and "`ocrrl sbom` tries again" in line
