"""`ocrrl migrate` on a folder of version 0.1 whose stages are a few bytes each; DVC itself says what is up to date."""

import json
import re
import shutil
from pathlib import Path

import pytest
import yaml
from dvc.repo import Repo

from ocrrl import files
from ocrrl.cli import main
from ocrrl.commands import migrate as command
from ocrrl.interface.cameras import DEFAULT_CAMERAS
from ocrrl.interface.renamed import RENAMED
from ocrrl.lineage.reading.hashes import Ignored, files_under, path_hash
from ocrrl.lineage.reading.pipeline import pipeline_stages
from ocrrl.migrate import new_lock
from ocrrl.migrate.new_lock import code_entries
from ocrrl.params import CONFIGS, Params
from ocrrl.params_graph import graph_sections
from ocrrl.preset_params import resolve
from tests.pipeline_copy import ROOT

TASKS = ("cube_lift", "close_drawer")
PARAMS = resolve("default", TASKS)
GRAPH = graph_sections(Params(PARAMS).tabletop_tasks, 2, 1)
TEXTS = {
    "dvc.yaml": (ROOT / "dvc.yaml").read_text(),
    "params.yaml": yaml.safe_dump(PARAMS, sort_keys=False),
    "graph.yaml": yaml.safe_dump(GRAPH, sort_keys=False),
}
STAGES = pipeline_stages(TEXTS.get)
CODE = "ocrrl/files.py"  # stands for all the code of version 0.1
WITH_IMAGES = {
    *("record", "ingest", "replay", "train_residual", "evaluate", "rollout", "rollout_base", "evaluate_retrained"),
    "evaluate_multitask",
}
OF_0_2 = {dep: f"{dep} of 0.2" for stage in STAGES.values() for dep in stage.deps if dep.startswith("ocrrl/")}
KEPT = ["episode_000000.h5", "episode_000002.h5"]


def old_place(path: str) -> str | None:
    """Where version 0.1 had `path`; None for the list of kept replays, which was in the report."""
    kind, *rest = path.removeprefix("data/").split("/")
    name, _, variant = kind.partition("_")
    if name == "accepted":
        return None
    if kind == "metrics":
        stage, round_name, file = rest
        if seed := re.fullmatch(r"evaluate_(\d)", stage):
            return f"data/metrics/{round_name}/evaluate/{file.removesuffix('.json')}-{seed[1]}.json"
        return f"data/metrics/{round_name}/{stage}/{file}"
    round_name, task = (*rest, "")[:2]
    return {
        "normalised": f"data/episodes/{task}/normalised",
        "dataset": f"data/datasets/{round_name}/{task}_{variant}",
        "transitions": f"data/replay/{round_name}/{task}",
        "vla": f"data/models/{round_name}/{task}/{kind}",
        "residual": f"data/models/{round_name}/{task}/{kind}",
        "evaluation": f"data/evaluations/{round_name}/{task}-{variant}",
        "rollouts": f"data/rollouts/{round_name}/{task}_{variant}",
        "training": f"data/training_sets/{round_name}/{task}_{variant.removeprefix('set_')}",
    }.get(name, path)


def old_params() -> dict:
    """params.yaml of version 0.1 with the values of `PARAMS`."""

    def old_names(section: str, values: dict) -> dict:
        names = {new: old for old, new in RENAMED.get(section, {}).items()}
        return {names.get(key, key): value for key, value in values.items()}

    sections = {
        section: {task: old_names(section, values["shared"] | values[task]) for task in TASKS}
        if section in CONFIGS
        else values
        for section, values in PARAMS.items()
        if section != "cameras"
    }
    return sections | {"tasks": list(TASKS), "rounds": ["round0"], "residuals": GRAPH["residuals"]}


