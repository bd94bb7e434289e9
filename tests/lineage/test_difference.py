import json
import re

import pytest
import yaml

from ocrrl.cli import main

MODEL = "data/models/vla_retrained"
LAB = "data/episodes/cube_lift/lab"
RESIDUAL = "data/residual_0/round0/cube_lift"


def difference(capsys, before, after=None, path=MODEL):
    assert main(["lineage", path, "--diff", before, *(["--rev", after] if after else [])]) == 0
    return capsys.readouterr().out


def stages(text):
    return re.findall(r"^  (\S+): made again", text, re.MULTILINE)


def test_after_one_changed_demonstration_it_names_the_file_and_the_stages_rebuilt_through_it(at, capsys):
    text = difference(capsys, "first", "demonstration")
    why = text.partition("Why:")[2].partition("Stages")[0]
    assert f"changed {LAB}/episode_000001.h5: fd498bb4 -> 75d7f13e" in why
    assert "episode_000000" not in why and "parameter" not in why and "code" not in why
    assert stages(text) == [
        *("ingest@cube_lift", "replay@cube_lift", "finetune@cube_lift-sim", "finetune@cube_lift-real"),
        *("train_residual@cube_lift-0", "rollout@cube_lift", "training_set@cube_lift", "retrain@cube_lift", "publish"),
    ]
    assert "ingest@cube_lift: made again from data/episodes/cube_lift/lab" in text


def test_a_changed_parameter_is_named_with_both_values(at, capsys):
    text = difference(capsys, "demonstration", "parameter", RESIDUAL)
    assert "parameter finetune.cube_lift.steps: 400 -> 500  (finetune@cube_lift-sim)" in text
    assert "episode" not in text.partition("Stages")[0]
    assert stages(text) == ["finetune@cube_lift-sim", "train_residual@cube_lift-0"]


def test_changed_code_is_named_by_its_file_also_inside_a_folder(at, capsys):
    why = difference(capsys, "parameter", "code", RESIDUAL).partition("Stages")[0]
    assert re.search(r"code code/library: \w+ -> \w+  \(finetune@cube_lift-sim\)\n    code/library/network.py", why)
    assert re.search(r"code code/library/network.py: \w+ -> \w+  \(train_residual@cube_lift-0\)", why)


def test_other_bytes_from_the_same_inputs_are_said_plainly(at, capsys):
    text = difference(capsys, "code", "noise", RESIDUAL)
    assert "same inputs, other bytes: train_residual@cube_lift-0 (edited by hand, or not reproducible: " in text
    assert f"{RESIDUAL}/model.safetensors" in text and "finetune" not in text and stages(text) == []


def test_other_libraries_are_named_where_the_run_record_tells_them(own, capsys):
    path = own / "data/runs.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    last = max(index for index, row in enumerate(rows) if row["stage"] == "train_residual@cube_lift-0")
    rows[last]["versions"]["torch"] = "9.9.0"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    text = difference(capsys, "code", path=RESIDUAL)
    assert re.search(
        r"same inputs, other bytes: train_residual@cube_lift-0 \(library versions: torch \S+ -> 9.9.0\)", text
    )


def test_the_working_tree_is_compared_where_no_revision_is_given(own, capsys):
    text = difference(capsys, "noise")
    assert "is the same" in text and "Everything that it was made from is the same too." in text
    assert "from code" in difference(capsys, "code") and "to the working tree" in difference(capsys, "code")


def test_the_same_bytes_from_other_inputs_are_said_too(own, capsys):
    lock = yaml.safe_load((own / "dvc.lock").read_text())
    lock["stages"]["finetune@cube_lift-sim"]["params"]["params.yaml"]["finetune.cube_lift"]["steps"] = 501
    (own / "dvc.lock").write_text(yaml.safe_dump(lock))
    text = difference(capsys, "noise")
    assert f"{MODEL} is the same" in text and "What it was made from is not:" in text
    assert "steps: 500 -> 501" in text and "came out the same" in text


def test_added_and_removed_demonstrations_are_told_apart(own, capsys):
    from ocrrl.lineage.reading.hashes import manifest_bytes, manifest_hash

    manifest = {"episode_000001.h5": "1" * 32, "episode_000009.h5": "9" * 32}
    value = manifest_hash(manifest)
    cached = own / ".dvc/cache/files/md5" / value[:2] / value[2:]
    cached.parent.mkdir(parents=True, exist_ok=True)
    cached.write_bytes(manifest_bytes(manifest))
    lock = (own / "dvc.lock").read_text()
    old = re.search(rf"path: {LAB}\n      hash: md5\n      md5: (\S+)", lock)[1]
    (own / "dvc.lock").write_text(lock.replace(old, value))
    tracked = own / f"{LAB}.dvc"
    tracked.write_text(tracked.read_text().replace(old, value))
    text = difference(capsys, "noise")
    assert f"{LAB}: 1 changed, 1 added, 3 removed" in text
    assert f"added {LAB}/episode_000009.h5: nothing -> 99999999" in text
    assert re.search(rf"removed {LAB}/episode_000000.h5: \w+ -> nothing", text)


def test_a_folder_whose_manifest_is_nowhere_is_said_to_be_unknown(own, capsys):
    import shutil

    shutil.rmtree(own / ".dvc/cache")
    why = difference(capsys, "first").partition("Stages")[0]
    assert re.search(rf"episodes {LAB}: \w+ -> \w+ \(the cache has no list of the files of \w+\)", why)


def test_a_tracked_folder_itself_can_be_compared(at, capsys):
    assert main(["lineage", LAB, "--diff", "first"]) == 0
    assert f"changed {LAB}/episode_000001.h5" in capsys.readouterr().out


def test_the_json_has_causes_and_stages(at, capsys):
    assert main(["lineage", MODEL, "--diff", "first", "--rev", "demonstration", "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    causes = [stage for stage in found["stages"] if stage["is_cause"]]
    assert {cause["address"] for cause in causes} == {"ingest@cube_lift", "replay@cube_lift", "training_set@cube_lift"}
    assert causes[0]["sources"][0]["files"][0]["path"] == f"{LAB}/episode_000001.h5"
    assert [revision["name"] for revision in found["revisions"]] == ["first", "demonstration"]


def test_a_difference_has_no_image_and_no_verification(at, capsys):
    assert main(["lineage", MODEL, "--diff", "first", "--format", "mermaid"]) == 1
    assert "--format must be text or json with --diff, got mermaid" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["lineage", MODEL, "--diff", "first", "--verify"])
