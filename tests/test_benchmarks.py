"""Pages that benchmarks print from what lies under data/."""

import sys

import pytest

from benchmarks import results, table1
from ocrrl.layout import Layout
from tests.report.synthetic_round import write_synthetic_tasks


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_table_1_is_printed_over_residual_seeds_and_its_page_written(here, monkeypatch, capsys):
    write_synthetic_tasks(here, episodes=4, seeds=(0, 1))
    monkeypatch.setattr(sys, "argv", ["table1", "--seeds", "2", "--page", "page"])
    table1.main()
    printed = capsys.readouterr().out
    assert "| stand_cup_up " in printed and "±" in printed and "paper, not ours" in printed
    assert "python -m benchmarks.table1 --seeds 2" in (here / "page/index.html").read_text()


def test_missing_seeds_are_named_with_the_command_that_makes_them(here, monkeypatch):
    write_synthetic_tasks(here, episodes=4)
    monkeypatch.setattr(sys, "argv", ["table1"])
    with pytest.raises(SystemExit) as stopped:
        table1.main()
    said = str(stopped.value.code)
    assert str(Layout("stack_cube").evaluation(2)) in said and str(Layout("stack_cube").evaluation(0)) not in said
    assert "`ocrrl params --preset default --residual-seeds 3 && dvc repro evaluate` makes them" in said


def test_the_results_page_names_what_was_not_run(here):
    page = results.results_page(3)
    assert "Not run here; `dvc repro report_multitask` makes it." in page
    assert "Not run here; `dvc repro report@close_drawer` makes it." in page
    assert "over 3 residual seeds" in page and "Table 1 over 3 residual seed(s) needs every evaluation" in page
    assert "no stage has run here" in page


def test_the_results_page_holds_all_tasks_then_each_task_a_level_down(here):
    write_synthetic_tasks(here, slugs=("cube_lift",), episodes=4)
    for item in ("multitask", "cube_lift"):
        folder = Layout(item).report
        folder.mkdir(parents=True)
        (folder / "results.md").write_text(f"# {item}\n\n## Table\n\nnumber #1\n")
    page = results.results_page(1)
    assert page.index("## multitask\n\n### Table\n\nnumber #1") < page.index("## cube_lift\n\n### Table")
    assert "Replay kept 28 of 30 demonstrations." in page
    assert "| transitions | 0 | 4,000 |" in page
    assert page.index("## cube_lift") < page.index("## What each stage cost")
