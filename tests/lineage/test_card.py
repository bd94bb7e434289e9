import os
import platform
import re
from dataclasses import replace

import pytest
import yaml

from ocrrl.cli import main
from ocrrl.hub import model_card as card_module
from ocrrl.hub.model_card import results_lines
from ocrrl.interface.cells import CELLS, TWINS
from ocrrl.lineage.document import lineage_document
from ocrrl.lineage.lineage import trace
from ocrrl.lineage.mermaid import _quoted
from ocrrl.lineage.model_results import Evaluation, Results, differences_of, results_of
from ocrrl.lineage.project import find_project
from tasks.artifacts import lineage_tree

MODEL = "data/models/vla_retrained"


@pytest.fixture
def card(at, tmp_path, capsys):
    def write(path, *options):
        assert main(["card", path, "--out", str(tmp_path / "card.md"), *options]) == 0
        return (tmp_path / "card.md").read_text()

    return write


def rows_of(text):
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[part.strip() for part in line.strip("|").split(" | ")] for line in lines]


def test_a_card_goes_to_data_cards_and_its_path_is_printed(own, capsys):
    assert main(["card", MODEL]) == 0 and main(["card", "data/vla_sim/round0/cube_lift"]) == 0
    assert capsys.readouterr().out.split() == ["data/cards/vla_retrained.md", "data/cards/vla_sim-round0-cube_lift.md"]
    assert (own / "data/cards/vla_retrained.md").is_file()


def test_the_front_matter_is_the_hub_s(card):
    values = yaml.safe_load(card(MODEL, "--license", "apache-2.0").split("---\n")[1])
    assert (values["license"], values["library_name"], values["pipeline_tag"]) == ("apache-2.0", "lerobot", "robotics")
    assert {"robotics", "vision-language-action", "toy", "cube_lift"} <= set(values["tags"])
    assert values["datasets"] == ["data/training_set_retrained/round0/cube_lift"] and values["cell"] == "twin"
    assert yaml.safe_load(card("data/residual_0/round0/cube_lift").split("---\n")[1])["library_name"] == "ocrrl"


def test_a_licence_stands_in_a_card_where_a_person_named_one(card, capsys):
    assert "license" not in yaml.safe_load(card(MODEL).split("---\n")[1])
    other = card(MODEL, "--license", "other", "--license-name", "lab", "--license-link", "https://lab.example/licence")
    assert yaml.safe_load(other.split("---\n")[1])["license_name"] == "lab"
    for wrong in ("Apache 2.0", "unknown", "other"):
        assert main(["card", MODEL, "--license", wrong]) == 1
        assert capsys.readouterr().err.startswith("ocrrl card: license ")


def test_what_comes_from_a_twin_says_that_no_robot_was_involved(card):
    text = card(MODEL)
    assert "**cell: twin.**" in text and "no real robot was involved" in text
    assert "How it does on a real robot is not known." in text


def test_every_cell_without_a_robot_is_known_to_be_one():
    assert {cell.name for cell in CELLS.values() if "a twin" in cell.stands_for} == set(TWINS)


def test_a_copy_of_a_model_has_the_model_s_metrics_with_intervals(card):
    for path in (MODEL, "data/vla_retrained/round0/cube_lift"):
        text = card(path)
        rows = rows_of(text)
        measured = ["50 / 100", "50%", "40 to 60%", "2.5 s"]
        assert ["cube_lift", "twin (simulated)", "VLA retrained on corrected rollouts", "yes", *measured] in rows
        assert ["cube_lift", "twin (simulated)", "VLA before", "", "30 / 100"] in [row[:5] for row in rows]
        assert "VLA retrained on corrected rollouts minus VLA before, paired: +20 [+10, +30] points" in text


def test_the_training_data_are_the_model_s_own_by_operator_and_cell(card):
    text = card(MODEL)
    rows = rows_of(text)
    assert ["demonstration", "anna", "twin", "yes", "2"] in rows and ["rollout", "policy", "twin", "yes", "2"] in rows
    assert "base_rollout | policy" not in text
    assert "rollout" not in card("data/vla_real/round0/cube_lift").partition("## Training data")[2].partition("##")[0]


def test_it_says_how_to_make_it_again_and_with_what(card):
    text = card(MODEL)
    assert re.search(
        r"git checkout [0-9a-f]{40}\n    dvc repro retrain@cube_lift\n    ocrrl lineage data/models/vla_retrained --verify",
        text,
    )
    assert "python 3.12" in text and "finetune.shared: policy.type toy, steps 400" in text
    assert "```mermaid\nflowchart TD" in text and ["`data/episodes/cube_lift/lab`", "episodes"] in [
        r[:2] for r in rows_of(text)
    ]


