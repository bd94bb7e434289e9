import hashlib
import json
import re
import resource
import shutil
import subprocess
import sys

import pytest

from ocrrl.cli import main

MODEL = "data/vla_retrained/round0/cube_lift"
LAB = "data/episodes/cube_lift/lab"
DEMONSTRATIONS = [f"{LAB}/episode_{number:06d}.h5" for number in range(4)]


def lineage(capsys, *arguments):
    assert main(["lineage", *arguments]) == 0
    return capsys.readouterr().out


def document(capsys, *arguments):
    return json.loads(lineage(capsys, *arguments, "--format", "json"))


def refusal(capsys, *arguments):
    assert main(["lineage", *arguments]) == 1
    return capsys.readouterr().err


def test_the_text_names_every_demonstration_and_each_artifact_once(at, capsys):
    text = lineage(capsys, "data/models/vla_retrained")
    for file in DEMONSTRATIONS:
        assert file in text
    first_mentions = re.findall(
        r"^[│├└─ ]*(data/\S+)  (?!.*see above)", text.partition("Demonstrations")[0], re.MULTILINE
    )
    assert len(first_mentions) == len(set(first_mentions)) == 14
    for stage in ("publish", "retrain@cube_lift", "train_residual@cube_lift-0, seed 0", "ingest@cube_lift"):
        assert text.count(f"by {stage}: ") == 1
    assert "finetune.shared: policy.type toy, steps 400" in text and "finetune.cube_lift: steps 500" in text
    assert "added by data/episodes/cube_lift/lab.dvc" in text
    assert "Libraries: " in text and "run record: none here" not in text


def test_rollouts_are_counted_by_folder_and_listed_on_request(at, capsys):
    file = "data/rollouts_corrected/round0/cube_lift/episode_000001.h5"
    assert "rollouts_corrected/round0/cube_lift: 3 files, 2 used, 1 unused" in lineage(
        capsys, MODEL
    ) and file not in lineage(capsys, MODEL)
    assert file in lineage(capsys, MODEL, "--all")


def test_every_episode_has_its_hash_its_recording_and_what_became_of_it(at, capsys):
    episodes = {episode["file"]: episode for episode in document(capsys, MODEL)["episodes"]}
    assert list(episodes)[:4] == DEMONSTRATIONS
    assert [episodes[file]["status"] for file in DEMONSTRATIONS] == ["used", "used", "dropped", "rejected"]
    assert episodes[DEMONSTRATIONS[2]]["reason"] == "slip must be at most 0.03"
    used = episodes[DEMONSTRATIONS[0]]
    assert (used["operator"], used["cell"], used["success"], used["length"], used["size"]) == (
        "anna",
        "twin",
        True,
        40,
        5,
    )
    assert used["hash"] == hashlib.md5(b"lifts").hexdigest()
    assert MODEL in used["models"] and "data/training_set_retrained/round0/cube_lift" in used["datasets"]
    unused = episodes["data/rollouts_corrected/round0/cube_lift/episode_000002.h5"]
    assert (unused["status"], unused["seed"], unused["success"]) == ("unused", 9, True)
    assert episodes["data/rollouts_base/round0/cube_lift/episode_000000.h5"]["kind"] == "base_rollout"


def test_a_simulated_view_does_not_say_in_which_cell_an_episode_was_recorded(at, capsys):
    episodes = document(capsys, "data/residual_0/round0/cube_lift")["episodes"]
    assert episodes[0]["cell"] == "twin" and episodes[0]["length"] == 40


def test_the_json_lists_stages_after_those_they_read_from_with_params_code_and_run(at, capsys):
    found = document(capsys, "data/models/vla_retrained")
    assert found["format"] == 1 and found["unknown"] == []
    stages = {stage["address"]: stage for stage in found["stages"]}
    order = list(stages)
    for before, after in (("ingest@cube_lift", "replay@cube_lift"), ("rollout@cube_lift", "training_set@cube_lift")):
        assert order.index(before) < order.index(after)
    assert order[-2:] == ["retrain@cube_lift", "publish"]
    residual = stages["train_residual@cube_lift-0"]
    assert residual["seed"] == 0 and residual["params"] == {"train_residual.shared.steps": 64000}
    assert [code["path"] for code in residual["code"]] == ["code/library/network.py"]
    assert residual["run"]["stage"] == "train_residual@cube_lift-0" and residual["run"]["revision"]
    assert {artifact["path"] for artifact in found["artifacts"]} >= {LAB, MODEL}


