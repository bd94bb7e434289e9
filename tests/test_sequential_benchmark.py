"""The tables of docs/sequential_evaluation.md, from the recorded outcomes."""

import re
import sys

import numpy as np
import pytest

from benchmarks import sequential
from benchmarks.sequential_control import recorded_scores
from benchmarks.sequential_replays import Comparison, ever, recorded_comparisons, verdicts
from ocrrl.report.table import markdown_table
from ocrrl.rollouts.sequential_test import DECISIONS, StoppingRule
from tests.pipeline_copy import ROOT

PAGE = (ROOT / "docs/sequential_evaluation.md").read_text()
SMALL = Comparison("cube_lift", "sim", {"both": 3, "only_base": 1, "only_residual": 4, "neither": 2})


@pytest.fixture(autouse=True)
def root(monkeypatch):
    monkeypatch.chdir(ROOT)


def test_recorded_comparisons_are_of_all_tasks_in_both_cells():
    found = recorded_comparisons(0)
    assert len({(comparison.task, comparison.cell) for comparison in found}) == len(found) == 10
    assert all(len(comparison.scores) == 100 for comparison in found)


def test_replays_keep_what_they_say_they_keep():
    random = np.random.default_rng(0)
    assert (np.sort(SMALL.in_random_order(5, random)) == [-1] + [0] * 5 + [1] * 4).all()
    assert SMALL.drawn(2000, random).mean() == pytest.approx(SMALL.difference, abs=0.02) == pytest.approx(0.3, abs=0.02)
    assert SMALL.with_labels_swapped(2000, random).mean() == pytest.approx(0.0, abs=0.02)
    assert np.abs(SMALL.with_labels_swapped(2000, random)).mean() == pytest.approx(0.5, abs=0.02)
    itself = SMALL.against_itself("base", 2000, random)
    assert itself.mean() == pytest.approx(0.0, abs=0.02)
    assert np.abs(itself).mean() == pytest.approx(2 * 0.4 * 0.6, abs=0.02)
    differing = SMALL.with_difference(0.2, 2000, random)
    assert (differing.mean(), np.abs(differing).mean()) == pytest.approx((0.2, 0.5), abs=0.02)


def test_a_replay_ends_at_its_first_verdict():
    rule = StoppingRule(most_pairs=10)
    ends, pairs = verdicts(rule, np.array([[0] + [1] * 9, [-1] * 10, [1, -1] * 5]))
    assert [DECISIONS[end] for end in ends] == ["better", "worse", "most_pairs_reached"] and list(pairs) == [8, 7, 10]
    assert list(ever(rule, np.array([[1] * 10, [1, -1] * 5]), ("better", "worse"))) == [True, False]


def test_verdicts_come_after_as_many_pairs_as_the_page_says():
    for round_number, when in enumerate(("Round 0", "Round 1: bases that were retrained")):
        table = sequential.pairs_table(recorded_comparisons(round_number), when)
        assert markdown_table(table) in PAGE
        assert table.note in PAGE


def test_what_futility_stops_is_what_the_page_says():
    assert markdown_table(sequential.futility_table(recorded_comparisons(0))) in PAGE


def test_what_can_be_found_is_what_the_page_says():
    assert markdown_table(sequential.power_table()) in PAGE


def test_wrong_verdicts_and_coverage_keep_their_promise_in_fewer_replays(monkeypatch):
    monkeypatch.setattr(sequential, "REPLAYS", 500)
    comparisons = recorded_comparisons(0)
    wrong, covered = sequential.errors_table(comparisons), sequential.coverage_table(comparisons)
    assert len(wrong.rows) == 3 and all(float(row[2].rstrip("%")) < 5 for row in wrong.rows)
    assert len(covered.rows) == 5 and all(float(row[2].rstrip("%")) > 95 for row in covered.rows)
    assert [row[0] for row in covered.rows[2:]] == [f"equal rates: {row[0]}" for row in wrong.rows]


def test_recorded_scores_of_simulation_and_twin_are_of_the_same_states():
    found = list(recorded_scores())
    assert len({name for name, *_ in found}) == len(found) == 10
    for _, simulated, scores in found:
        assert simulated.shape == scores.shape == (100,) and {*simulated, *scores} <= {-1, 0, 1}


@pytest.mark.slow
def test_the_page_holds_all_that_the_command_prints(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["sequential"])
    sequential.main()
    printed = capsys.readouterr().out
    tables = re.findall(r"(?:^\|.*\n)+", printed, re.MULTILINE)
    assert len(tables) == 8 and all(table in PAGE for table in tables)
