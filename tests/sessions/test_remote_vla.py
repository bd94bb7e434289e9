"""A session whose VLA is on a server that fails in mid-episode: the episode is kept as a fault, and the next one needs the server."""

import json

import numpy as np
import pytest

from ocrrl.cli import main
from ocrrl.episodes.episode_store import read_episode
from ocrrl.files import remove
from ocrrl.interface.cameras import CAMERA_SIZES
from ocrrl.layout import Layout
from ocrrl.policies.remote.handshake import agree
from ocrrl.policies.remote.remote_config import remote_config
from ocrrl.policies.remote.vla_file import write_vla_file
from ocrrl.policies.remote.wire import pack_gr00t
from tests.policies.remote.served import scripted_gr00t
from tests.policies.remote.test_faults import GR00T, gr00t_server
from tests.sessions.test_policy_session import FOLDER, ROLLOUT, command, described, project, token

__all__ = ["command", "project", "token"]  # fixtures
LAYOUT = Layout("cube_lift")
FAILED = pack_gr00t({"error": "CUDA error: an illegal memory access"})


class Server:
    """A GR00T server that holds the arm still; it fails `failing` questions after `after` more."""

    def __init__(self):
        self.after, self.failing = 10**9, 0
        self._answer = gr00t_server(lambda count: np.tile(np.float32([0, 0, 0, 0, 0, 0, 1]), (count, 8, 1)))

    def __call__(self, data):
        if b"get_action" in data:
            self.after -= 1
        if self.after < 0 and self.failing and (b"get_action" in data or self.failing > 1):
            self.failing -= 1
            return FAILED
        return self._answer(data)


@pytest.fixture
def server(project):
    """At the address in vla.json, which stands in the place of the real VLA."""
    script = Server()
    with scripted_gr00t(script) as address:
        model = agree(remote_config(GR00T | {"address": address, "timeout": 2.0}), "real", CAMERA_SIZES)
        folder = LAYOUT.vla("real")
        remove(folder)
        folder.mkdir(parents=True)
        write_vla_file(folder, model)
        yield script


def test_an_error_in_mid_episode_ends_it_as_a_fault_that_is_kept_and_the_next_episode_goes_on(server, command, token):
    server.after, server.failing = 2, 1  # the question at the opening, the first of the episode
    code, out, err = command(*ROLLOUT, "--episodes", 2, token=token(2))
    assert code == 0, err
    first, second = described()["attempts"]
    assert (first["aborted_by"], first["steps"], second["aborted_by"], second["steps"]) == ("fault", 4, None, 12)
    assert "got its error: CUDA error: an illegal memory access" in first["aborted"]
    assert "episode 1 of 2 (corrected): ended by a fault: the policy server at tcp://" in out
    assert "2 episodes recorded, 0 succeeded, 1 ended by a fault" in out
    assert len(read_episode(FOLDER / first["episode"])) == 4


def test_a_server_that_stays_away_begins_no_second_episode_and_the_session_continues_later(server, command, token):
    server.after, server.failing = 2, 10**9
    approval = token(2)
    code, out, err = command(*ROLLOUT, "--episodes", 2, token=approval)
    assert code == 1 and "the policy server at tcp://" in err and "The same command with --session" in out
    (only,) = described()["attempts"]
    assert (only["aborted_by"], only["steps"]) == ("fault", 4)
    server.failing = 0
    code, out, err = command(*ROLLOUT, "--episodes", 2, token=approval)
    assert code == 0, err
    assert [attempt["steps"] for attempt in described()["attempts"]] == [4, 12]


def test_a_server_that_is_gone_is_said_before_anybody_is_asked_for_an_approval(server, command):
    server.after, server.failing = 0, 10**9
    code, _, err = command(*ROLLOUT, "--episodes", 2)
    assert code == 1 and "the policy server at tcp://" in err and "approv" not in err
    assert not (FOLDER / "session.json").exists()
    assert json and main
