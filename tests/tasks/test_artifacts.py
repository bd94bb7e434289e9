"""What stages wrote becomes Markdown; nothing that is missing or null stops it."""

import json
import logging
from pathlib import Path
from xml.etree import ElementTree

import h5py
import numpy as np
import pytest

from ocrrl.cli import MULTITASK_STAGES, STAGES
from tasks import artifacts, data_results, evaluation_results, stage_results, training_results
from tasks.child_process import Outcome
from tasks.episode_files import contact_sheet, key_frames, list_episodes
from tasks.flow_summary import Ending, summary_page
from tasks.graph import Stage
from tasks.line_chart import Line, Mark, line_chart, ticks
from tasks.lineage_tree import lineage_tree
from tasks.markdown import (
    cell,
    code,
    difference,
    duration,
    fitting,
    inline_code,
    interval,
    millimetres,
    number,
    percent,
    shown_as_text,
    table,
)
from tasks.results import NO_ROBOT, Results, cell_name
from tasks.stage_results import lineage_page, results_page

SUCCESSES = {
    "successes": 13,
    "episodes": 100,
    "success_rate": 0.13,
    "wilson_low": 0.0776,
    "wilson_high": 0.2098,
    "mean_steps_success": 80.9,
}
NONE_SUCCEEDED = SUCCESSES | {"successes": 0, "success_rate": 0.0, "wilson_low": 0.0, "mean_steps_success": None}
DIFFERENCE = {"difference": 0.74, "low": 0.633, "high": 0.81, "mcnemar_p": 1e-22}
PAIRED = {"both": 13, "only_base": 0, "only_residual": 74, "neither": 13}
EVALUATION = {
    "tabletop_task": "cube_lift",
    "round": 0,
    "residual_seed": 2,
    "twin": {"base": NONE_SUCCEEDED, "residual": SUCCESSES, "paired": PAIRED, "difference": DIFFERENCE},
    "sim": {"base": SUCCESSES, "residual": SUCCESSES, "paired": PAIRED, "difference": None},
}
INGEST = {
    "counts": {"accepted": 1, "rejected": 1},
    "source_format": "ocrrl",
    "accepted": [{"source": "episode_000000.h5", "length": 1546}],
    "rejected": [{"source": "episode_000001.h5", "reason": "success must be true | got false"}],
}
REPLAY = {
    "config": {"require_success": True, "max_gripper_error": 0.03, "max_object_error": 0.03, "max_slip": 0.02},
    "counts": {"episodes": 2, "replayed": 2, "successes": 1, "kept": 1, "dropped": 1},
    "dropped": [{"source": "episode_000001.h5", "reason": "the replay must succeed"}],
    "kept": ["episode_000000.h5"],
    "quality": [
        {"gripper_error_median": 0.004, "object_error_median": None, "slip": None},
        {"gripper_error_median": 0.006, "object_error_median": None, "slip": 0.001},
    ],
}
TRAINING = {
    "steps": 400,
    "episodes": 30,
    "frames": 1546,
    "batch_size": 64,
    "learning_rate": 0.001,
    "seed": 0,
    "policy": {"type": "compact_vla"},
    "loss": [{"step": 4, "loss": 0.6767}, {"step": 8, "loss": None}, {"step": 400, "loss": 0.4741}],
}
CURVE = {
    "points": [
        {"transitions": 0, "validation_success": 0.32, "training_success": None, "critic_loss": 0.0},
        {"transitions": 8000, "validation_success": None, "training_success": 0.1, "critic_loss": 1.5},
        {"transitions": 48000, "validation_success": 0.98, "training_success": 0.9, "critic_loss": 3.4},
    ]
}
RESIDUAL = {
    "selected": {"transitions": 48000, "validation_success": 0.98},
    "config": {"validation_episodes": 50, "total_transitions": 64000, "stop_at_success": 0.95},
}


