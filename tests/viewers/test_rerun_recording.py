import pytest

from ocrrl.cli import main
from ocrrl.episodes.episode_store import read_episode

pytest.importorskip("rerun")


def read_back(path):
    """By entity, the rows on the timeline `session`: time [s] and value of the last column."""
    from rerun.chunk import RrdReader

    rows = {}
    for chunk in RrdReader(str(path)).stream():
        batch = chunk.to_record_batch()
        if "session" in batch.schema.names:
            times = [value.value / 1e9 for value in batch.column("session")]
            rows.setdefault(chunk.entity_path, []).extend(zip(times, batch.columns[-1].to_pylist(), strict=True))
    return {entity: sorted(values, key=lambda row: row[0]) for entity, values in rows.items()}


def test_a_whole_session_lies_on_one_timeline(session, tmp_path, capsys):
    assert main(["view", str(session), "--save", str(tmp_path / "s.rrd")]) == 0
    assert "5 of 5 episodes" in capsys.readouterr().out
    rows = read_back(tmp_path / "s.rrd")
    steps = [len(read_episode(path, with_images=False)) for path in session.rglob("*.h5")]
    for entity in (
        "/base_action/dx",
        "/residual/dx",
        "/action/dx",
        "/gate/safety",
        "/gate/cuboid_shown",
        "/confidence/cuboid",
    ):
        times = [time for time, value in rows[entity] if value]
        assert len(times) == sum(steps) and len(set(times)) == len(times), entity
    assert {value[0] for _, value in rows["/gate/safety"] if value} == {0.0}
    lines = [value[0] for _, value in rows["/episodes"] if value and isinstance(value[0], str)]
    assert len(lines) == 5 and lines[0].startswith("base/failures/episode_000000.h5 (base initial state 11)")
    assert len([1 for _, value in rows["/cameras/front"] if value]) >= sum(steps)


def test_a_session_with_a_broken_episode_shows_the_others_and_names_it(session, tmp_path, capsys):
    (session / "base/failures/episode_000000.h5").write_bytes(b"cut")
    assert main(["view", str(session), "--save", str(tmp_path / "s.rrd")]) == 1
    said = capsys.readouterr()
    assert "4 of 5 episodes" in said.out and "base/failures/episode_000000.h5: file must be" in said.err
    assert "the other episodes go on" in said.err


def test_all_is_for_any_folder_of_our_episodes(session, tmp_path, capsys):
    save = ["--save", str(tmp_path / "s.rrd")]
    assert main(["view", str(session / "residual"), "--all", *save]) == 0
    assert "3 of 3 episodes" in capsys.readouterr().out
    assert main(["view", str(session), "--episode", "1", *save]) == 0
    assert "episodes of" not in capsys.readouterr().out
    assert main(["view", str(tmp_path), "--all", "--episode", "1", *save]) == 1
    assert "--episode must be left out with --all" in capsys.readouterr().err
    (tmp_path / "nothing").mkdir()
    assert main(["view", str(tmp_path / "nothing"), "--all", *save]) == 1
    assert "must be a session's folder (session.json), or hold episodes" in capsys.readouterr().err
