import json

import pytest

from ocrrl.viewers.session_episodes import readable, session_episodes


def test_episodes_come_as_they_ran_with_what_became_of_them(session):
    episodes = session_episodes(session)
    assert [(e.variant, e.ending) for e in episodes] == [
        ("base", ""),
        ("residual", ""),
        ("residual", ""),
        ("base", "camera front: device lost"),
        ("residual", "RuntimeError: no torque"),
    ]
    lines = [listed.headline(episode) for listed, episode in readable(episodes, pytest.fail)]
    assert lines[1].startswith("residual/successes/episode_000001.h5 (residual initial state 11): success after ")
    assert lines[3].endswith("steps, ended early: camera front: device lost")


def test_an_episode_that_cannot_be_read_is_named_and_the_others_go_on(session):
    broken = session / "residual/successes/episode_000001.h5"
    broken.write_bytes(broken.read_bytes()[:1000])
    told = []
    names = [listed.name for listed, _ in readable(session_episodes(session), told.append)]
    assert len(names) == 4 and "residual/successes/episode_000001.h5" not in names
    assert len(told) == 1 and told[0].startswith(
        "residual/successes/episode_000001.h5: file must be a complete HDF5 file"
    )
    assert told[0].endswith("the other episodes go on")


def test_where_none_can_be_read_the_first_is_named(session):
    for path in session.rglob("*.h5"):
        path.write_bytes(b"")
    with pytest.raises(
        ValueError, match=r"at least one of 5 episodes must be readable, got none; the first: base/failures/"
    ):
        list(readable(session_episodes(session), lambda line: None))


def test_an_episode_that_the_session_does_not_list_is_shown_last(session):
    source = session / "base/failures/episode_000000.h5"
    (session / "base/failures/episode_000099.h5").write_bytes(source.read_bytes())
    assert session_episodes(session)[-1].ending == "session.json does not list it"


def test_what_is_no_session_is_named(session, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere must be a session's folder, got nothing there"):
        session_episodes(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"empty must be a session's folder \(session.json\), or hold episodes"):
        session_episodes(tmp_path / "empty")
    (tmp_path / "empty/twin.npz").write_bytes(b"")
    with pytest.raises(ValueError, match="an evaluation stage keeps traces"):
        session_episodes(tmp_path / "empty")
    with pytest.raises(ValueError, match="must be the folder of one session, got 1: name one of monday"):
        session_episodes(tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "must be JSON.*copy it again"),
        ("[]", "must hold a JSON object"),
        (json.dumps({"attempts": 3}), "attempts must be a list.*copy it again"),
        (json.dumps({"attempts": ["x"]}), "attempts must be a list of attempts"),
    ],
)
def test_a_damaged_session_file_is_named(session, text, said):
    (session / "session.json").write_text(text)
    with pytest.raises(ValueError, match=f"session.json.*{said}"):
        session_episodes(session)