def stage(kind, *outputs, **more):
    return Stage(f"{kind}@cube_lift", f"ocrrl {kind} cube_lift --round round0", (), outputs, **more)


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))


def rows_of(text):
    """The tables' rows as lists of texts, no-break spaces as spaces."""
    lines = [line for line in text.replace("\N{NO-BREAK SPACE}", " ").splitlines() if line.startswith("|")]
    return [[part.strip() for part in line.strip("|").split(" | ")] for line in lines]


def test_values_are_written_for_people_and_unknown_ones_as_a_dash():
    assert [percent(0.134), number(48000), number(0.4741, 3), millimetres(0.00321)] == [
        "13%",
        "48,000",
        "0.474",
        "3.2\N{NO-BREAK SPACE}mm",
    ]
    assert interval(0.0776, 0.2098).split() == ["8", "to", "21%"]
    assert difference(DIFFERENCE).split() == ["+74", "[+63,", "+81]"]
    assert [duration(3.21), duration(250), duration(7500)] == [
        text.replace(" ", "\N{NO-BREAK SPACE}") for text in ("3.2 s", "4 min 10 s", "2 h 05 min")
    ]
    unknown = [percent(None), number(None), millimetres(None), interval(None, 0.5), difference(None), duration(None)]
    assert {*unknown, cell(None), cell("")} == {"–"}


def test_signs_in_a_table_stay_what_they_are():
    assert cell("a | b <c> *d*\ne") == r"a \| b \<c\> \*d\* e".replace(r"\>", ">")
    assert cell("`record@cube_lift.log`") == "`record@cube_lift.log`"


def test_a_long_table_is_cut_and_says_so():
    assert table(("n",), [(k,) for k in range(50)], most_rows=40).endswith("| 39 |\n\nand 10 more")


def test_a_fence_is_longer_than_those_in_the_text():
    assert code("x\n```\ny").startswith("````\n")


def test_a_page_that_is_too_large_loses_its_pictures_before_its_words():
    picture = f"![curve](data:image/jpeg;base64,{'A' * 5000})"
    assert fitting(f"words\n\n{picture}", 1000).startswith("words\n\n*(picture left out")
    cut = fitting("line\n" * 1000, 1000)
    assert len(cut) <= 1000 and cut.endswith("*(cut: the rest is too long)*")


@pytest.mark.parametrize(("cell", "name"), [("twin", "no robot"), ("rehearsal", "no robot"), ("fr3", "fr3 (robot)")])
def test_no_twin_passes_for_a_robot(cell, name):
    assert name in cell_name(cell)


def test_evaluation_shows_both_policies_in_each_cell_with_intervals_and_held_out_seeds():
    episodes = {"cells": {"twin": {"episodes": [{"seed": 2000000}, {"seed": 2000099}]}}}
    found = evaluation_results.evaluated(EVALUATION, episodes)
    rows = rows_of(found.body)
    assert ["simulator", "base", "13 / 100", "13%", "8 to 21%", "81"] in rows
    assert ["twin (simulated, no robot)", "base", "0 / 100", "0%", "0 to 21%", "–"] in rows
    assert ["twin (simulated, no robot)", "13", "74", "0", "13", "+74 [+63, +81]"] in rows
    assert ["simulator", "13", "74", "0", "13", "–"] in rows
    assert "2 held-out initial states, seeds 2000000 to 2000099. Residual of seed 2." in found.body
    assert NO_ROBOT in found.body
    assert found.headline.startswith("0% → 13% in twin (simulated, no robot)")


def test_the_retrained_vla_stands_beside_its_control_arms():
    cells = {
        "twin": {"before": SUCCESSES, "retrained": SUCCESSES, "differences": {"before": {"success_rate": DIFFERENCE}}}
    }
    found = evaluation_results.retrained({"tabletop_tasks": {"cube_lift": cells}})
    assert rows_of(found.body)[2:] == [
        ["VLA before", "13 / 100", "13%", "8 to 21%", "81", "+74 [+63, +81]"],
        ["VLA retrained on corrected rollouts", "13 / 100", "13%", "8 to 21%", "81", "–"],
    ]
    assert "### cube_lift, twin (simulated, no robot)" in found.body and "Held-out initial states." in found.body


