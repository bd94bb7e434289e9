"""A session's folder when things go wrong: in a toy cell, behind the guard that a robot has."""

import json
from pathlib import Path

import pytest

from ocrrl.episodes.episode_store import episode_paths, read_episode
from ocrrl.layout import Layout
from ocrrl.robot.cell.guarded_cell import GuardedCell, NotFit
from ocrrl.robot.operator.approval import NotApproved, check, issue
from ocrrl.robot.operator.approval_ledger import episodes_begun
from ocrrl.sessions.record_episodes import Acting, record_episodes
from ocrrl.sessions.schedule import FixedSchedule, planned_episodes
from ocrrl.sessions.session_folder import SessionFolder
from tests.rollouts.toy_environment import ToyBase, ToyEnvironment, weak_residual

NAME = "monday"


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class ToyCell(ToyEnvironment):
    """The toy as a cell; `stop` is called before each episode with how many there were."""

    def __init__(self, stop=lambda resets: None, fit_for=None):
        super().__init__(1, "twin")
        self._stop, self.fit_for = stop, fit_for

    def reset(self, ids, seeds):
        super().reset(ids, seeds)
        self._stop(self.resets)

    def require_fit(self):
        if self.resets == self.fit_for:
            raise NotFit("camera front: device lost")

    def come_to_rest(self, error=""):
        pass

    def calibration(self):
        return {}

    def close(self):
        pass


class Killed(BaseException):
    pass


class Clock:
    now = 1_790_000_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """Runs what is missing of a session of `episodes` in the toy cell, a new approval for just that each time."""
    monkeypatch.chdir(tmp_path)
    clock = Clock()

    def run(episodes, stop=lambda resets: None, models=None, fit_for=None):
        session = SessionFolder(tmp_path / NAME, {"purpose": "rollout", "models": models or {"vla": "1"}})
        schedule = FixedSchedule(session, planned_episodes("rollout", NAME, episodes), Layout("cube_lift"))
        token = issue("rehearsal", NAME, "cube_lift", schedule.most, "Ada", clock)
        approval = check(token, "rehearsal", NAME, "cube_lift", schedule.most, clock)
        session.begin_run(
            {
                "started_utc": "",
                "operator": "Ada",
                "approval": approval.nonce,
                "episodes_approved": approval.episodes,
                "git_revision": None,
                "versions": {},
            }
        )
        cell = GuardedCell(ToyCell(stop, fit_for), approval, clock, tmp_path / ".work")
        acting = Acting(ToyBase(speed=0.0), {"corrected": weak_residual}, {})
        record_episodes(session, schedule.episodes(), cell, acting)
        return session

    run.clock, run.folder = clock, tmp_path / NAME
    return run


def test_failures_are_kept_beside_successes(toy):
    session = toy(8)
    counts = [len(episode_paths(toy.folder / "corrected" / kind)) for kind in ("successes", "failures")]
    assert 0 < session.successes == counts[0] < 8 == sum(counts)
    for path in episode_paths(toy.folder):
        attributes = read_episode(path).attributes
        assert attributes.success == (path.parent.name == "successes") and attributes.cell == "rehearsal"


def test_an_episode_that_a_failed_part_keeps_from_beginning_is_on_no_books(toy):
    with pytest.raises(NotFit):
        toy(4, fit_for=2)
    left = json.loads((toy.folder / "session.json").read_text())
    assert len(left["attempts"]) == left["episodes"]["begun"] == left["episodes"]["recorded"] == 2
    (run,) = left["runs"]
    assert episodes_begun(Path(".work"), run["approval"]) == 2


def test_a_session_killed_in_an_episode_goes_on_and_keeps_the_earlier_ones(toy):
    def kill(resets):
        if resets == 3:
            raise Killed

    with pytest.raises(Killed):
        toy(4, kill)
    earlier = contents(toy.folder / "corrected")
    assert len(earlier) == 2
    killed = json.loads((toy.folder / "session.json").read_text())
    assert killed["episodes"] == {
        "approved": 4,
        "begun": 3,
        "recorded": 2,
        "successes": killed["episodes"]["successes"],
    }
    session = toy(4)
    after = contents(toy.folder / "corrected")
    assert {name: after[name] for name in earlier} == earlier and len(after) == 4
    assert [(a["number"], a["episode"] is None) for a in session.attempts] == [
        *((0, False), (1, False), (2, True), (3, False), (4, False))
    ]
    seeds = [a["seed"] for a in session.attempts if a["episode"]]
    assert seeds == [seed for _, seed in planned_episodes("rollout", NAME, 4)]


def test_an_episode_written_but_not_noted_is_found_again(toy):
    session = toy(2)
    file = toy.folder / "session.json"
    content = json.loads(file.read_text())
    content["attempts"][1] |= {"success": None, "steps": None, "episode": None}
    file.write_text(json.dumps(content))
    again = SessionFolder(toy.folder, {"purpose": "rollout", "models": {"vla": "1"}})
    assert again.attempts == session.attempts
    again.settle()
    assert json.loads(file.read_text())["attempts"] == session.attempts


def test_a_session_of_an_older_version_is_read(toy):
    toy(1)
    file = toy.folder / "session.json"
    content = json.loads(file.read_text())
    attempt = content["attempts"][0]
    attempt["arm"] = attempt.pop("variant")
    del attempt["aborted_by"]
    file.write_text(json.dumps(content))
    again = toy(2).attempts
    assert again[0]["aborted_by"] is None
    assert [attempt["variant"] for attempt in again] == ["corrected"] * 2


def test_an_approval_that_runs_out_stops_the_session_between_episodes(toy):
    def expire(resets):
        toy.clock.now += 10 * 60

    with pytest.raises(NotApproved, match="must not have expired"):
        toy(3, expire)
    content = json.loads((toy.folder / "session.json").read_text())
    assert content["episodes"]["begun"] == content["episodes"]["recorded"] == 2, "what was refused never began"
    assert toy(3).recorded == 3


def test_a_session_keeps_to_its_models_and_never_replaces_an_episode(toy):
    session = toy(1)
    with pytest.raises(ValueError, match=r"session monday: models must stay \{'vla': '1'\}, got .* another --session"):
        toy(2, models={"vla": "2"})
    (path,) = episode_paths(toy.folder)
    with pytest.raises(RuntimeError, match="must not be there before its episode was recorded"):
        session.keep(session.attempts[0], read_episode(path))
    (toy.folder / "session.json").unlink()
    with pytest.raises(ValueError, match=r"got a folder without session\.json"):
        toy(1)
