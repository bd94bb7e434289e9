"""`ocrrl show` on made-up results of every stage; nothing in them was measured."""

import json

import h5py
import numpy as np
import pytest

from ocrrl.cli import main
from ocrrl.commands.show import show
from ocrrl.commands.stages import MULTITASK_STAGES, STAGES
from ocrrl.layout import MULTITASK, PUBLISHED_VLA, Layout
from ocrrl.params import Params
from ocrrl.preset_params import resolve
from ocrrl.report.stage_pages import PAGES
from ocrrl.report.verdicts import TWIN_STATEMENT
from ocrrl.rollouts.sequential_test import StoppingRule, sequential_verdict
from ocrrl.stages import report, report_multitask
from ocrrl.tabletop.registry import tabletop_task
from tests.lineage.test_card import rows_of
from tests.report.synthetic_round import write_synthetic_tasks

TASK, TOGETHER, LATER = Layout("cube_lift"), Layout(MULTITASK), Layout("cube_lift", "round1")
SUMMARY = {
    "successes": 13,
    "episodes": 100,
    "success_rate": 0.13,
    "wilson_low": 0.0776,
    "wilson_high": 0.2098,
    "mean_steps_success": 80.9,
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
DEMONSTRATIONS = [{"kind": "demonstration", "cell": "twin", "length": 50, "success": True}] * 2
ROLLOUTS = [{"kind": "rollout", "cell": "fr3", "length": 30, "success": True}] * 2
# Every stage by an address of dvc.yaml, the start of its headline, and a row of a table.
EXPECTED = {
    "record@cube_lift": (
        "2 episodes recorded, 1 unreadable",
        ["twin (simulated)", "2", "1", "2.0 s", "2.0 s", "2.0 s"],
    ),
    "ingest@cube_lift": (
        "1 of 2 recordings accepted, 1 refused",
        ["ingest", "b.h5", r"success must be true \| got false"],
    ),
    "replay@cube_lift": (
        "28 of 30 episodes kept, 28 of 30 replays succeeded",
        ["replay in simulation", "28 of 30 replays succeeded (93%)", "28", "2"],
    ),
    "finetune@cube_lift-sim": (
        "loss 0.677 → 0.474 in 400 steps: sim VLA",
        ["sim VLA", "400", "30", "1,546", "0.677", "0.474"],
    ),
    "train_residual@cube_lift-0": ("97% on validation states at 24,000 transitions, chosen", None),
    "evaluate@cube_lift-0": ("", None),
    "rollout@cube_lift": ("13 of 100 attempts succeeded with base + residual", None),
    "rollout_base@cube_lift": ("13 of 100 attempts succeeded with the base alone", None),
    "training_set@cube_lift": (
        "4 episodes in retrained; 2 episodes in base_rollouts",
        ["retrained", "rollouts of base + residual", "fr3 (robot)", "2", "60"],
    ),
    "retrain@cube_lift": ("loss 0.677 → 0.474 in 400 steps: VLA retrained on corrected rollouts, and 2 more", None),
    "evaluate_retrained@cube_lift": ("13% → 13% in twin (simulated): VLA alone, before → retrained", None),
    "report@cube_lift": ("data/reports/round0/cube_lift/index.html: tables, figures and videos", None),
    "replay_rollouts@round1-cube_lift": ("28 of 30 episodes kept", None),
    "promote@round1-cube_lift": ("not promoted", ["VLA before", "13 / 100", "13%", "8 to 21%", "4.0 s"]),
    "retrain_multitask@round0": ("loss 0.677 → 0.474", None),
    "evaluate_multitask@round0": ("", ["average of 2", "twin (simulated)", "VLA before", "–"]),
    "finetune_multitask@round1": ("loss 0.677 → 0.474 in 400 steps: sim VLA", None),
    "publish": ("data/models/vla_retrained: 0.0 MB in 1 files", None),
    "report_multitask@round0": ("data/reports/round0/multitask/index.html: tables, figures and videos", None),
}


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A project's folder in which every stage has run, so to say."""
    here = tmp_path_factory.mktemp("project")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(here)
        write_synthetic_tasks(here, ("cube_lift", "stack_cube"), episodes=12)
        TASK.recorded_episodes.mkdir(parents=True)
        for k, success in enumerate((True, False)):
            with h5py.File(TASK.recorded_episodes / f"episode_{k:06d}.h5", "w") as file:
                file["action"] = np.zeros((40 + k, 7))
                file["images/front"] = np.full((40 + k, 8, 12, 3), 90, np.uint8)
                file.attrs.update({"cell": "twin", "success": success})
        (TASK.recorded_episodes / "episode_000002.h5").write_text("cut short")
        refused = {"source": "b.h5", "reason": "success must be true | got false"}
        counts = {"accepted": 1, "rejected": 1}
        write(
            TASK.ingest_report,
            {"counts": counts, "accepted": [{"source": "a.h5", "length": 15}], "rejected": [refused]},
        )
        LATER.replay_report.parent.mkdir(parents=True)
        LATER.replay_report.write_bytes(TASK.replay_report.read_bytes())
        vlas = ("retrained", "demonstrations_only", "base_rollouts")
        for layout, names in (
            (TASK, ("sim", "real", *vlas)),
            (TOGETHER, vlas),
            (Layout(MULTITASK, "round1"), ("sim",)),
        ):
            for name in names:
                write(layout.vla(name) / "training.json", TRAINING)
        write(TASK.residual(0) / "config.json", {"selected": {"transitions": 24000, "validation_success": 0.97}})
        for policy in ("corrected", "base"):
            variant = {"attempts": SUMMARY, "cell": "twin", "recorded": 13, "wanted": 60}
            write(TASK.rollout_report(policy), {policy: variant, "residual_seed": 0})
        write(TASK.training_set("retrained") / "sidecar/episodes.json", DEMONSTRATIONS + ROLLOUTS)
        write(TASK.training_set("base_rollouts") / "sidecar/episodes.json", DEMONSTRATIONS)
        difference = {"difference": 0.0, "low": -0.1, "high": 0.1, "mcnemar_p": 1.0}
        variants = {"before": SUMMARY, "retrained": SUMMARY, "differences": {"before": {"success_rate": difference}}}
        write(TASK.retrained_evaluation, {"tabletop_tasks": {"cube_lift": {"twin": variants}}})
        compared = {"before": SUMMARY, "retrained": SUMMARY, "difference": difference}
        verdict = sequential_verdict(StoppingRule(), [(False, True), (True, True)])
        write(LATER.promotion, {"promoted": False, **compared, "verdict": verdict})
        write(PUBLISHED_VLA / "config.json", {})
        tasks = [tabletop_task(slug) for slug in ("cube_lift", "stack_cube")]
        params = Params(resolve("smoke", [task.slug for task in tasks]))
        report.run(tasks[0], params, TASK)
        report_multitask.run(tasks, params, TOGETHER)
    return here


@pytest.fixture
def here(folder, monkeypatch):
    monkeypatch.chdir(folder)


def test_every_stage_can_be_shown():
    assert set(PAGES) == {*STAGES, *MULTITASK_STAGES} == {address.partition("@")[0] for address in EXPECTED}


@pytest.mark.parametrize("address", EXPECTED)
def test_a_stage_is_shown_by_its_address_as_markdown_and_as_json(here, address, capsys):
    headline, row = EXPECTED[address]
    assert main(["show", address]) == 0
    text = capsys.readouterr().out
    title, said = text.split("\n\n")[:2]
    assert title.startswith(f"## {address.partition('@')[0]}") and said.startswith(headline)
    assert row is None or row in [found[: len(row)] for found in rows_of(text)]
    assert "data:image" not in text and ("(simulated)" not in text or TWIN_STATEMENT in text)
    (found,) = json.loads(show(address, form="json"))
    assert found["headline"] == said and found["stage"] == address.partition("@")[0]
    assert found["tables"] or "report" in address or address == "publish"


@pytest.mark.parametrize(
    "address", ["record@cube_lift", "finetune@cube_lift", "train_residual@cube_lift-0", "retrain@cube_lift"]
)
def test_images_stand_in_the_text_where_they_are_asked_for(here, address):
    text = show(address, images=True)
    assert "data:image/" in text and "No image" not in text
    assert [line for line in text.splitlines() if line.startswith("|")] == [
        line for line in show(address).splitlines() if line.startswith("|")
    ]


def test_an_image_that_cannot_be_drawn_costs_no_text(here, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    TASK.recorded_episodes.mkdir(parents=True)
    (TASK.recorded_episodes / "a.h5").write_text("cut short")
    text = show("record@cube_lift", images=True)
    assert "No image: OSError" in text and "0 episodes recorded, 1 unreadable" in text


def test_a_promotion_shows_what_the_sequential_test_said_of_it(here):
    assert "Sequential test: not decided yet after 2 pairs, +50 [-80, +99] points, p 1.000 at any look." in show(
        "promote@round1-cube_lift"
    )


def test_a_stage_alone_shows_every_tabletop_task_that_has_results(here):
    text = show("train_residual")
    assert "## train_residual · cube_lift · seed 0 · round0" in text and "stack_cube" not in text
    assert [page["tabletop_task"] for page in json.loads(show("evaluate", form="json"))] == ["cube_lift", "stack_cube"]
    assert [row[0] for row in rows_of(show("finetune"))[2:]] == ["sim VLA", "real VLA"]


def test_a_tabletop_task_alone_shows_its_report(here):
    text = show("cube_lift")
    assert text == show("report@cube_lift")
    assert text.splitlines()[-1] == f"Report: {TASK.report.resolve().as_uri()}/index.html"
    assert "#### Base and base + residual" in text and "##### Successes" in text


@pytest.mark.parametrize(
    ("what", "round_name", "said"),
    [
        ("juggle", "round0", "what to show must be a stage (record, ingest, "),
        ("juggle@cube_lift", "round0", "or a tabletop task alone (cube_lift, "),
        ("evaluate@juggle", "round0", "tabletop task must be one of cube_lift, "),
        ("evaluate@cube_lift-x", "round0", "must end in a residual's seed, such as evaluate@cube_lift-0, got 'x'"),
        (
            "finetune@cube_lift-moon",
            "round0",
            "finetune@cube_lift-sim, finetune@cube_lift-real, got 'finetune@cube_lift-moon'",
        ),
        (
            "ingest@cube_lift-0",
            "round0",
            "ingest of cube_lift must be one of ingest@cube_lift, got 'ingest@cube_lift-0'",
        ),
        ("retrain_multitask@cube_lift", "round0", "round must be one of round0, round1, ..., got 'cube_lift'"),
        ("evaluate@cube_lift", "../x", "round must be a name"),
        ("evaluate@cube_lift", "first", "round must be one of round0, round1, ..., got 'first'"),
        ("evaluate@../x", "round0", "tabletop task must be one of cube_lift, "),
    ],
)
def test_what_is_no_stage_is_refused_with_what_is_valid(capsys, what, round_name, said):
    assert main(["show", what, "--round", round_name]) == 1
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("what", "command"),
    [
        ("cube_lift", "dvc repro report@cube_lift"),
        ("evaluate@cube_lift", "dvc repro evaluate@cube_lift-0"),
        ("finetune@cube_lift-real", "dvc repro finetune@cube_lift-real"),
        ("rollout@round1-cube_lift", "dvc repro rollout@round1-cube_lift"),
        ("report_multitask", "dvc repro report_multitask@round0"),
        ("publish", "dvc repro publish"),
        ("ingest", "dvc repro ingest"),
    ],
)
def test_a_stage_that_has_not_run_says_the_command_that_makes_it(capsys, tmp_path, monkeypatch, what, command):
    monkeypatch.chdir(tmp_path)
    assert main(["show", what]) == 1
    assert f"`{command}` makes" in capsys.readouterr().err


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"counts": null}', '{"counts": {"accepted": 1}}'])
def test_a_file_with_other_contents_is_named_and_how_to_write_it_again(capsys, tmp_path, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    TASK.ingest_report.parent.mkdir(parents=True)
    TASK.ingest_report.write_text(content)
    assert main(["show", "ingest@cube_lift"]) == 1
    said = capsys.readouterr().err
    assert (
        "ingest.json must be JSON" in said
        or "cube_lift.json must be JSON" in said
        or "--single-item ingest@cube_lift" in said
    )