def test_several_tabletop_tasks_have_their_mean_as_headline():
    arms = {"before": SUCCESSES, "retrained": SUCCESSES | {"success_rate": 0.53}}
    cells = {slug: {"twin": arms} for slug in ("cube_lift", "stack_cube")}
    found = evaluation_results.retrained({"tabletop_tasks": cells})
    assert found.headline.startswith("13% → 53%, mean of 2 tabletop tasks in twin (simulated, no robot)")
    assert "### stack_cube, twin (simulated, no robot)" in found.body
    cells["stack_cube"] = {"twin": {"retrained": SUCCESSES}}
    assert evaluation_results.retrained({"tabletop_tasks": cells}).headline.startswith("– → 33%, mean of 2")


def test_a_promotion_shows_both_vlas_on_validation_states_and_which_goes_on():
    metrics = {"promoted": False, "before": SUCCESSES, "retrained": NONE_SUCCEEDED, "difference": DIFFERENCE}
    found = evaluation_results.promoted(metrics)
    assert found.headline.startswith("not promoted") and "13% → 0% on validation states" in found.headline
    assert ["VLA before", "13 / 100", "13%", "8 to 21%", "81"] in rows_of(found.body) and NO_ROBOT in found.body
    assert evaluation_results.promoted(metrics | {"promoted": True}).headline.startswith("promoted; ")


def test_refused_recordings_are_named_with_the_reason():
    found = data_results.ingested(INGEST, [{"cell": "twin"}])
    assert found.headline == "1 of 2 recordings accepted, 1 refused"
    assert r"| episode_000001.h5 | success must be true \| got false |" in found.body
    assert ["cell", "twin (simulated, no robot)"] in rows_of(found.body)


def test_a_replay_shows_errors_beside_their_thresholds():
    found = data_results.replayed(REPLAY)
    rows = rows_of(found.body)
    assert found.headline == "1 of 2 episodes kept, 1 of 2 replays succeeded"
    assert ["episode_000001.h5", "the replay must succeed"] in rows
    assert ["gripper error (episode's median)", "2", "5.0 mm", "6.0 mm", "30.0 mm"] in rows
    assert ["object error (episode's median)", "0", "–", "–", "30.0 mm"] in rows
    assert ["slip of the object in the gripper", "1", "1.0 mm", "1.0 mm", "20.0 mm"] in rows


def test_rollouts_show_their_policy():
    arm = {"attempts": SUCCESSES, "cell": "twin", "recorded": 13, "wanted": 60}
    corrected = data_results.rolled_out({"corrected": arm, "residual_seed": 3})
    base = data_results.rolled_out({"base": arm})
    counted = ["twin (simulated, no robot)", "100", "13", "13%", "8 to 21%", "13 of 60"]
    assert rows_of(corrected.body)[2:] == [["base + residual", *counted]]
    assert rows_of(base.body)[2:] == [["base alone", *counted]]
    assert "Residual of seed 3." in corrected.body and "seed" not in base.body


def test_a_training_set_is_counted_by_kind_and_cell():
    episodes = [
        {"kind": "demonstration", "cell": "twin", "length": 50},
        {"kind": "rollout", "cell": "fr3", "length": 30},
    ]
    assert rows_of(data_results.training_sets({"set": episodes * 2}).body)[2:] == [
        ["set", "demonstrations", "twin (simulated, no robot)", "2", "100"],
        ["set", "rollouts of base + residual", "fr3 (robot)", "2", "60"],
    ]


def test_fine_tuning_shows_the_loss_as_a_curve_and_its_ends():
    found = training_results.finetuned({"vla_real": TRAINING})
    assert found.headline == "loss 0.677 → 0.474 in 400 steps: vla_real"
    assert "data:image/svg+xml;base64," in found.body
    assert rows_of(found.body)[-1] == ["vla_real", "400", "30", "1,546", "0.677", "0.474"]


