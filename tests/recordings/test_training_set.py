import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from ocrrl.datasets.frames.decoded_frames import decode_dataset
from ocrrl.datasets.sidecar import read_sidecar
from ocrrl.episodes.episode_checks import EpisodeRejected
from ocrrl.episodes.episode_store import episode_files, read_episode, write_episode
from ocrrl.layout import Layout
from ocrrl.recordings.ingest import ingest
from ocrrl.recordings.ingest_config import IngestConfig
from ocrrl.recordings.training_set import SessionRollouts, TrainingSetConfig, build_training_set, session_rollouts
from ocrrl.sessions.session_folder import SessionFolder
from ocrrl.stages.training_set import build
from ocrrl.tabletop.cube_lift import TASK as CUBE_LIFT
from ocrrl.tabletop.stack_cube import TASK as STACK_CUBE
from tests.episodes.toy_episodes import demonstrated


@pytest.fixture
def files(tmp_path):
    """Two demonstrations and three rollouts, the last one failed."""
    episodes = demonstrated([3, 4, 5, 6, 7])
    episodes[4].attributes = replace(episodes[4].attributes, success=False)
    names = ("demonstrations/e0.h5", "demonstrations/e1.h5", "rollouts/e0.h5", "rollouts/e1.h5", "rollouts/e2.h5")
    for name, episode in zip(names, episodes, strict=True):
        write_episode(tmp_path / name, episode)
    return [(name, tmp_path / name) for name in names]


def test_demonstrations_and_rollouts_are_told_apart(files, tmp_path):
    summary = build_training_set(files[:2], files[2:4], tmp_path / "set", CUBE_LIFT, TrainingSetConfig())
    assert (summary.demonstrations, summary.rollouts, summary.cells) == (2, 2, ("twin",))
    entries = read_sidecar(tmp_path / "set")
    assert [entry.kind for entry in entries] == ["demonstration"] * 2 + ["rollout"] * 2
    assert [entry.source for entry in entries] == [source for source, _ in files[:4]]
    assert all(entry.sha256 for entry in entries)
    assert len(decode_dataset(tmp_path / "set").tasks) == 4


def test_as_many_base_rollouts_as_asked_for(files, tmp_path):
    config = TrainingSetConfig(max_rollouts=1)
    summary = build_training_set(files[:2], files[2:4][::-1], tmp_path / "set", CUBE_LIFT, config, "base_rollout")
    assert summary.rollouts == 1
    assert (read_sidecar(tmp_path / "set")[2].source, read_sidecar(tmp_path / "set")[2].kind) == (
        "rollouts/e0.h5",
        "base_rollout",
    )


def test_a_failed_episode_is_refused(files, tmp_path):
    with pytest.raises(EpisodeRejected, match=r"rollouts/e2.h5: success must be true, got false"):
        build_training_set(files[:2], files[2:], tmp_path / "set", CUBE_LIFT, TrainingSetConfig())
    assert not (tmp_path / "set").exists()
    assert episode_files(tmp_path / "rollouts", "rollouts") == files[2:]


def test_cells_are_never_mixed_unless_named(files, tmp_path):
    write_episode(tmp_path / "fr3.h5", demonstrated([8], cell="fr3")[0])
    mixed = [files[2], ("fr3.h5", tmp_path / "fr3.h5")]
    with pytest.raises(ValueError, match=r"cells must name the cells that may be mixed \(fr3, twin\), got none"):
        build_training_set(files[:2], mixed, tmp_path / "set", CUBE_LIFT, TrainingSetConfig())
    with pytest.raises(ValueError, match=r"cells must cover every episode's, got twin for fr3"):
        build_training_set([], mixed, tmp_path / "set", CUBE_LIFT, TrainingSetConfig(cells=("twin",)))
    config = TrainingSetConfig(cells=("twin", "fr3"))
    assert build_training_set(files[:2], mixed, tmp_path / "set", CUBE_LIFT, config).cells == ("fr3", "twin")


def test_images_of_other_cameras_than_declared_are_refused_with_both_sizes(files, tmp_path):
    build = (files[:2], files[2:4], tmp_path / "set", CUBE_LIFT, TrainingSetConfig())
    declared = {"front": (16, 16), "wrist": (16, 16)}
    build_training_set(*build, cameras=declared)
    with pytest.raises(
        ValueError, match=r"demonstrations/e0.h5 must have .* wrist 32 x 16, got front 16 x 16, wrist 16 x 16: `dvc"
    ):
        build_training_set(*build, cameras=declared | {"wrist": (32, 16)})
    write_episode(tmp_path / "monday.h5", demonstrated([8], image_size=32)[0])
    session = SessionRollouts("twin", (("monday/e.h5", tmp_path / "monday.h5"),))
    with pytest.raises(
        ValueError, match=r"monday/e.h5 must have .*, got front 32 x 32, .* leave out a session's, or declare"
    ):
        build_training_set(*build, sessions=[session], cameras=declared)


