import json
import os
import subprocess
import sys
import threading

import pytest
import yaml

from ocrrl.lineage.run_record import read_runs, recorded_run, timings_table


def runs(root):
    return read_runs((root / "data/runs.jsonl").read_text())[0]


def test_a_run_s_outs_have_the_hashes_that_dvc_wrote_into_its_lock(at):
    lock = yaml.safe_load((at / "dvc.lock").read_text())["stages"]
    for address, entry in lock.items():
        last = [run for run in runs(at) if run.stage == address][-1]
        assert last.outs == {out["path"]: out["md5"] for out in entry["outs"]}


def test_a_run_tells_when_where_from_which_revision_and_by_which_flow_run(at):
    first, last = runs(at)[0], runs(at)[-1]
    assert first.started.endswith("+00:00") and first.host and first.wall_s >= 0 and first.peak_mb > 0
    assert (first.flow_run, first.flow_run_name, first.deployment) == (None, "merry-otter", "self-improve/full")
    assert last.flow_run_name is None and last.deployment is None
    command = ["git", "rev-parse", "code"]
    assert last.revision == subprocess.run(command, capture_output=True, text=True).stdout.strip()
    assert last.modified == [] and last.versions["python"] == sys.version.split()[0] and last.versions["dvc"]
    parameter = [run for run in runs(at) if run.stage == "finetune@cube_lift-sim"][2]
    assert parameter.modified == ["params.yaml"]


def test_a_failure_is_recorded_with_its_first_line_and_no_outs(tmp_path):
    with pytest.raises(ValueError), recorded_run({"command": "x"}, "x@y", tmp_path):
        raise ValueError("gamma must be in (0, 1]\nand so on")
    with recorded_run({"command": "x"}, "x@y", tmp_path) as run:
        run.exit_code = 1
    assert [run.outcome for run in runs(tmp_path)] == [
        "failed: ValueError: gamma must be in (0, 1]",
        "failed: exit code 1",
    ]
    assert all(run.outs == {} and run.revision is None and run.modified is None for run in runs(tmp_path))
    assert "failed: exit code 1" in timings_table(tmp_path)


def test_the_record_is_only_added_to_and_lines_of_concurrent_runs_stay_whole(tmp_path):
    def run(number):
        with recorded_run({"command": "none"}, f"stage@{number}", tmp_path):
            pass

    run("first")
    before = (tmp_path / "data/runs.jsonl").read_text()
    threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    after = (tmp_path / "data/runs.jsonl").read_text()
    assert after.startswith(before)
    assert {json.loads(line)["stage"] for line in after.splitlines()} == {
        *(f"stage@{number}" for number in range(8)),
        "stage@first",
    }


def test_a_broken_dvc_yaml_or_an_unwritable_record_stops_no_stage(tmp_path, capsys):
    (tmp_path / "dvc.yaml").write_text("stages: [")
    (tmp_path / "data").write_text("a file where the folder should be")
    with recorded_run({"command": "none"}, "stage", tmp_path) as run:
        pass
    assert run.exit_code == 0 and "this run is not recorded" in capsys.readouterr().err


def test_a_line_that_is_no_run_is_passed_over_and_counted(at):
    text = (at / "data/runs.jsonl").read_text()
    found, unreadable = read_runs("<<<<<<< ours\n" + text + '{"schema": 1}\n')
    assert len(found) == len(text.splitlines()) and unreadable == [1, len(found) + 2]


def test_a_record_that_the_disk_takes_in_part_is_taken_back(tmp_path, monkeypatch, capsys):
    def run():
        with recorded_run({"command": "none"}, "stage", tmp_path):
            pass

    run()
    before = (tmp_path / "data/runs.jsonl").read_bytes()
    write = os.write
    with monkeypatch.context() as full:
        full.setattr(os, "write", lambda descriptor, line: write(descriptor, line[:40]))
        run()
    assert (tmp_path / "data/runs.jsonl").read_bytes() == before
    assert "this run is not recorded: [Errno 28] No space left" in capsys.readouterr().err
    run()
    assert len(runs(tmp_path)) == 2