def test_a_run_without_a_point_has_no_curve_and_no_error():
    found = training_results.finetuned({"vla_real": TRAINING | {"loss": []}})
    assert "No curve" in found.body and found.headline.startswith("loss – → –")
    assert "No curve" in training_results.learned({"points": []}, {}).body


def test_the_learning_curve_names_the_chosen_checkpoint():
    found = training_results.learned(CURVE, RESIDUAL)
    assert found.headline == "98% on validation states at 48,000 transitions, chosen; 32% before training"
    rows = rows_of(found.body)
    assert rows[2] == ["0", "32%", "–", "–", "0.00", ""] and rows[4][-1] == "chosen"
    assert "64,000 transitions or 95% validation success" in found.body


def test_a_chart_is_an_svg_with_its_lines_and_its_mark():
    drawing = line_chart(
        [Line("a", [(0, 0.1), (50_000, 0.9)], dots=True), Line("b", [])],
        "x",
        "y",
        (0, 1),
        mark=Mark("best <", 50_000, 0.9),
    )
    texts = [element.text for element in ElementTree.fromstring(drawing).iter() if element.text]
    assert {"x", "y", "50k", "best <"} <= set(texts) and "b" not in texts


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0, 0.68), (0, 64_000), (0, 0), (-3, 7), (0.5, 0.5001)])
def test_ticks_are_few_and_hold_the_values(low, high):
    found = ticks(low, high)
    assert found[0] <= low and high <= found[-1] and 2 <= len(found) <= 8


def test_every_stage_of_the_pipeline_has_something_to_show():
    assert set(stage_results.READERS) == {*STAGES, *MULTITASK_STAGES}


def test_where_files_are_missing_the_page_says_which(tmp_path):
    for kind, output, named in (
        ("record", "data/episodes", "data/episodes is not there"),
        ("ingest", "data/metrics/ingest.json", "data/metrics/ingest.json is not there"),
        ("finetune", "data/vla_sim", "data/vla_sim/training.json is not there"),
        ("train_residual", "data/residual_0", "data/residual_0/curve.json is not there"),
        ("training_set", "data/set", "data/set/sidecar/episodes.json is not there"),
        ("publish", "data/vla", "data/vla is not there"),
        ("report", "data/report", "data/report has no index.html and results.md"),
        ("report_multitask", "data/report", "data/report has no index.html and results.md"),
        ("retrain_multitask", "data/vla_retrained", "data/vla_retrained/training.json is not there"),
        ("evaluate_multitask", "data/multitask.json", "data/multitask.json is not there"),
        ("evaluate", "data/evaluations", "dvc.yaml names no JSON file among the outputs of evaluate@cube_lift"),
    ):
        page = results_page(stage(kind, output), tmp_path)
        assert page and named in page.body and page.headline.startswith("nothing to show"), kind


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"counts": null}', '{"counts": {"accepted": 1}}'])
def test_a_file_with_other_contents_is_no_error(tmp_path, content):
    write(tmp_path / "ingest.json", content)
    page = results_page(stage("ingest", "data/dataset", "ingest.json"), tmp_path)
    assert page and "nothing to show" in page.headline.lower()


def test_a_stage_of_another_kind_shows_nothing(tmp_path):
    assert results_page(stage("sweep"), tmp_path) is None and lineage_page(stage("record"), tmp_path) is None


def test_a_page_tells_the_stage_and_what_it_wrote(tmp_path):
    write(tmp_path / "metrics.json", EVALUATION)
    page = results_page(stage("evaluate", "data/evaluations", "metrics.json"), tmp_path)
    assert page and page.body.startswith("## evaluate · cube_lift · round0\n")
    assert page.body.endswith("Written: `data/evaluations`, `metrics.json`")


