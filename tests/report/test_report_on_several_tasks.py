import json
import re
import shutil
from dataclasses import replace
from statistics import fmean, stdev

import pytest

from ocrrl.cli import main
from ocrrl.commands.params import write
from ocrrl.layout import MULTITASK, Layout
from ocrrl.preset_params import resolve
from ocrrl.report.build_report import build_report, results_markdown
from ocrrl.report.harm import harm_table
from ocrrl.report.paper_results import AVERAGE, TABLE_1
from ocrrl.report.tables import average_table, retrained_table, success_table, table_1
from ocrrl.report.values import NONE, points, rate_with_interval, seconds_difference
from ocrrl.report.verdicts import TWIN_STATEMENT, targets
from ocrrl.stages.report_multitask import read_round

from .html_page import Page

SLUGS = tuple(TABLE_1)


@pytest.fixture
def measured(five_tasks, monkeypatch):
    """The round with the residual that is rolled out."""
    monkeypatch.chdir(five_tasks)
    return read_round(SLUGS, "round0", [0])


@pytest.fixture
def over_seeds(five_tasks, monkeypatch):
    monkeypatch.chdir(five_tasks)
    return read_round(SLUGS, "round0", [0, 1])


def judged(measured):
    """How each target stands, by the start of its text."""
    return {target.text: target.reached for target in targets(measured)}


def state(measured, start):
    (found,) = (reached for text, reached in judged(measured).items() if text.startswith(start))
    return found


def sound(text):
    page = Page(text)
    assert len(set(page.ids)) == len(page.ids)
    assert all(link.removeprefix("#") in page.ids for link in page.links)
    assert all(source.startswith("data:") for source in page.loaded)
    assert not re.search(r"url\(|@import|<script", text)
    return text