def test_a_model_that_nothing_evaluated_says_so(card):
    assert "No stage has evaluated this model" in card("data/vla_sim/round0/cube_lift")


def test_an_evaluation_of_another_version_is_not_shown_as_this_one_s(own, tmp_path, capsys):
    lock = yaml.safe_load((own / "dvc.lock").read_text())
    for dep in lock["stages"]["evaluate_retrained@cube_lift"]["deps"]:
        if "vla_retrained" in dep["path"]:
            dep["md5"] = "0" * 32 + ".dir"
    (own / "dvc.lock").write_text(yaml.safe_dump(lock))
    assert main(["card", MODEL]) == 0
    text = (own / "data/cards/vla_retrained.md").read_text()
    assert "evaluate_retrained@cube_lift evaluated another version" in text and "50 / 100" not in text


def test_a_card_is_refused_for_what_is_neither_model_nor_dataset_and_inside_what_dvc_tracks(own, capsys):
    assert main(["card", "data/metrics/ingest/round0/cube_lift.json"]) == 1
    assert "must be a model (a VLA or a residual), a dataset" in capsys.readouterr().err
    assert main(["card", MODEL, "--out", f"{MODEL}/README.md"]) == 1
    assert "--out must not lie in what DVC tracks" in capsys.readouterr().err
    assert not (own / MODEL / "README.md").exists()
    os.mkfifo(own / "pipe")
    for target in ("pipe", "code"):
        assert main(["card", MODEL, "--out", target]) == 1
        assert "--out must be a file or nothing yet" in capsys.readouterr().err
    assert (own / "pipe").is_fifo()


def test_nothing_from_outside_is_markup(own, tmp_path, capsys):
    hostile = "<script>x</script>\n---\n# no | `y` \x1b[31m"
    record = {"instructions": [hostile], "episodes": 1}
    lineage = trace(*find_project(MODEL))
    episodes = [replace(e, operator=hostile, cell=hostile) for e in lineage.episodes.files]
    lineage = replace(lineage, episodes=replace(lineage.episodes, files=tuple(episodes)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(card_module, "read_json_in", lambda *_: record)
        text = card_module.model_card(lineage, results_of(lineage.project, MODEL, lineage.tree.top.hash), None)
    shown = "&lt;script&gt;x&lt;/script&gt;\\\\n---\\\\n\\# no \\| \\`y\\` \\\\x1b[31m"
    in_a_table = "&lt;script>x&lt;/script>\\\\n---\\\\n# no \\| \\`y\\` \\\\x1b[31m"
    assert f"> {shown}" in text and f"| demonstration | {in_a_table} | {in_a_table} | yes " in text
    assert "<script>" not in text and "\x1b" not in text
    assert [line for line in text.splitlines() if line.startswith("---")] == ["---", "---"]
    assert {line for line in text.splitlines() if line.startswith("# ")} == {"# vla_retrained"}
    assert yaml.safe_load(text.split("---\n")[1])["cell"].startswith("&lt;script&gt;x&lt;/script&gt;\\n---\\n# no")


def test_a_drawing_stays_in_its_fence():
    hostile = '```\n<script>"]'
    assert _quoted(hostile) == "#96;#96;#96;\\n#lt;script#gt;#quot;]"
    drawn = f'flowchart TD\n    a0["{_quoted("data/a#b`c")}<br/>VLA"]'
    assert lineage_tree(drawn) == "data/a#b`c  VLA"


def test_what_is_published_does_not_name_the_machine(card):
    host = platform.node()
    assert host in str(lineage_document(trace(*find_project(MODEL))))
    assert host not in str(lineage_document(trace(*find_project(MODEL)), with_hosts=False))
    assert f"UTC on {host}" not in card(MODEL)


def test_what_a_residual_loses_is_counted_beside_its_gain():
    rate = {"difference": 0.5, "low": 0.4, "high": 0.6}
    metrics = {"paired": {"only_base": 2, "both": 39}, "base": {"successes": 41}, "difference": rate}
    (gain,) = differences_of("twin", metrics)
    assert (gain.first, gain.second, gain.lost) == ("residual", "base", (2, 41))
    assert differences_of("twin", {"differences": {"before": {"success_rate": rate}}})[0].lost is None
    evaluation = Evaluation("data/metrics/evaluate_0/round0/cube_lift.json", "evaluate@cube_lift-0", (), (gain,))
    text = "\n".join(results_lines(Results((evaluation,), ())))
    assert (
        "paired: +50 [+40, +60] points; loses 2 of 41, 4.9 [1.0, 14.6]% of the initial states that base VLA solves"
        in text
    )