def test_a_source_given_twice_is_refused(files, tmp_path):
    with pytest.raises(ValueError, match=r"source names must be different, got demonstrations/e0.h5 more than once"):
        build_training_set(files[:2], files[:1], tmp_path / "set", CUBE_LIFT, TrainingSetConfig())


def test_a_config_out_of_range_is_refused():
    with pytest.raises(ValueError, match="max_rollouts must be at least 0 or null, got -1"):
        TrainingSetConfig(max_rollouts=-1)
    with pytest.raises(ValueError, match="cells must be different names, got twin, twin"):
        TrainingSetConfig(cells=("twin", "twin"))


TOY = {"front": (16, 16), "wrist": (16, 16)}
BOTH = TrainingSetConfig(cells=("rehearsal", "twin"))


def write_session(folder, seeds=(20, 21), cell="rehearsal", purpose="rollout", recorded_in=None):
    """A session of `cell` with a success of each of `seeds`, and a failure."""
    session = SessionFolder(folder, {"purpose": purpose, "cell": cell, "tabletop_task": "cube_lift"})
    session.begin_run({"approval": "nonce", "episodes_approved": 9})
    *successes, failure = demonstrated([*seeds, 99], cell=recorded_in or cell)
    failure.attributes = replace(failure.attributes, success=False)
    for episode in (*successes, failure):
        session.keep(session.begin("corrected", episode.attributes.seed), episode)
    return folder


@pytest.fixture
def session(tmp_path):
    return write_session(tmp_path / "sessions/rehearsal/cube_lift/monday")


def test_the_successes_of_a_session_join_the_rollouts_with_their_origin(files, session, tmp_path):
    recorded = session_rollouts(session, CUBE_LIFT)
    assert recorded.cell == "rehearsal"
    summary = build_training_set(
        files[:2], files[2:4], tmp_path / "set", CUBE_LIFT, replace(BOTH, max_rollouts=1), sessions=[recorded]
    )
    assert (summary.demonstrations, summary.rollouts, summary.cells) == (2, 3, ("rehearsal", "twin"))
    entries = read_sidecar(tmp_path / "set")[2:]
    assert [entry.source for entry in entries] == [
        "rollouts/e0.h5",
        "monday/corrected/successes/episode_000000.h5",
        "monday/corrected/successes/episode_000001.h5",
    ]
    assert [(entry.kind, entry.cell, entry.seed) for entry in entries[1:]] == [
        ("rollout", "rehearsal", 20),
        ("rollout", "rehearsal", 21),
    ]


def test_a_session_is_not_mixed_with_another_cell_unless_named(files, session, tmp_path):
    with pytest.raises(ValueError, match=r"cells must name the cells that may be mixed \(rehearsal, twin\), got none"):
        build_training_set(
            files[:2],
            [],
            tmp_path / "set",
            CUBE_LIFT,
            TrainingSetConfig(),
            sessions=[session_rollouts(session, CUBE_LIFT)],
        )


def test_a_session_with_episodes_of_another_cell_is_refused(tmp_path):
    fr3 = write_session(tmp_path / "fr3/cube_lift/monday", cell="fr3", recorded_in="twin")
    with pytest.raises(EpisodeRejected, match=r"monday/.*episode_000000.h5: cell must be one of fr3, got twin"):
        build_training_set(
            [], [], tmp_path / "set", CUBE_LIFT, TrainingSetConfig(), sessions=[session_rollouts(fr3, CUBE_LIFT)]
        )
    assert not (tmp_path / "set").exists()


def test_an_episode_that_was_a_demonstration_already_is_refused(files, session, tmp_path):
    path = tmp_path / "posing.h5"
    episode = read_episode(session / "corrected/successes/episode_000001.h5")
    write_episode(path, replace(episode, attributes=replace(episode.attributes, operator="Ada")))
    with pytest.raises(
        ValueError, match=r"episodes must be different, got posing.h5 again as monday/.*episode_000001.h5"
    ):
        build_training_set(
            [*files[:2], ("posing.h5", path)],
            [],
            tmp_path / "set",
            CUBE_LIFT,
            BOTH,
            sessions=[session_rollouts(session, CUBE_LIFT)],
        )