def test_the_page_is_sound_whole_and_the_same_every_time(measured, tmp_path):
    for name in ("one", "two"):
        build_report(measured, tmp_path / name, "ocrrl report_multitask")
    text = sound((tmp_path / "one/index.html").read_text())
    assert text.count("data:image/svg+xml;base64,") == 5
    assert "Missing" not in text and measured.missing == []
    for name in ("index.html", "results.md"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_table_1_holds_our_rates_and_the_paper_s_marked_as_the_paper_s(measured):
    table = table_1(measured)
    assert [row[0] for row in table.rows] == [*SLUGS, "average of 5"]
    assert all(title.startswith("paper, not ours, of 20: ") for title in table.header[5:])
    assert all("(simulated)" in title for title in table.header if "twin" in title)
    for task, row in zip(measured.tasks, table.rows, strict=False):
        entries = (task.main_cells[cell][variant] for cell in ("sim", "twin") for variant in ("base", "residual"))
        assert row[1:5] == tuple(rate_with_interval(entry) for entry in entries)
        assert row[5:] == tuple(
            TABLE_1[task.tabletop_task].successes(*place)
            for place in (("sim", "base"), ("sim", "residual"), ("twin", "base"), ("twin", "residual"))
        )
    assert table.rows[-1][5:] == ("7.6 ± 1.7", "17.2 ± 0.9", "8.4", "15.2")


def test_the_paper_s_averages_are_those_of_its_rows():
    for cell, variant in (("sim_base", 0), ("sim_residual", 0)):
        assert fmean(getattr(row, cell)[variant] for row in TABLE_1.values()) == pytest.approx(
            getattr(AVERAGE, cell)[0], abs=0.05
        )
    for name in ("real_base", "real_residual"):
        assert fmean(getattr(row, name) for row in TABLE_1.values()) == pytest.approx(getattr(AVERAGE, name))


def test_the_average_and_its_difference_agree_with_the_tasks(measured):
    for cell, found in measured.residual_averages.items():
        for variant, side in (("base", "first"), ("residual", "second")):
            mean = fmean(task.main_cells[cell][variant]["success_rate"] for task in measured.tasks)
            assert measured.average(cell, variant) == (pytest.approx(mean), None)
            assert found[side] == pytest.approx(mean)
        assert found["low"] < found["difference"] < found["high"]
        assert found["difference"] == pytest.approx(found["second"] - found["first"])
    assert [row[0] for row in average_table(measured).rows] == ["sim", "twin (simulated)"]


def test_over_seeds_there_are_mean_and_deviation_but_the_base_is_one(over_seeds):
    row = table_1(over_seeds).rows[0]
    rates = over_seeds.tasks[0].rates("sim", "residual")
    assert row[2] == f"{100 * fmean(rates):.0f}% ± {100 * stdev(rates):.0f}"
    assert "±" not in row[1]
    by_seed = [fmean(task.rates("twin", "residual")[k] for task in over_seeds.tasks) for k in (0, 1)]
    assert over_seeds.average("twin", "residual") == (pytest.approx(fmean(by_seed)), pytest.approx(stdev(by_seed)))
    assert over_seeds.residual_averages["twin"]["second"] == pytest.approx(fmean(by_seed))
    assert {"residual_0", "residual_1"} == set(over_seeds.tasks[0].curves)


def test_every_initial_state_that_the_residual_lost_is_counted(measured):
    for row in harm_table(measured).rows:
        task = next(task for task in measured.tasks if task.tabletop_task == row[0])
        pairs = task.main_cells["sim" if row[1] == "sim" else "twin"]["paired"]
        assert row[3].startswith(f"{pairs['only_base']} of {pairs['both'] + pairs['only_base']}, ") and row[3].endswith(
            "]%"
        )


def test_the_multi_task_vla_is_compared_with_each_other_variant(measured):
    rows = retrained_table(measured).rows
    assert [row[0] for row in rows[::4]] == [*SLUGS, "average of 5"]
    for row, variant in zip(rows[-4:], ("before", "retrained", "demonstrations_only", "base_rollouts"), strict=True):
        assert row[4] == f"{100 * measured.retrained_average(variant):.0f}%"
        assert row[7] == points(measured.retrained_averages.get(variant))
    found = measured.retrained_averages["before"]
    assert found["second"] == pytest.approx(measured.retrained_average("retrained"))
    assert found["first"] == pytest.approx(measured.retrained_average("before"))


def test_how_long_the_multi_task_vla_takes_is_held_against_each_other_variant(measured):
    rows = [row for row in retrained_table(measured).rows if row[0] == SLUGS[1]]
    entry = measured.retrained[SLUGS[1]]["twin"]
    assert rows[1][6] == f"{entry['retrained']['mean_steps_success'] / 20:.1f} s"
    assert rows[0][-1] == seconds_difference(entry["differences"]["before"]["steps"]) != NONE == rows[1][-1]


def test_a_list_of_one_is_a_report_on_that_task_without_its_name_in_every_row(five_tasks, monkeypatch):
    monkeypatch.chdir(five_tasks)
    alone, two = (read_round(SLUGS[:count], "round0", [0]) for count in (1, 2))
    assert [("cube_lift", *row) for row in success_table(alone).rows] == success_table(two).rows[:4]
    assert ("tabletop task", *success_table(alone).header) == success_table(two).header
    text = results_markdown(alone)
    assert text.startswith("# cube_lift, round 0\n") and "Table 1:" not in text and "average of" not in text


def test_what_is_a_twin_is_said_at_the_top_and_in_the_markdown(measured, tmp_path):
    build_report(measured, tmp_path, "ocrrl report_multitask")
    text = (tmp_path / "index.html").read_text()
    assert text.index(TWIN_STATEMENT) < text.index("<main>")
    assert TWIN_STATEMENT in (tmp_path / "results.md").read_text()
    assert "Nothing here was measured on a robot" in text


def test_every_target_is_judged_and_a_missed_one_is_said(measured):
    assert None not in judged(measured).values()
    task = measured.tasks[1]
    task.main["sim"]["base"]["success_rate"] = 0.05
    task.main["sim"]["residual"]["success_rate"] = 0.5
    task.main["twin"]["difference"].update(difference=-0.2, low=-0.3, high=-0.1)
    task.main["sim"]["steps_difference"]["high"] = 1.0
    task.replay["counts"]["successes"] = 20
    for start in (
        "sim: every base in 10 to 70%",
        "sim: base + residual at least 73%",
        "twin: no task significantly below",
        "sim: successes shorter",
        "replay in simulation",
    ):
        assert state(measured, start) is False, start


def test_a_later_round_is_held_against_the_round_before(measured):
    later = replace(measured, round=1)
    texts = set(judged(later))
    assert not any("every base in 10 to 70%" in text or "30 points above the bases" in text for text in texts)
    before = "twin: multi-task VLA's five-task average not below the round before's (95% interval)"
    assert judged(later)[before] is True
    worse = {"before": {"difference": -0.1, "low": -0.15, "high": -0.05, "first": 0.9, "second": 0.8}}
    assert judged(replace(later, retrained_averages=worse))[before] is False


def test_a_part_that_is_not_there_is_named_and_no_average_is_made_up(here):
    evaluation = Layout("stand_cup_up").evaluation(0)
    evaluation.unlink()
    shutil.rmtree(Layout("stand_cup_up").evaluation_episodes(0))
    Layout("cube_lift").replay_report.unlink()
    found = read_round(SLUGS, "round0", [0])
    assert any(str(evaluation) in name and name.startswith("stand_cup_up: ") for name in found.missing)
    assert found.residual_averages == {} and found.average("sim", "residual") is None
    assert table_1(found).rows[4][1:5] == (NONE,) * 4 == table_1(found).rows[5][1:5]
    for start in ("sim: five-task", "twin: five-task average of", "twin: five-task average at least", "replay in"):
        assert state(found, start) is None, start
    assert "stand_cup_up –" in results_markdown(found)
    build_report(found, here / "out", "ocrrl report_multitask")
    assert str(evaluation) in sound((here / "out/index.html").read_text())


def test_a_residual_seed_without_single_episodes_leaves_no_average_of_others(here):
    shutil.rmtree(Layout("cube_lift").evaluation_episodes(1))
    assert read_round(SLUGS, "round0", [0, 1]).residual_averages == {}


def test_without_anything_the_page_says_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = read_round(SLUGS, "round0", [0])
    build_report(found, tmp_path / "out", "ocrrl report_multitask")
    text = sound((tmp_path / "out/index.html").read_text())
    for part in ("evaluation of base and base + residual", "the retrained VLA", "learning curves", "replay report"):
        assert part in text
    assert set(judged(found).values()) == {None}
    assert "No average over all tabletop tasks" in text and "Not measured." in (tmp_path / "out/results.md").read_text()


def test_an_average_of_fewer_tasks_is_not_called_the_five_tasks(here):
    found = read_round(SLUGS[:2], "round0", [0])
    assert table_1(found).rows[-1][0] == "average of 2"
    assert table_1(found).rows[-1][5:] == (NONE,) * 4
    assert found.residual_averages["sim"]["tasks"] == 2
    for start in ("sim: five-task", "twin: five-task average of", "twin: multi-task VLA's five-task average above"):
        assert {reached for text, reached in judged(found).items() if text.startswith(start)} == {None}


def test_variants_that_started_elsewhere_are_refused(here):
    path = Layout(MULTITASK).retrained_evaluation
    content = json.loads(path.read_text())
    content["episodes"]["stack_cube"]["twin"]["before"].reverse()
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="stack_cube: before and retrained must have run the same seeds"):
        read_round(SLUGS, "round0", [0])


def test_the_stage_writes_the_page_of_the_residual_that_is_rolled_out(here):
    write(resolve("smoke", list(SLUGS)), "smoke")
    assert main(["report_multitask", "--round", "round0"]) == 0
    results = (Layout(MULTITASK).report / "results.md").read_text()
    assert results == results_markdown(read_round(SLUGS, "round0", [0]))
    assert sound((Layout(MULTITASK).report / "index.html").read_text())


def test_a_task_of_another_paper_has_no_number_beside_it(measured):
    measured.tasks[0] = replace(measured.tasks[0], tabletop_task="press_button")
    assert table_1(measured).rows[0][5:] == (NONE,) * 4
    assert table_1(measured).rows[-1][5:] == (NONE,) * 4
