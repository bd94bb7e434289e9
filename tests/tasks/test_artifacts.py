"""What the Prefect UI is sent: what `ocrrl show` prints; nothing that is missing stops a stage."""

import logging

import pytest

from ocrrl.commands.show import show
from ocrrl.layout import Layout
from tasks import artifacts
from tasks.artifacts import Results, lineage_page, lineage_tree, results_page
from tasks.child_process import Outcome
from tasks.graph import Stage
from tasks.markdown import cell, code, duration, fitting, inline_code, shown_as_text, table, unbroken
from tasks.run_graph import Ending, summary_page
from tests.report.synthetic_round import write_synthetic_tasks

NO_BREAK = "\N{NO-BREAK SPACE}"


def stage(kind, *outputs, **more):
    return Stage(f"{kind}@cube_lift", f"ocrrl {kind} cube_lift --round round0", (), outputs, **more)


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def rows_of(text):
    """The tables' rows as lists of texts, no-break spaces as spaces."""
    lines = [line for line in text.replace("\N{NO-BREAK SPACE}", " ").splitlines() if line.startswith("|")]
    return [[part.strip() for part in line.strip("|").split(" | ")] for line in lines]


def test_values_are_written_for_people_and_unknown_ones_as_a_dash():
    assert [duration(3.21), duration(250), duration(7500)] == [
        text.replace(" ", NO_BREAK) for text in ("3.2 s", "4 min 10 s", "2 h 05 min")
    ]
    assert {duration(None), cell(None), cell("")} == {"–"}


def test_short_numbers_of_a_table_are_not_torn_and_words_may_be():
    row = "| sim | 13 / 100 |  8 to 21% | +74 [+63, +81] points | 3 of 4 attempts succeeded with the base |"
    assert unbroken(row) == row.replace("13 / 100", f"13{NO_BREAK}/{NO_BREAK}100").replace(
        "8 to 21%", f"8{NO_BREAK}to{NO_BREAK}21%"
    ).replace("+74 [+63, +81] points", f"+74{NO_BREAK}[+63,{NO_BREAK}+81]{NO_BREAK}points")
    assert unbroken("8 to 21% of them") == "8 to 21% of them"


def test_signs_in_a_table_stay_what_they_are():
    assert cell("a | b <c> *d*\ne") == r"a \| b \<c\> \*d\* e".replace(r"\>", ">")
    assert cell("`record@cube_lift.log`") == "`record@cube_lift.log`"


def test_a_long_table_is_cut_and_says_so():
    assert table(("n",), [(k,) for k in range(50)], most_rows=40).endswith("| 39 |\n\nand 10 more")


def test_a_fence_is_longer_than_those_in_the_text():
    assert code("x\n```\ny").startswith("````\n")


def test_a_page_that_is_too_large_loses_its_images_before_its_words():
    image = f"![curve](data:image/jpeg;base64,{'A' * 5000})"
    assert fitting(f"words\n\n{image}", 1000).startswith("words\n\n*(image left out")
    cut = fitting("line\n" * 1000, 1000)
    assert len(cut) <= 1000 and cut.endswith("*(cut: the rest is too long)*")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A folder in which Cube Lift was evaluated."""
    folder = tmp_path_factory.mktemp("project")
    write_synthetic_tasks(folder, ("cube_lift",), episodes=8)
    return folder


EVALUATE = Stage(
    "evaluate@cube_lift-0",
    "ocrrl evaluate cube_lift --round round0 --seed 0",
    (),
    (str(Layout("cube_lift").evaluation_episodes(0)), str(Layout("cube_lift").evaluation(0))),
)


def test_a_stage_s_results_are_what_ocrrl_show_prints_and_where_they_are(project, monkeypatch):
    monkeypatch.chdir(project)
    page = results_page(EVALUATE, project)
    text, written = page.body.rsplit("\n\n", 1)
    assert text.replace(NO_BREAK, " ") == show("evaluate@cube_lift-0", images=True)
    assert written == f"Written: `{EVALUATE.outputs[0]}`, `{EVALUATE.outputs[1]}`"
    assert page.headline in text and page.headline.endswith("base → base + residual")
    assert text.startswith("## evaluate · cube_lift · seed 0 · round0\n") and f"13%{NO_BREAK}" not in page.headline
    assert text.count("(data:image/svg+xml;base64,") == 2 and "(data:image/jpeg;base64," in text


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("record@cube_lift", "ocrrl record cube_lift --round round0"),
        ("publish", "ocrrl publish --round round0"),
        ("retrain_multitask@round1", "ocrrl retrain_multitask --round round1"),
        ("rollout@round1-cube_lift", "ocrrl rollout cube_lift --round round1"),
    ],
)
def test_where_files_are_missing_the_page_says_which_and_the_command(tmp_path, name, command):
    page = results_page(Stage(name, command, (), ("data/x",)), tmp_path)
    assert page.headline.startswith("nothing to show: `ocrrl show` failed: ocrrl show: data/")
    assert f"must be there; `dvc repro {name}` makes it" in page.body and page.body.endswith("Written: `data/x`")


def test_a_damaged_file_is_said_on_the_page(project, tmp_path):
    write(tmp_path / Layout("cube_lift").replay_report, '{"counts": null}')
    page = results_page(stage("replay", "x"), tmp_path)
    assert "the results of replay@cube_lift must be as the stage writes them, got TypeError" in page.headline


def test_a_stage_that_is_none_of_ocrrl_s_shows_nothing(tmp_path):
    assert results_page(Stage("sweep@x", "./sweep x --round round0", ()), tmp_path) is None
    assert lineage_page(stage("record"), tmp_path) is None


def test_the_lineage_is_a_mermaid_drawing(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(artifacts, "_child", lambda command, workspace: asked.append(command) or "flowchart TD\n")
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
