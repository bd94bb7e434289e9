from dataclasses import replace

import pytest

from ocrrl.interface.actions import CONTROL_HZ
from ocrrl.report.inputs import ReportInputs, TaskInputs, read_inputs
from ocrrl.report.table import Table, html_table, markdown_table
from ocrrl.report.tables import data_table, success_table
from ocrrl.report.values import STEPS_PER_SECOND, cell_label, percent, seconds
from ocrrl.report.verdicts import shortfalls, targets


def of_task(measured, slug):
    return replace(measured, tasks=[replace(measured.tasks[0], tabletop_task=slug)])


def test_markdown_columns_line_up_words_left_and_numbers_right():
    table = Table(("where", "n"), [("sim", "5"), ("twin | a", "100")])
    assert (
        markdown_table(table) == "| where     |   n |\n|-----------|----:|\n| sim       |   5 |\n| twin \\| a | 100 |\n"
    )


def test_names_from_outside_are_no_markup_and_code_stays_code():
    rows = [("*a* [b](c) <script>x\n# d",), ("`data/x`",)]
    text = markdown_table(Table(("x",), rows))
    assert "| \\*a\\* [b\\](c) &lt;script>x\\\\n# d |" in text and "| `data/x` " in text


def test_lengths_are_at_the_control_rate():
    assert STEPS_PER_SECOND == CONTROL_HZ


def test_html_is_escaped():
    assert '<td class="text">a &lt;b&gt;</td>' in html_table(Table(("x",), [("a <b>",)]))


def test_no_twin_passes_for_a_robot_and_a_robot_is_called_one():
    assert cell_label("twin") == "twin (simulated)"
    assert cell_label("wire_twin") == "wire_twin (simulated)"
    assert cell_label("rehearsal") == "rehearsal (simulated)"
    assert cell_label("fr3") == "fr3 (robot)"


def test_units():
    assert (percent(0.123), percent(-0.2, signed=True), percent(None)) == ("12%", "-20%", "–")
    assert (seconds(50), seconds(None)) == ("2.5 s", "–")


def test_the_base_is_listed_once_beside_several_residuals(inputs):
    rows = success_table(read_inputs(inputs)).rows
    assert [row[:3] for row in rows] == [
        (cell, policy, seed)
        for cell in ("sim", "twin (simulated)")
        for policy, seed in [("base VLA", "–"), *(("base + residual", s) for s in "012")]
    ]


def test_rollouts_that_fell_short_are_said_to(inputs):
    measured = read_inputs(inputs)
    assert any("60 were wanted" in cell for row in data_table(measured).rows for cell in row)
    assert any("Only 52 of the 60 wanted base rollouts" in sentence for sentence in shortfalls(measured))


def test_targets_are_judged_by_the_numbers(inputs):
    measured = read_inputs(inputs)
    judged = {target.text: target for target in targets(measured)}
    sim = measured.tasks[0].main_cells["sim"]["residual"]["success_rate"]
    assert judged["sim: base + residual in at least 95%"].reached == (sim >= 0.95)
    assert judged["retrained VLA better than before (95% interval above 0)"].reached


@pytest.mark.parametrize(("task", "least"), [("stack_cube", 0.73), ("close_drawer", 0.86)])
def test_every_tabletop_task_has_targets(inputs, task, least):
    measured = of_task(read_inputs(inputs), task)
    judged = {target.text: target for target in targets(measured)}
    sim = measured.tasks[0].main_cells["sim"]
    assert judged[f"sim: base + residual in at least {percent(least)}"].reached == (
        sim["residual"]["success_rate"] >= least
    )
    assert judged["sim: base succeeds in 10 to 70%"].measured == percent(sim["base"]["success_rate"])
    assert sum("not below its base" in text for text in judged) == 2
    assert not any("retrained" in text for text in judged)


def test_targets_without_numbers_are_not_measured():
    assert {target.reached for target in targets(read_inputs(ReportInputs((TaskInputs("stand_cup_up"),))))} == {None}


def test_a_residual_is_below_its_base_when_the_whole_interval_is(inputs):
    measured = of_task(read_inputs(inputs), "stack_cube")
    sim = measured.tasks[0].evaluations[0]["sim"]

    def reached(low, high):
        sim["difference"] = {"difference": (low + high) / 2, "low": low, "high": high, "mcnemar_p": 0.01}
        return next(
            target.reached for target in targets(measured) if target.text.startswith("sim: base + residual not")
        )

    assert (reached(-0.2, 0.1), reached(-0.2, -0.1), reached(0.1, 0.2)) == (True, False, True)