def test_the_image_is_a_small_flowchart_with_quoted_labels_and_arrows_between_its_boxes(at, capsys):
    lines = lineage(capsys, "data/models/vla_retrained", "--format", "mermaid").splitlines()
    assert lines[0] == "flowchart TD"
    boxes = [match[1] for line in lines if (match := re.fullmatch(r'    (a\d+)\["[^"]+"\]', line))]
    arrows = [match.groups() for line in lines if (match := re.fullmatch(r'    (a\d+) -->\|"([^"]+)"\| (a\d+)', line))]
    assert len(boxes) + len(arrows) + 1 == len(lines) and len(boxes) < 40
    assert {end for start, _, end in arrows for end in (start, end)} == set(boxes)
    assert any("4 episodes: 2 used, 1 dropped, 1 rejected" in line for line in lines)


def test_many_tabletop_tasks_share_boxes(tmp_path):
    from ocrrl.lineage.episodes import Episodes
    from ocrrl.lineage.graph import build_tree
    from ocrrl.lineage.mermaid import MOST_NODES, lineage_mermaid
    from ocrrl.lineage.reading.contents import Contents
    from ocrrl.lineage.reading.dvc_files import DvcFiles, LockedStage, TrackedPath

    stages = {}
    tasks = [f"task_{letter}" for letter in "abcdefghij"]
    for task in tasks:
        above = []
        for number in range(6):
            out = TrackedPath(f"data/dataset_{number}/round0/{task}", f"{task}{number}")
            stages[f"s{number}@{task}"] = LockedStage(f"s{number}@{task}", "", tuple(above), {}, (out,))
            above = [out]
    top = TrackedPath("data/models/vla_retrained", "top")
    last = tuple(stages[f"s5@{task}"].outs[0] for task in tasks)
    stages["publish"] = LockedStage("publish", "", last, {}, (top,))

    class AllTasks:
        tree = build_tree(DvcFiles(True, stages), [], top, Contents(tmp_path))
        episodes = Episodes((), ())

    image = lineage_mermaid(AllTasks())  # type: ignore[arg-type]
    assert image.count('["') == 7 <= MOST_NODES and "10 of kind dataset" in image and "data/dataset_3/round0/*" in image


@pytest.mark.parametrize("path", [f"{MODEL}/", f"./data/../{MODEL}", f"{MODEL}/model.safetensors", LAB, f"{LAB}/"])
def test_a_path_may_be_an_out_a_tracked_folder_or_a_file_however_it_is_written(path, at, capsys):
    assert document(capsys, path)["path"] == path.strip("./").replace("data/../", "").rstrip("/")


def test_a_path_counts_from_the_working_directory_and_from_the_project(at, capsys, monkeypatch):
    monkeypatch.chdir(at / "data/models")
    assert document(capsys, "vla_retrained")["path"] == "data/models/vla_retrained"
    assert document(capsys, "data/models/vla_retrained")["path"] == "data/models/vla_retrained"
    monkeypatch.chdir(at.parent)
    assert document(capsys, str(at / MODEL))["path"] == MODEL


def test_a_file_s_lineage_is_that_of_the_stage_that_wrote_it(at, capsys):
    found = document(capsys, f"{MODEL}/model.safetensors")
    assert found["stages"][-1]["address"] == "retrain@cube_lift"
    assert [episode["file"] for episode in found["episodes"]][:4] == DEMONSTRATIONS


def test_at_a_revision_the_lineage_is_that_revision_s(at, capsys):
    now, then = document(capsys, MODEL), document(capsys, MODEL, "--rev", "first")
    assert then["revision"]["name"] == "first" and now["revision"]["commit"] is None
    assert now["hash"] != then["hash"]
    steps = {s["address"]: s["params"].get("finetune.shared.steps") for s in then["stages"]}
    assert steps["finetune@cube_lift-sim"] == 400
    assert all(stage["run"] and stage["run"]["flow_run_name"] == "merry-otter" for stage in then["stages"])
    hashes = [[e["hash"] for e in found["episodes"] if e["file"] == DEMONSTRATIONS[1]] for found in (now, then)]
    assert hashes[0] != hashes[1]


def test_without_the_data_the_cache_tells_everything(own, capsys):
    before = document(capsys, MODEL)
    runs = (own / "data/runs.jsonl").read_text()
    tracked = (own / f"{LAB}.dvc").read_text()
    shutil.rmtree(own / "data")
    (own / LAB).parent.mkdir(parents=True)
    (own / f"{LAB}.dvc").write_text(tracked)
    (own / "data/runs.jsonl").write_text(runs)
    assert document(capsys, MODEL) == before


