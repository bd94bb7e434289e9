"""`ocrrl demo` names what it was given wrong before it runs anything."""

import subprocess

import pytest

from ocrrl.cli import main
from tests.pipeline_copy import ROOT


def test_a_tabletop_task_that_is_not_known_is_named_with_those_that_are(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(subprocess, "run", lambda *words, **options: pytest.fail("something ran"))
    assert main(["demo", "stack_cubes"]) == 1
    assert "of params.yaml, cube_lift, pick_and_place, " in capsys.readouterr().err
