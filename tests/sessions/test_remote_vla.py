"""A session whose VLA is on a server that fails in mid-episode: the episode is kept as a fault, and the next one needs the server."""

import threading
import time

import numpy as np
import pytest

from ocrrl.episodes.episode_store import read_episode
from ocrrl.files import remove
from ocrrl.interface.protocols import PolicyFault
from ocrrl.layout import Layout
from ocrrl.policies.async_chunked_policy import AsyncChunkedPolicy
from ocrrl.policies.remote.handshake import agree, open_model
from ocrrl.policies.remote.remote_config import remote_config
from ocrrl.policies.remote.vla_file import write_vla_file
from ocrrl.policies.remote.wire import ModalityConfig, pack_gr00t
from ocrrl.rollouts.control_loop import run_episodes
from tests.policies.remote.scripted import GR00T, gr00t_server
from tests.policies.remote.served import scripted_gr00t
from tests.policies.synthetic import INSTRUCTION
from tests.rollouts.toy_environment import ToyEnvironment
from tests.sessions.test_policy_session import FOLDER, ROLLOUT, command, described, project, token

__all__ = ["command", "project", "token"]  # fixtures
LAYOUT = Layout("cube_lift")
SIZES = {"front": (64, 64), "wrist": (64, 64)}
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
        model = agree(remote_config(GR00T | {"address": address, "timeout": 10.0}), "real", SIZES)
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


class RealTime(ToyEnvironment):
    """A toy arm whose control step takes 50 ms."""

    def step(self, actions, ids):
        time.sleep(0.05)
        return super().step(actions, ids)


def test_while_a_server_is_silent_the_arm_is_held_and_the_loop_goes_on():
    silent, answer = threading.Event(), gr00t_server(lambda count: np.full((count, 8, 7), 0.001))
    sizes = {"front": (2, 4), "wrist": (2, 4)}
    policy = GR00T | {"cameras": {"front": "front"}}
    with scripted_gr00t(lambda data: None if silent.is_set() else answer(data)) as address:
        answer.modalities["video"] = ModalityConfig((0,), ("video.front",), as_text=True)
        vla = open_model(agree(remote_config(policy | {"address": address, "timeout": 1.0}), "real", sizes))
        late, environment = AsyncChunkedPolicy(vla, INSTRUCTION, delay=1), RealTime(1, cell="fr3")
        moved = []
        step = environment.step
        environment.step = lambda actions, ids: (moved.append((time.monotonic(), actions[0, 0])), step(actions, ids))[1]
        silent.set()
        with pytest.raises(PolicyFault, match=r"must answer in time, waited "):
            run_episodes(environment, late, None, [0])
        times, steps = np.array(moved).T
        assert len(moved) >= 10 and not steps.any(), "held from the first step on"
        assert np.diff(times).max() < 0.7, "no step waited for the server"
        assert "must answer in time" in environment.rested[0]
        silent.clear()
        vla.ready()
        moved.clear()
        run_episodes(environment, late, None, [0])
        assert np.array(moved)[-1, 1] == pytest.approx(0.001, rel=1e-3), "the next episode goes on"
        late.close()
        vla.close()