def test_a_damaged_episode_of_a_session_is_refused_by_name(session, tmp_path):
    recorded = session_rollouts(session, CUBE_LIFT)
    (session / "corrected/successes/episode_000001.h5").write_bytes(b"broken")
    with pytest.raises(
        EpisodeRejected, match=r"monday/corrected/successes/episode_000001.h5: file must be an HDF5 file"
    ):
        build_training_set([], [], tmp_path / "set", CUBE_LIFT, TrainingSetConfig(), sessions=[recorded])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"purpose": "evaluate"}, "purpose must be 'rollout', got 'evaluate'"),
        ({"tabletop_task": "stack_cube"}, "tabletop_task must be 'cube_lift', got 'stack_cube'"),
        ({"session": "tuesday"}, "session must be 'monday', got 'tuesday'"),
        ({"cell": "fr3"}, "must lie in fr3/cube_lift, where it was recorded, got rehearsal/cube_lift"),
        ({"cell": "twin"}, "a session must name a cell of its own"),
        ({"cell": "moon"}, "cell must be one of .*, got 'moon'"),
        ({"attempts": []}, r"must be those of its session.json, got monday/corrected/successes/episode_000000.h5, "),
    ],
    ids=["held-out states", "another task", "another session", "another cell", "the stages' cell", "no cell", "books"],
)
def test_a_session_that_is_no_rollout_of_this_task_and_cell_is_refused(session, change, message):
    file = session / "session.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(ValueError, match=message):
        session_rollouts(session, CUBE_LIFT)


def test_a_lost_episode_of_a_session_is_named_and_a_folder_without_a_session_refused(session, tmp_path):
    (session / "corrected/successes/episode_000001.h5").unlink()
    with pytest.raises(
        ValueError, match=r"got monday/corrected/successes/episode_000001.h5 in one of them only; restore"
    ):
        session_rollouts(session, CUBE_LIFT)
    for content in (None, "{", "[1]"):
        shutil.rmtree(session)
        session.mkdir()
        if content:
            (session / "session.json").write_text(content)
        with pytest.raises(
            ValueError, match=r"rollouts of stack_cube must be folders of sessions, got .*/monday without"
        ):
            session_rollouts(session, STACK_CUBE)


def test_the_stage_gives_the_retrained_set_the_sessions_and_the_control_as_many_more(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    layout = Layout("cube_lift")
    params = collected(layout, corrected=1, base=4)
    session = write_session(layout.session("rehearsal", "monday"))
    build(CUBE_LIFT, params, layout, [session])
    assert kinds(layout) == {
        "retrained": ["demonstration"] * 2 + ["rollout"] * 3,
        "base_rollouts": ["demonstration"] * 2 + ["base_rollout"] * 3,
    }
    build(CUBE_LIFT, params, layout)
    assert len(read_sidecar(layout.training_set("retrained"))) == 3


@pytest.mark.parametrize(
    ("corrected", "base", "rollouts", "said"),
    [
        (0, 0, (0, 0), "no rollout succeeded, so the retrained VLA is trained on demonstrations alone"),
        (0, 2, (0, 0), "no rollout succeeded, so the retrained VLA is trained on demonstrations alone"),
        (
            2,
            0,
            (2, 0),
            "the VLA alone succeeded in no rollout, so the control base_rollouts is trained on demonstrations",
        ),
        (3, 2, (2, 2), ""),
    ],
)
def test_a_round_without_successes_is_named_and_a_base_that_never_succeeds_takes_no_rollouts_from_the_residual(
    tmp_path, monkeypatch, capsys, corrected, base, rollouts, said
):
    monkeypatch.chdir(tmp_path)
    layout = Layout("cube_lift")
    build(CUBE_LIFT, collected(layout, corrected, base), layout)
    counted = kinds(layout)
    assert (counted["retrained"].count("rollout"), counted["base_rollouts"].count("base_rollout")) == rollouts
    lines = capsys.readouterr().out.splitlines()[2:]
    assert len(lines) == bool(said) and all(said in line and "training_set cube_lift, round0" in line for line in lines)


def collected(layout, corrected, base):
    """Two demonstrations, and so many rollouts, in the working folder; the parameters to build training sets of them."""
    recordings = Path("recordings").absolute()
    folders = {recordings: 2, layout.rollouts("corrected"): corrected, layout.rollouts("base"): base}
    episodes = iter(demonstrated(list(range(2 + corrected + base))))
    for folder, count in folders.items():
        folder.mkdir(parents=True)
        for number in range(count):
            write_episode(folder / f"episode_{number:06d}.h5", next(episodes))
    ingest(
        recordings,
        CUBE_LIFT,
        layout.dataset("real"),
        layout.normalised_episodes,
        layout.ingest_report,
        IngestConfig(),
    )
    layout.accepted_replays.parent.mkdir(parents=True)
    layout.accepted_replays.write_text("[]")
    config = replace(BOTH, demonstrations="all")
    return SimpleNamespace(config=lambda section, task: config, episodes_folder=lambda task: recordings, cameras=TOY)


def kinds(layout):
    return {name: [e.kind for e in read_sidecar(layout.training_set(name))] for name in ("retrained", "base_rollouts")}
