"""What a report shows beyond its own round's stages: evaluation sessions, earlier rounds, what a gate's calibration says of harm."""

import json
import shutil

import pytest

from ocrrl.layout import MULTITASK, Layout
from ocrrl.report.build_report import build_report
from ocrrl.report.rounds import of_round, rounds_table
from ocrrl.report.values import lost_of_solved
from ocrrl.stages.report_multitask import read_round

SLUGS = ("cube_lift", "stack_cube")
PLAN = "ab" * 32
SEQUENTIAL = {
    **{
        "decision": "better",
        "decided_after": 9,
        "pairs": 9,
        "difference": 0.78,
        "low": 0.12,
        "high": 0.98,
        "p_value": 0.011,
    },
    **{"plan": PLAN, "unlocked_early": False},
}


@pytest.fixture
def session(here):
    """A blind session of the rehearsal cell that has ended, with the numbers of the twin's evaluation."""
    folder = here / "data/sessions/rehearsal/cube_lift/monday"
    folder.mkdir(parents=True)
    identity = {"purpose": "evaluate", "tabletop_task": "cube_lift", "cell": "rehearsal", "round": "round0"}
    measured = json.loads(Layout("cube_lift").evaluation(0).read_text())["twin"]
    (folder / "session.json").write_text(json.dumps(identity))
    (folder / "evaluation.json").write_text(json.dumps({"rehearsal": measured | {"sequential": SEQUENTIAL}}))
    return folder


def read(folder, round_name="round0"):
    return read_round(SLUGS, round_name, [0], {"cube_lift": (str(folder.relative_to(folder.parents[4])),)})


def changed(path, **values):
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_a_session_s_verdict_stands_in_the_page_with_its_plan_and_harm(session, tmp_path):
    build_report(read(session), tmp_path / "report", "ocrrl report_multitask")
    text = (tmp_path / "report/results.md").read_text()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if "monday" in line]
    assert "monday" in (tmp_path / "report/index.html").read_text()
    assert len(rows) == 1 and rows[0][:3] == ["cube_lift", "rehearsal (simulated)", "monday"]
    measured = json.loads((session / "evaluation.json").read_text())["rehearsal"]
    lost = lost_of_solved(measured["paired"]["only_base"], measured["base"]["successes"])
    said = "Sequential test: better after 9 of 9 pairs, +78 [+12, +98] points, p 0.011 at any look"
    assert rows[0][5:] == [lost, said, f"{PLAN[:12]}..."]


def test_a_session_with_a_fixed_number_of_episodes_has_a_difference_and_no_plan(session, tmp_path):
    content = json.loads((session / "evaluation.json").read_text())
    del content["rehearsal"]["sequential"]
    (session / "evaluation.json").write_text(json.dumps(content))
    build_report(read(session), tmp_path / "report", "ocrrl report_multitask")
    (row,) = [line for line in (tmp_path / "report/results.md").read_text().splitlines() if "monday" in line]
    assert row.split("|")[7].strip().endswith("points") and row.split("|")[8].strip() == "–"


def test_pairs_that_are_not_compared_are_counted(session, tmp_path):
    """Of a session until decided those that were not needed are not missed."""
    left_out = [{"seed": 3, "variant": "base", "faults": ["camera"]}]
    content = json.loads((session / "evaluation.json").read_text())
    content["rehearsal"]["pairs"] = {"planned": 100, "complete": 59, "still_to_run": 40, "left_out": left_out}

    def verdict():
        (session / "evaluation.json").write_text(json.dumps(content))
        build_report(read(session), tmp_path / "report", "ocrrl report_multitask")
        (row,) = [line for line in (tmp_path / "report/results.md").read_text().splitlines() if "monday" in line]
        return row.split("|")[7].strip()

    assert verdict().endswith("p 0.011 at any look; 1 of 100 pairs left out")
    del content["rehearsal"]["sequential"]
    assert verdict().endswith("points; 40 of 100 pairs still to run; 1 of 100 pairs left out")


def test_a_session_is_shown_with_the_round_that_it_evaluated(session):
    assert [len(task.sessions) for task in read(session).tasks] == [1, 0]
    changed(session / "session.json", round="round1")
    assert [len(task.sessions) for task in read(session).tasks] == [0, 0]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda f: changed(f / "session.json", purpose="rollout"),
            "purpose of session.json must be .evaluate., got 'rollout'",
        ),
        (
            lambda f: changed(f / "session.json", tabletop_task="stack_cube"),
            "tabletop_task of session.json must be 'cube_lift'",
        ),
        (
            lambda f: (f / "evaluation.json").unlink(),
            r"must hold evaluation.json.*ended.*`ocrrl unlock .*monday --early`",
        ),
        (lambda f: changed(f / "session.json", cell="fr3"), "evaluation.json must have measured fr3"),
        (
            lambda f: (f / "session.json").unlink(),
            r"^tabletop_tasks\.cube_lift\.evaluations: .*monday must hold session\.json, which is missing; name the folder of",
        ),
    ],
)
def test_what_is_no_evaluation_that_has_ended_is_named(session, spoil, message):
    spoil(session)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        read(session)


def test_a_later_round_goes_on_with_the_table_of_the_one_before(here):
    for slug in (*SLUGS, MULTITASK):
        first, second = Layout(slug), Layout(slug, "round1")
        for path in (first.evaluation(0), first.retrained_evaluation, first.replay_report):
            if path.is_file():
                later = here / str(path).replace("round0", "round1")
                later.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, later)
        assert first.report != second.report
    for name in ("round0", "round1"):
        build_report(read_round(SLUGS, name, [0]), Layout(MULTITASK, name).report, "ocrrl report_multitask")
    assert "Success over rounds" not in (Layout(MULTITASK).report / "results.md").read_text()
    page = (Layout(MULTITASK, "round1").report / "index.html").read_text()
    assert "Success over rounds" in page and "multi-task VLA alone over rounds" in page
    rounds = json.loads((Layout(MULTITASK, "round1").report / "rounds.json").read_text())["rounds"]
    assert [found["round"] for found in rounds] == [0, 1] and rounds[0]["tabletop_tasks"] == rounds[1]["tabletop_tasks"]
    table = rounds_table(read_round(SLUGS, "round1", [0]))
    assert [row[0] for row in table.rows] == ["demonstrations", "round 0", "round 1"]
    assert table.rows[1][1:] == table.rows[2][1:] and table.rows[0][1] != table.rows[1][1]


def test_without_the_report_of_the_round_before_it_is_named_as_missing(here):
    found = read_round(SLUGS, "round1", [0])
    assert any("report of the round before" in name for name in found.missing) and not found.earlier
    assert of_round(found)["average"] is None


def test_what_a_calibrated_gate_says_of_harm_stands_in_the_report(here, tmp_path):
    statement = "in sim harm net of a placebo is at most 5% of the states that the base solves, with 90% confidence"
    folder = Layout("cube_lift").residual(0)
    (folder / "config.json").write_text(json.dumps({"gate": {"calibration": {"statement": statement}}}))
    build_report(read_round(SLUGS, "round0", [0]), tmp_path / "report", "ocrrl report_multitask")
    assert f"cube_lift, calibrated on validation states: {statement}" in (tmp_path / "report/results.md").read_text()
