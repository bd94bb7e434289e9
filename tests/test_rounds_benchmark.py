"""Comparing what rounds collect: what a path means, what is printed of recorded units."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks import recorded_units, replayed_rollouts, round_variants, rounds
from benchmarks.round_variants import Rounds
from ocrrl.layout import Layout
from ocrrl.replay.replay import ReplayConfig
from ocrrl.report.table import markdown_table
from ocrrl.rollouts.episode_outcome import EpisodeOutcome
from ocrrl.rollouts.handover import HandoverRule
from tests.episodes.toy_environment import ToyEnvironment
from tests.episodes.toy_episodes import demonstrated

ROOT = Path(__file__).parents[1]
CUBE = ("cube_lift",)


def test_a_path_says_what_each_round_did(monkeypatch):
    monkeypatch.chdir(ROOT)
    second = Rounds(CUBE, ("plain", "fresh+labels+hybrid"), seed=2)
    assert second.before == Rounds(CUBE, ("plain",)) and second.before.before.vla("real", CUBE[0]) == Layout(
        CUBE[0]
    ).vla("real")
    config = second.config("rollout", CUBE[0])
    assert (config.initial_states, config.labelled, config.handover) == ("fresh", 50, HandoverRule())
    assert second.config("training_set", CUBE[0]).label_steps == 4
    plain = second.before.config("rollout", CUBE[0])
    assert plain == Rounds(CUBE, ("earlier",)).config("rollout", CUBE[0]) != config
    assert second.vla("real", CUBE[0]) != Rounds(CUBE, second.path).vla("real", CUBE[0])
    with pytest.raises(ValueError, match=r"a path's parts must be among plain, base, earlier, .* got 'lables'"):
        Rounds(CUBE, ("plain", "fresh+lables"))


def test_earlier_rounds_are_trained_on_where_it_is_asked_for():
    path = ("plain", "fresh+earlier", "fresh+earlier")
    assert [len(part.path) for part in round_variants._trained_on(Rounds(CUBE, path))] == [1, 2, 3]
    assert [len(part.path) for part in round_variants._trained_on(Rounds(CUBE, (*path, "plain")))] == [4]


def recorded(path, success, seed=0, task="cube_lift", tasks="cube_lift", states="choose"):
    name = f"{states} {tasks} {task} {path} {seed}"
    return {name: {"seeds": list(range(len(success))), "success": success, "steps": [9] * len(success)}}


def test_a_row_compares_with_the_round_before_and_with_a_plain_one_on_the_same_states():
    units = {
        **recorded("before", [0, 0, 0, 1]),
        **recorded("plain", [1, 0, 0, 1]),
        **recorded("plain/plain", [1, 0, 0, 1]),
        **recorded("plain/fresh", [1, 1, 1, 1]),
        **recorded("plain/fresh", [1, 1, 0, 1], seed=1),
        **recorded("plain/plain", [1, 1, 1, 1], states="measure"),
    }
    table = rounds.table(units, "choose")
    rows = {row[2]: row for row in table.rows}
    assert list(rows) == ["before", "plain", "plain/plain", "plain/fresh"]
    assert rows["plain"][3:6] == ("1", "4", "50%") and rows["plain"][7].startswith("+25 [")
    assert rows["plain/plain"][7].startswith("+0 [") and rows["plain/plain"][8] == "–"
    assert rows["plain/fresh"][3:6] == ("2", "8", "88%") and rows["plain/fresh"][8].startswith("+38 [")
    assert markdown_table(rounds.table(units, "measure")).count("\n") == 3


def test_a_vla_of_several_tasks_has_a_row_of_their_average():
    units = {}
    for task, better in (("cube_lift", [1, 1]), ("stack_cube", [0, 1])):
        units |= recorded("before", [0, 0], task=task, tasks="both") | recorded(
            "plain", better, task=task, tasks="both"
        )
    rows = rounds.table(units, "choose").rows
    assert [row[1] for row in rows] == ["cube_lift", "stack_cube", "average"] * 2
    assert rows[-1][5] == "75%" and rows[-1][7].startswith("+75 [")


def test_the_usual_length_is_the_median_of_successes():
    outcomes = [EpisodeOutcome(k, k < 3, steps, 0.0) for k, steps in enumerate((40, 60, 50, 120))]
    assert rounds.usual_steps(outcomes) == 50
    assert rounds.usual_steps(outcomes[3:]) == 120


def test_the_page_shows_what_is_recorded():
    table = rounds.table(recorded_units.read_units(ROOT / rounds.OUT), "choose")
    assert table.rows and markdown_table(table) in (ROOT / "docs/rounds.md").read_text()


def test_the_replays_of_rollouts_stand_in_the_page_as_printed():
    units = recorded_units.read_units(ROOT / replayed_rollouts.OUT)
    assert units and markdown_table(replayed_rollouts.table(units)) in (ROOT / "docs/rounds.md").read_text()
    assert all(unit["kept"] + sum(unit["dropped"].values()) == unit["rollouts"] for unit in units.values())


def test_what_is_not_reproduced_is_counted_by_the_requirement_that_it_missed():
    episodes = demonstrated([3, 4, 5])
    episodes[0].action[:, 6] = 1.0  # never closes
    episodes[1].gripper_pose = episodes[1].gripper_pose + np.array([0.05, 0, 0, 0, 0, 0, 0])
    rollouts = [(f"e{k}.h5", episode) for k, episode in enumerate(episodes)]
    found = replayed_rollouts.reproduced(rollouts, ToyEnvironment(3), ReplayConfig())
    assert (found["rollouts"], found["kept"]) == (3, 1) and found["dropped"] == {"median gripper error": 1, "replay": 1}
    row = replayed_rollouts.table({"toy round0 actions 1": found}).rows[0]
    assert row[2:] == ("actions", "median gripper error (1), no success (1)", "1", "3", "1", "33%")
