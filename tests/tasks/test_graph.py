"""The order and the selection of stages come from dvc.yaml."""

import subprocess

import pytest
from dvc.exceptions import DvcException

from tasks.dvc_graph import release_locks_of_the_dead, set_aside_damaged_lock_file
from tasks.graph import Graph, Selection, Stage, in_order, read_graph
from tests.pipeline_copy import ROOT, copy_project


def stage(name, *upstream, command="", **more):
    return Stage(name, command or f"ocrrl {name.partition('@')[0]} cube_lift --round round0", upstream, **more)


GRAPH = Graph(
    (
        stage("record@cube_lift", outputs=("data/episodes/cube_lift/recorded",)),
        stage("replay@cube_lift", "record@cube_lift", outputs=("data/replay",)),
        stage("record@stack_cube", command="ocrrl record stack_cube --round round1"),
        stage(
            "train_residual@cube_lift-1",
            "replay@cube_lift",
            command="ocrrl train_residual cube_lift --round round0 --seed 1",
        ),
    )
)


def names(stages):
    return [stage.name for stage in stages]


def test_the_real_dvc_yaml_gives_every_stage_after_what_it_needs(tmp_path):
    graph = read_graph(copy_project(tmp_path / "project"))
    seen = set()
    for found in graph.stages:
        assert set(found.upstream) <= seen, found.name
        seen.add(found.name)
    assert {"record@cube_lift", "finetune@cube_lift-sim", "report@cube_lift", "publish"} <= seen
    assert all(found.changed for found in graph.stages), "nothing was run yet"
    by_name = {found.name: found for found in graph.stages}
    assert by_name["rollout@cube_lift"].slot == "robot" and by_name["train_residual@cube_lift-0"].retries == 2
    assert by_name["finetune@cube_lift-sim"].parameters == ("finetune.shared", "finetune.cube_lift")


def test_titles_are_for_people():
    assert GRAPH.stages[3].title == "train_residual · cube_lift · seed 1 · round0"
    assert (
        stage("finetune@x", command="ocrrl finetune x --round round0 --domain sim").title
        == "finetune · x · sim · round0"
    )


def test_a_target_brings_what_it_needs_with_it_and_nothing_else():
    assert names(GRAPH.select(Selection(targets=("train_residual@cube_lift-1",)))) == names(
        (GRAPH.stages[0], GRAPH.stages[1], GRAPH.stages[3])
    )
    assert names(GRAPH.select(Selection(targets=("replay",), only_targets=True))) == ["replay@cube_lift"]


def test_a_target_may_be_a_path_that_a_stage_writes():
    found = GRAPH.select(Selection(targets=("data/episodes/cube_lift/recorded/episode_000000.h5",)))
    assert names(found) == ["record@cube_lift"]


def test_stages_tasks_and_rounds_narrow_the_selection():
    assert names(GRAPH.select(Selection(tabletop_tasks=("stack_cube",)))) == ["record@stack_cube"]
    assert names(GRAPH.select(Selection(rounds=("round1",)))) == ["record@stack_cube"]
    assert names(GRAPH.select(Selection(kinds=("record",), rounds=("round0",)))) == ["record@cube_lift"]
    assert GRAPH.select(Selection()) == GRAPH.stages


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (Selection(targets=("retrian",)), r"targets: 'retrian' must be a stage of dvc.yaml .*record@cube_lift"),
        (Selection(tabletop_tasks=("juggle",)), r"tasks must be among those of dvc.yaml \(cube_lift, stack_cube\)"),
        (Selection(rounds=("round7",)), r"rounds must be among .*\(round0, round1\), got 'round7'"),
        (Selection(kinds=("replay",), rounds=("round1",)), "no stage of dvc.yaml is all of"),
    ],
)
def test_what_dvc_yaml_does_not_have_is_named_with_what_it_has(wanted, message):
    with pytest.raises(ValueError, match=message):
        GRAPH.select(wanted)


def test_what_was_added_to_dvc_by_hand_is_no_stage(tmp_path):
    subprocess.run(["dvc", "init", "--no-scm", "--quiet"], cwd=tmp_path, check=True)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "episode.h5").write_text("recorded")
    subprocess.run(["dvc", "add", "--quiet", "mine"], cwd=tmp_path, check=True)
    (tmp_path / "dvc.yaml").write_text("stages:\n  ingest:\n    cmd: ocrrl ingest cube_lift\n    deps: [mine]\n")
    (found,) = read_graph(tmp_path).stages
    assert (found.name, found.upstream) == ("ingest", ())