def test_a_shared_cache_is_found_by_dvc_s_configuration(own, capsys):
    before = document(capsys, MODEL)
    (own / ".dvc/cache").rename(own.parent / "shared")
    (own / ".dvc/config.local").write_text("[cache]\n    dir = ../../shared\n")
    assert document(capsys, MODEL) == before


def test_without_data_and_cache_it_says_what_is_not_known_and_what_would_tell(own, capsys):
    shutil.rmtree(own / ".dvc/cache")
    shutil.rmtree(own / LAB)
    text = lineage(capsys, MODEL)
    assert f"Not known: {LAB}: its files are not known here; `dvc fetch {LAB}` would bring them" in text
    assert "episode_000000.h5  unknown" in text  # the training set's sidecar still names it


def test_an_input_that_changed_since_is_told_from_the_present_one(own, capsys):
    lock = (own / "dvc.lock").read_text()
    present = re.search(
        r"outs:\n    - path: data/dataset_real/round0/cube_lift\n      hash: md5\n      md5: (\w+)", lock
    )[1]
    head, tail = lock.split("  finetune@cube_lift-real:")
    (own / "dvc.lock").write_text(head + "  finetune@cube_lift-real:" + tail.replace(present, "0" * 32, 1))
    text = lineage(capsys, MODEL)
    assert f"an earlier one: stage ingest@cube_lift now holds {present[:8]}" in text


def test_a_run_record_that_is_not_there_is_said(own, capsys):
    (own / "data/runs.jsonl").unlink()
    text = lineage(capsys, MODEL)
    assert "run record: none here" in text and "Libraries" not in text


def test_an_unknown_path_is_refused_with_the_closest_known_ones(at, capsys):
    said = refusal(capsys, "data/vla_retraned/round0/cube_lift")
    assert "data/vla_retraned/round0/cube_lift must be an out of a stage" in said and f"the closest are {MODEL}" in said
    said = refusal(capsys, f"{MODEL}/weights.bin")
    assert "must be a file that retrain@cube_lift left in" in said and "model.safetensors" in said
    assert "below a dvc.yaml" in refusal(capsys, "/")


def test_what_was_never_made_is_said_with_the_command_that_makes_it(own, capsys):
    said = refusal(capsys, "data/reports/round0/cube_lift/index.html")
    assert "an out of stage report@cube_lift" in said and "`dvc repro report@cube_lift` makes it" in said
    (own / "dvc.lock").unlink()
    assert "dvc.lock must be there to tell of" in refusal(capsys, MODEL)
    assert "`dvc repro` makes it" in refusal(capsys, "data/nowhere")


def test_a_revision_that_git_does_not_know_is_refused(at, capsys, tmp_path, monkeypatch):
    assert "revision must be a commit, branch or tag" in refusal(capsys, MODEL, "--rev", "never")
    (tmp_path / "dvc.yaml").write_text("stages: {}")
    monkeypatch.chdir(tmp_path)
    assert "asks for a git repository" in refusal(capsys, "data/x", "--rev", "HEAD")


def test_a_lock_that_dvc_did_not_write_is_refused_by_field(own, capsys):
    for text, message in (
        ("schema: '3.0'\n", "dvc.lock: schema must be '2.0', got '3.0'"),
        ("schema: '2.0'\nstages: {a: {outs: [{md5: x}]}}\n", "dvc.lock: every stage must hold"),
        ("schema: [\n", "dvc.lock must be YAML"),
        ("<<<<<<< ours\n", "dvc.lock must be merged, got git's mark <<<<<<< on line 1"),
        ("- a\n", "dvc.lock must hold a mapping"),
    ):
        (own / "dvc.lock").write_text(text)
        assert message in refusal(capsys, MODEL)


def test_it_takes_less_than_two_seconds(at):
    def cpu_seconds():
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    before = cpu_seconds()
    subprocess.run([sys.executable, "-m", "ocrrl.cli", "lineage", MODEL], check=True, stdout=subprocess.DEVNULL)
    assert cpu_seconds() - before < 2.0


def test_it_loads_no_engine_and_nothing_heavy(at, tmp_path):
    code = (
        "import sys\nfrom ocrrl.cli import main\n"
        f"main(['lineage', '{MODEL}'])\nmain(['lineage', '{MODEL}', '--diff', 'first'])\n"
        f"main(['card', '{MODEL}', '--out', '{tmp_path}/card.md'])\n"
        "heavy = {'dvc', 'prefect', 'torch', 'numpy', 'mujoco', 'lerobot', 'h5py'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