def test_the_report_is_shown_with_its_path(tmp_path):
    write(tmp_path / "report/index.html", "<html>")
    write(tmp_path / "report/results.md", "# cube_lift, round 0\n\n## Base\n\nNot measured.\n")
    page = results_page(stage("report", "report"), tmp_path)
    assert page and "### Base\n\nNot measured." in page.body and f"file://{tmp_path}/report/index.html" in page.body


def test_the_lineage_is_a_mermaid_drawing(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(stage_results, "_child", lambda command, workspace: asked.append(command) or b"flowchart TD\n")
    for kind in ("retrain", "retrain_multitask"):
        page = lineage_page(stage(kind, "data/vla_retrained", "data/vla_control"), tmp_path)
        assert asked.pop() == ["ocrrl", "lineage", "data/vla_retrained", "--format", "mermaid"]
        assert page and "```mermaid\nflowchart TD\n```" in page.body


def test_the_lineage_is_told_as_text_too_each_thing_once():
    flowchart = """flowchart TD
    a0["data/vla<br/>VLA 1234<br/>1 MB"]
    a1["data/set<br/>training set"]
    a2["data/#quot;mine#quot;"]
    a1 -->|"retrain@x"| a0
    a2 -->|"ingest"| a1
    a1 -->|"again"| a0"""
    assert lineage_tree(flowchart).splitlines() == [
        "data/vla  VLA 1234  1 MB",
        "├─ retrain@x: data/set  training set",
        '│  └─ ingest: data/"mine"',
        "└─ again: data/set, see above",
    ]
    assert lineage_tree("flowchart TD") == ""
    circle = 'a0["VLA"]\na1["rollouts"]\na0 -->|"rollout"| a1\na1 -->|"retrain"| a0'
    assert lineage_tree(circle) == "VLA\n└─ retrain: rollouts\n   └─ rollout: VLA, see above"


@pytest.fixture
def episodes(tmp_path) -> Path:
    for k, success in enumerate((True, False)):
        with h5py.File(tmp_path / f"episode_{k:06d}.h5", "w") as file:
            file["action"] = np.zeros((40 + k, 7))
            file["images/front"] = np.full((40 + k, 8, 12, 3), 90, np.uint8)
            file.attrs.update({"cell": "twin", "success": success})
    (tmp_path / "episode_000002.h5").write_text("cut short")
    return tmp_path


def test_recordings_are_listed_and_what_cannot_be_read_is_named(episodes):
    found = data_results.recordings(list_episodes(episodes))
    assert found.headline == "2 episodes recorded, 1 unreadable" and "| episode_000002.h5 |" in found.body
    assert rows_of(found.body)[2] == ["twin (simulated, no robot)", "2", "1", "40", "40", "41"]


def test_key_frames_are_a_jpeg_and_there_are_none_without_pictures(episodes):
    assert contact_sheet(key_frames(episodes / "episode_000000.h5")).startswith(b"\xff\xd8")
    with pytest.raises(ValueError, match="no pictures"):
        contact_sheet({})


def test_key_frames_that_cannot_be_drawn_are_said_on_the_page(episodes):
    (episodes / "episode_000000.h5").write_text("cut short")
    page = results_page(stage("record", "."), episodes)
    assert page and "No pictures: `python -I` failed: OSError" in page.body


@pytest.fixture
def sent(monkeypatch):
    found = {}

    def create(markdown, key, description):
        found[key] = (description, markdown)

    monkeypatch.setattr(artifacts, "create_markdown_artifact", create)
    monkeypatch.setattr(artifacts, "get_run_logger", lambda: logging.getLogger("run"))
    return found


def test_an_artifact_never_makes_a_stage_fail(tmp_path, sent, monkeypatch, caplog):
    def unreachable(markdown, key, description):
        raise ConnectionError("no server")

    monkeypatch.setattr(artifacts, "create_markdown_artifact", unreachable)
    write(tmp_path / "log", "the end")
    artifacts.show_results(stage("finetune", "data/vla"), tmp_path)
    artifacts.show_failure(stage("finetune", "data/vla"), Outcome(1, tmp_path / "log"))
    assert [record.message.partition(":")[0] for record in caplog.records] == [
        "results of finetune · cube_lift · round0 could not be shown",
        "the failure of finetune · cube_lift · round0 could not be shown",
    ]


def test_a_lineage_that_fails_leaves_the_results(tmp_path, sent, monkeypatch, caplog):
    def no_lineage(stage, workspace):
        raise RuntimeError("`ocrrl lineage` failed: dvc.lock must be there")

    monkeypatch.setattr(artifacts, "lineage_page", no_lineage)
    artifacts.show_results(stage("retrain", "data/vla"), tmp_path)
    assert list(sent) == ["retrain-cube-lift-round0-results"] and "dvc.lock must be there" in caplog.text


def test_keys_are_the_same_in_every_run():
    assert artifacts.key(stage("train_residual"), "results") == "train-residual-cube-lift-round0-results"
    assert artifacts.as_key("self-improve", "", "summary") == "self-improve-summary"


def test_a_failure_shows_the_whole_reason_and_the_log(tmp_path, sent):
    reason = "ValueError: " + "word " * 40 + "and this is why"
    write(tmp_path / "log", f"working\n{reason}")
    artifacts.show_failure(stage("replay"), Outcome(1, tmp_path / "log"))
    headline, body = sent["replay-cube-lift-round0-failure"]
    assert headline == "replay · cube_lift · round0 failed with exit code 1"
    assert "and this is why" in body and max(len(line) for line in body.splitlines()[:10]) <= 80
    assert f"Whole log: `{tmp_path / 'log'}`" in body and "finished stages are kept" in body


def test_a_failure_without_a_log_is_shown_too(tmp_path, sent):
    write(tmp_path / "log", "")
    artifacts.show_failure(stage("replay"), Outcome(137, tmp_path / "log"))
    assert "(the log is empty)" in sent["replay-cube-lift-round0-failure"][1]


def test_the_summary_counts_how_stages_ended(tmp_path):
    endings = [
        Ending("record · x", "unchanged"),
        Ending("ingest · x", "ran", 12.34, tmp_path / "ingest@x.log"),
        Ending("replay · x", "failed", None, tmp_path / "replay@x.log"),
        Ending("report · x", "not run"),
    ]
    page = summary_page(endings)
    assert page.headline == "4 stages: 1 failed, 1 not run, 1 ran, 1 unchanged"
    assert rows_of(page.body)[2:] == [
        ["record · x", "unchanged", "–", "–"],
        ["ingest · x", "ran", "`ingest@x.log`", "12.3 s"],
        ["replay · x", "FAILED", "`replay@x.log`", "–"],
        ["report · x", "not run", "–", "–"],
    ]
    assert f"Logs are in `{tmp_path}`." in page.body


def test_a_run_with_nothing_to_do_says_so():
    assert (
        summary_page([Ending("record · x", "unchanged")] * 2).headline == "nothing to do: all 2 stages are up to date"
    )


def test_what_is_sent_is_kept_small(sent):
    artifacts.send(Results("h", f"words ![p](data:image/jpeg;base64,{'A' * 300_000})"), "k")
    assert len(sent["k"][1]) < 200_000


def test_names_from_outside_are_shown_and_not_obeyed():
    page = "cell <script>x</script> \x1b[31m\u202e, `a <b> c`\n\n```\n<kept>\n```\n\n5 < 6, \\<img>"
    assert shown_as_text(page) == (
        "cell &lt;script>x&lt;/script> \\x1b[31m\\u202e, `a <b> c`\n\n```\n<kept>\n```\n\n5 < 6, &lt;img>"
    )
    assert inline_code("a`b\nc") == "`` a`b c ``" and inline_code("a") == "`a`"
    assert cell_name("x\n# y") == "x # y (robot)"