def test_stages_that_need_each_other_are_refused():
    with pytest.raises(ValueError, match="need each other: a, b"):
        in_order([stage("a", "b"), stage("b", "a")])


def test_meta_is_checked():
    with pytest.raises(ValueError, match=r"meta.slot must be one of cpu, gpu, robot, got 'tpu'"):
        stage("a", slot="tpu")
    with pytest.raises(ValueError, match=r"meta.timeout must be over 0 seconds"):
        stage("a", timeout=0)


def test_a_dvc_yaml_that_dvc_refuses_gives_its_words(tmp_path):
    subprocess.run(["dvc", "init", "--no-scm", "--quiet"], cwd=tmp_path, check=True)
    (tmp_path / "dvc.yaml").write_text("stages:\n  a:\n    cmd: true\n    dps: [x]\n")
    with pytest.raises(RuntimeError, match=r"dvc.yaml"):
        read_graph(tmp_path)


def test_a_lock_file_cut_short_by_a_kill_is_set_aside_and_not_lost(tmp_path):
    (tmp_path / "dvc.lock").write_text("schema: '2.0'\nstages:\n  a:\n    cmd: [un")
    note = set_aside_damaged_lock_file(tmp_path)
    assert note and "was moved to dvc.lock.damaged-" in note
    assert not (tmp_path / "dvc.lock").exists() and len(list(tmp_path.glob("dvc.lock.damaged-*"))) == 1
    (tmp_path / "dvc.lock").write_text("schema: '2.0'\nstages: {}\n")
    assert set_aside_damaged_lock_file(tmp_path) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("schema: '2.0'\nstages:\n  a: {cmd: b}\n  a: {cmd: c}\n", 'duplicate key "a".*, again on line 4: keep one'),
        (
            "stages:\n<<<<<<< HEAD\n  a: 1\n=======\n  a: 2\n>>>>>>> b\n",
            "merged, got git's marks on lines 2, 6: keep one side",
        ),
    ],
)
def test_a_lock_file_that_a_person_merged_is_refused_and_stays(tmp_path, text, said):
    (tmp_path / "dvc.lock").write_text(text)
    with pytest.raises(DvcException, match=said):
        set_aside_damaged_lock_file(tmp_path)
    assert (tmp_path / "dvc.lock").read_text() == text


def test_the_locks_of_killed_processes_are_released(tmp_path):
    folder = tmp_path / ".dvc" / "tmp"
    folder.mkdir(parents=True)
    gone = subprocess.Popen(["true"])
    gone.wait()
    here = {"pid": 1, "cmd": "init"}
    (folder / "rwlock").write_text(
        f'{{"write": {{"x": {{"pid": {gone.pid}, "cmd": "dvc"}}}}, "read": {{"y": [{{"pid": 1, "cmd": "init"}}]}}}}'
    )
    release_locks_of_the_dead(tmp_path)
    assert (
        folder / "rwlock"
    ).read_text() == f'{{"write": {{}}, "read": {{"y": [{{"pid": 1, "cmd": "{here["cmd"]}"}}]}}}}'
    (folder / "rwlock").write_text('{"write": {"x"')
    assert "damaged" in (release_locks_of_the_dead(tmp_path) or "")
    assert not (folder / "rwlock").exists()


def test_the_project_s_stages_have_a_slot_each():
    assert {found.slot for found in read_graph(ROOT).stages} == {"cpu", "gpu", "robot"}


def test_a_name_that_a_shell_could_misread_is_refused_before_dvc_is_asked(tmp_path, monkeypatch):
    (tmp_path / "params.yaml").write_text("tabletop_tasks: {}\n")
    (tmp_path / "graph.yaml").write_text("rounds: ['round0; touch ran #']\n")
    monkeypatch.setattr("tasks.graph.DVC_GRAPH", tmp_path / "never_started.py")
    with pytest.raises(RuntimeError, match=r"^nothing was run: ocrrl check_names: graph.yaml: rounds.0 must be a name"):
        read_graph(tmp_path)
    assert not (tmp_path / "ran").exists()
