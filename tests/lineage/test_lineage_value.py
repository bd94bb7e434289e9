import importlib

import pytest

import ocrrl
from ocrrl.cli import main
from ocrrl.lineage.lineage import lineage

MODEL = "data/vla_retrained/round0/cube_lift"


def test_it_prints_what_the_command_does_and_holds_the_parts(at, capsys):
    assert main(["lineage", MODEL]) == 0
    told = capsys.readouterr().out.rstrip("\n")
    value = ocrrl.lineage(at / MODEL)
    assert str(value) == repr(value) == told
    assert value.tree.top.path == MODEL and value.episodes.files


def test_the_package_of_that_name_is_called_too(at):
    """Whatever imports a module of `ocrrl.lineage` gives the package that name."""
    importlib.import_module("ocrrl.lineage.graph")
    assert str(ocrrl.lineage(MODEL)) == str(lineage(MODEL))
    assert ocrrl.lineage.graph.Tree


def test_a_path_that_is_not_tracked_is_refused(at):
    with pytest.raises(ValueError, match="data/models/none"):
        ocrrl.lineage("data/models/none")