def write_old_project(folder: Path) -> None:
    ignored = Ignored.of_project(folder)

    def entry(path: str) -> dict:
        place = folder / path
        found = files_under(place, folder, ignored) if place.is_dir() else [place]
        size = sum(file.stat().st_size for file in found)
        count = {"nfiles": len(found)} if place.is_dir() else {}
        return {"path": path, "hash": "md5", "md5": path_hash(place, folder, ignored), "size": size} | count

    def paths(news: list[str]) -> list[str]:
        inside = [
            out for dep in news for stage in STAGES.values() for out in stage.outs if f"{out}/".startswith(f"{dep}/")
        ]
        olds = [old_place(out) or old_place(out.replace("accepted", "metrics/replay", 1)) for out in inside]
        return sorted({old for old in olds if old})

    for path in paths([out for stage in STAGES.values() for out in stage.outs]):
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        if "/replay/" in path and path.endswith(".json"):
            files.write_json(place, {"counts": {"kept": 2}, "kept": KEPT, "config": {"max_slip": 0.03}})
        elif path.endswith(".json"):
            place.write_text(json.dumps({"of": path}))
        else:
            place.mkdir()
            (place / "content").write_text(path)
            (place / "more").mkdir()
            (place / "more/content").write_text(path[::-1])
    before, lock, runs = old_params(), {}, []
    for address, stage in STAGES.items():
        values = {}
        for file, name in stage.params:
            section, _, key = name.partition(".")
            if file == "graph.yaml":
                values["tasks"] = before["tasks"]
            elif key != "shared" and name not in ("tabletop_tasks", "cameras"):
                values[name] = before[section][key] if key else before[section]
        lock[address] = {
            "cmd": ["ocrrl check_names", stage.command],
            "deps": [*map(entry, paths(list(stage.deps))), {"path": CODE, "hash": "md5", "md5": "old", "size": 3}],
            "params": {"params.yaml": values},
            "outs": [entry(path) for path in paths([o for o in stage.outs if "accepted" not in o])],
        }
        runs.append({"stage": address, "outs": {out["path"]: out["md5"] for out in lock[address]["outs"]}})
    rest = dict.fromkeys(
        ("schema", "started", "wall_s", "cpu_s", "peak_mb", "revision", "modified", "host", "versions")
    )
    rest |= {"flow_run": None, "flow_run_name": None, "deployment": None, "outcome": "finished"}
    (folder / "data/runs.jsonl").write_text("".join(json.dumps(rest | run) + "\n" for run in runs))
    (folder / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": lock}, sort_keys=False))
    (folder / "params.yaml").write_text(yaml.safe_dump(before, sort_keys=False))


@pytest.fixture(scope="module")
def old(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("old") / "project"
    folder.mkdir()
    Repo.init(str(folder), no_scm=True)
    for name in ("dvc.yaml", ".dvcignore", "graph.yaml"):
        shutil.copy(ROOT / name, folder / name)
    (folder / "ocrrl").symlink_to(ROOT / "ocrrl")
    write_old_project(folder)
    return folder


@pytest.fixture
def project(old, tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "project"
    shutil.copytree(old, folder, symlinks=True)
    monkeypatch.chdir(folder)
    versions = tmp_path / new_lock.CODE_VERSIONS
    versions.write_text(
        json.dumps({"0.1": {CODE: "old"}, "0.2.0": OF_0_2, new_lock.THIS_VERSION: code_entries(folder, STAGES)})
    )
    monkeypatch.setattr(new_lock.resources, "files", lambda package: tmp_path)
    return folder


def status(folder: Path) -> set[str]:
    """The stages that DVC would run again. What is not in the cache, where this project has nothing, is no reason."""
    with Repo(str(folder)) as repo:
        found = repo.status()
    return {
        address
        for address, changes in found.items()
        for change in changes
        for values in (change.values() if isinstance(change, dict) else [{"": change}])
        if {str(value) for value in values.values()} != {"not in cache"}
    }


IN_THE_TWIN = {
    *("record", "evaluate", "rollout", "rollout_base", "evaluate_retrained", "evaluate_multitask", "promote"),
}
"""Stages that run again in any case: the twin's images are other bytes than before."""


def stale(folder: Path) -> set[str]:
    """The other stages that DVC would run again."""
    return {address for address in status(folder) if address.partition("@")[0] not in IN_THE_TWIN}


def files_in(folder: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and ".dvc/tmp" not in str(p)
    }


def test_what_runs_in_the_twin_runs_again_since_its_images_changed(project):
    assert main(["migrate"]) == 0
    in_the_twin = {address for address, stage in STAGES.items() if "ocrrl/robot/twin" in stage.deps}
    assert status(project) == in_the_twin
    assert {address.partition("@")[0] for address in in_the_twin} <= IN_THE_TWIN
    assert main(["migrate"]) == 0 and status(project) == in_the_twin


def test_everything_else_is_up_to_date_at_its_new_place(project, capsys):
    before = {path: content for path, content in files_in(project / "data").items() if path != "runs.jsonl"}
    assert main(["migrate"]) == 0
    assert "data/models/round0/cube_lift/vla_real -> data/vla_real/round0/cube_lift" in capsys.readouterr().out
    assert stale(project) == set()
    assert sorted(files_in(project / "data").values()) != sorted(before.values()), "the lists of kept replays are apart"
    assert json.loads((project / "data/accepted/round0/cube_lift.json").read_text()) == KEPT
    report = json.loads((project / "data/metrics/replay/round0/cube_lift.json").read_text())
    assert report == {"counts": {"kept": 2}, "config": {"max_slip": 0.03}}
    kept = {out: Path(out) for stage in STAGES.values() for out in stage.outs}
    assert all(path.exists() for path in kept.values())
    assert not any((project / "data" / name).exists() for name in ("datasets", "replay", "rollouts", "training_sets"))
    before, after = Params(PARAMS), Params.read()
    after.check()
    for section in CONFIGS:
        assert [after.config(section, task) for task in TASKS] == [before.config(section, task) for task in TASKS]
    assert "max_slip" not in yaml.safe_load(Path("params.yaml").read_text())["replay"]["cube_lift"], "it is shared"
    assert yaml.safe_load(Path("graph.yaml").read_text())["residuals"] == GRAPH["residuals"]


def test_the_lineage_of_the_retrained_vla_is_told_with_its_runs(project, capsys):
    main(["migrate"])
    capsys.readouterr()
    assert main(["lineage", "data/models/vla_retrained", "--format", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    stages = {stage["address"]: stage for stage in told["stages"]}
    assert {"replay@cube_lift", "replay@close_drawer", "retrain_multitask@round0", "publish"} <= set(stages)
    assert all(stage["run"] for stage in stages.values()), "also of the replays, whose reports have other bytes now"
    assert {"data/dataset_real/round0/cube_lift", "data/training_set_retrained/round0/close_drawer"} <= {
        artifact["path"] for artifact in told["artifacts"]
    }


def test_a_second_run_changes_nothing_and_dry_changes_nothing(project, capsys):
    before = files_in(project)
    assert main(["migrate", "--dry"]) == 0 and files_in(project) == before
    said = capsys.readouterr().out
    assert "params.yaml: shared values" in said
    assert "params.yaml: train_residual.cube_lift.batch -> batch_size" in said
    main(["migrate"])
    after = files_in(project)
    assert main(["migrate"]) == 0 and "nothing to migrate" in capsys.readouterr().out
    assert files_in(project) == after


@pytest.mark.parametrize("broken_off", [0, 3, *range(48, 62)])
def test_an_interrupted_run_is_finished_by_the_next(project, monkeypatch, broken_off, tmp_path):
    whole = tmp_path / "whole"
    shutil.copytree(project, whole, symlinks=True)
    calls = []

    def until_then(write):
        def counted(*arguments):
            calls.append(arguments)
            if len(calls) > broken_off:
                raise KeyboardInterrupt
            return write(*arguments)

        return counted

    with monkeypatch.context() as patch:
        for name in ("publish", "write_json", "write_bytes"):
            patch.setattr(files, name, until_then(getattr(files, name)))
        patch.setattr(command, "write", until_then(command.write))
        assert main(["migrate"]) == 130
    assert main(["migrate"]) == 0
    found = files_in(project)
    monkeypatch.chdir(whole)
    assert main(["migrate"]) == 0
    assert found == files_in(whole)


def test_what_was_stale_stays_stale(project):
    lock = yaml.safe_load(Path("dvc.lock").read_text())
    lock["stages"]["finetune@cube_lift-sim"]["params"]["params.yaml"]["finetune.cube_lift"]["steps"] = 7
    Path("dvc.lock").write_text(yaml.safe_dump(lock, sort_keys=False))
    Path("data/models/round0/cube_lift/residual_0/content").write_text("changed by hand")
    assert main(["migrate"]) == 0
    trained = {"finetune@cube_lift-sim", "finetune@cube_lift-real"}  # one value in both entries
    readers = {"report@cube_lift", "report_multitask@round0"}
    assert stale(project) == trained | readers


def test_parameters_that_were_written_anew_first_keep_their_seeds_and_an_interrupted_lock_is_finished(
    project, monkeypatch
):
    command.write(PARAMS, "default", Path("params.yaml"), residual_seeds=2)
    with monkeypatch.context() as patch:
        patch.setattr(command, "migrated_lock", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        assert main(["migrate"]) == 130
    assert main(["migrate"]) == 0
    assert stale(project) == set()
    lock = yaml.safe_load(Path("dvc.lock").read_text())
    assert lock["stages"]["train_residual@cube_lift-1"]["outs"][0]["path"] == "data/residual_1/round0/cube_lift"


def test_names_alone_are_converted_where_values_are_shared_already(project, capsys):
    main(["migrate"])
    after = files_in(project)
    for name in ("params.yaml", "dvc.lock"):
        text = Path(name).read_text()
        assert "actor_ema" in text and "image_fit" in text and "actor_averaging" not in text
        Path(name).write_text(text.replace("actor_ema", "actor_averaging").replace("image_fit", "picture_fit"))
    capsys.readouterr()
    assert main(["finetune", "cube_lift", "--domain", "sim"]) == 1
    said = capsys.readouterr().err
    assert (
        "params.yaml: ingest.shared.picture_fit is called image_fit since version 0.2" in said
        and "`ocrrl migrate`" in said
    )
    assert main(["migrate"]) == 0
    assert yaml.safe_load(Path("params.yaml").read_text()) == yaml.safe_load(after["params.yaml"])
    assert files_in(project) | {"params.yaml": b""} == after | {"params.yaml": b""}


@pytest.fixture
def of_0_2(project) -> Path:
    """The project as version 0.2 left it: its paths are today's, it declares no cameras."""
    main(["migrate"])
    lock = yaml.safe_load(Path("dvc.lock").read_text())
    for entry in lock["stages"].values():
        entry.get("params", {}).get("params.yaml", {}).pop("cameras", None)
        entry["deps"] = [dep for dep in entry["deps"] if dep["path"] != "ocrrl/policies/chunk_delay.py"]
        for dep in entry["deps"]:
            dep["md5"] = OF_0_2.get(dep["path"], dep["md5"])
    Path("dvc.lock").write_text(yaml.safe_dump(lock, sort_keys=False))
    params, graph = (yaml.safe_load(Path(name).read_text()) for name in ("params.yaml", "graph.yaml"))
    del params["cameras"], graph["latency"]
    Path("params.yaml").write_text("# ours\n" + yaml.safe_dump(params, sort_keys=False))
    Path("graph.yaml").write_text(yaml.safe_dump(graph, sort_keys=False))
    return project


def test_a_folder_of_version_0_2_gets_its_cameras_and_nothing_else_runs_again(of_0_2, capsys):
    capsys.readouterr()
    assert main(["replay", "cube_lift"]) == 1
    assert "cameras must be given since version 0.3; `ocrrl migrate` adds it" in capsys.readouterr().err
    before = files_in(of_0_2)
    assert main(["migrate", "--dry"]) == 0 and files_in(of_0_2) == before
    said = capsys.readouterr().out
    assert "params.yaml: cameras, with the sizes that images had so far" in said and "shared values" not in said
    assert main(["migrate"]) == 0
    assert stale(of_0_2) == set()
    assert Path("params.yaml").read_text().startswith("# ours\n") and Params.read().cameras == DEFAULT_CAMERAS
    Params.read().check()
    after = files_in(of_0_2)
    capsys.readouterr()
    assert main(["migrate"]) == 0 and "nothing to migrate" in capsys.readouterr().out
    assert files_in(of_0_2) == after


def test_of_version_0_2_what_was_stale_stays_stale_also_where_other_cameras_are_declared(of_0_2):
    lock = yaml.safe_load(Path("dvc.lock").read_text())
    lock["stages"]["replay@cube_lift"]["params"]["params.yaml"]["replay.shared"]["max_slip"] = 7.0
    lock["stages"]["ingest@close_drawer"]["deps"][-1]["md5"] = "edited by hand"
    Path("dvc.lock").write_text(yaml.safe_dump(lock, sort_keys=False))
    assert main(["migrate"]) == 0
    changed = {"replay@cube_lift", "ingest@close_drawer"}
    assert stale(of_0_2) == changed
    assert main(["migrate"]) == 0 and stale(of_0_2) == changed, "a second run makes nothing current"
    params = yaml.safe_load(Path("params.yaml").read_text())
    Path("params.yaml").write_text(yaml.safe_dump(params | {"cameras": {"front": [96, 128]}}, sort_keys=False))
    assert {address.partition("@")[0] for address in status(of_0_2)} == WITH_IMAGES


def test_cameras_that_were_declared_before_migrating_are_no_default(of_0_2):
    params = yaml.safe_load(Path("params.yaml").read_text())
    Path("params.yaml").write_text(yaml.safe_dump(params | {"cameras": {"front": [96, 128]}}, sort_keys=False))
    assert main(["params"]) == main(["migrate"]) == 0
    assert {address.partition("@")[0] for address in status(of_0_2)} == WITH_IMAGES
    assert dict(Params.read().cameras) == {"front": (96, 128)}


def test_two_places_of_one_thing_are_refused_and_nothing_is_moved(project, capsys):
    (project / "data/vla_real/round0/cube_lift").mkdir(parents=True)
    before = files_in(project)
    assert main(["migrate"]) == 1
    said = capsys.readouterr().err
    assert "data/models/round0/cube_lift/vla_real is to become data/vla_real/round0/cube_lift, but both exist" in said
    assert files_in(project) == before


def test_until_then_every_stage_says_the_next_step(project, capsys):
    assert main(["finetune", "cube_lift", "--domain", "sim"]) == 1
    assert "params.yaml is of version 0.1; `ocrrl migrate` converts it" in capsys.readouterr().err
    shutil.copy(ROOT / "params.yaml", "params.yaml")
    for arguments in (["finetune", "cube_lift", "--domain", "sim"], ["check_names"]):
        assert main(arguments) == 1
        said = capsys.readouterr().err
        assert "must lie at data/" in said and "`ocrrl migrate` brings the folder over" in said


def test_outside_a_project_it_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["migrate"]) == 1
    assert "migrate must run in a project's folder" in capsys.readouterr().err
