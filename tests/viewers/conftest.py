"""An evaluation session: two pairs, of which one episode was ended by a fault and one more was broken off by an error."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ocrrl.interface.episode import Episode
from ocrrl.interface.protocols import Abort
from ocrrl.sessions.session_folder import SessionFolder
from tests.episodes.toy_episodes import demonstrated


def acted(episode: Episode, seed: int, success: bool) -> Episode:
    """`episode` as base + residual would have recorded it: the base asks for the action, the residual for nothing."""
    attributes = replace(episode.attributes, seed=seed, success=success, operator="policy")
    return replace(
        episode, attributes=attributes, base_action=episode.action.copy(), residual=np.zeros_like(episode.action)
    )


@pytest.fixture(scope="session")
def _recorded_session(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("viewers") / "monday"
    session = SessionFolder(folder, {"purpose": "evaluate", "cell": "rehearsal", "cameras": {}})
    run = {
        "started_utc": "",
        "operator": "anna",
        "approval": "a",
        "episodes_approved": 5,
        "git_revision": None,
        "versions": {},
    }
    session.begin_run(run)
    episodes = demonstrated([3, 4, 5, 6, 7], image_size=32)
    for (variant, seed, success), episode in zip(
        (("base", 11, False), ("residual", 11, True), ("residual", 12, True), ("base", 12, False)),
        episodes,
        strict=False,
    ):
        ended = Abort("fault", "camera front: device lost") if (variant, seed) == ("base", 12) else None
        session.keep(session.begin(variant, seed), acted(episode, seed, success), ended)
    session.keep_unfinished(session.begin("residual", 13), acted(episodes[4], 13, False), "RuntimeError: no torque")
    return folder


@pytest.fixture
def session(_recorded_session, tmp_path) -> Path:
    """A copy, which the test may change."""
    return Path(shutil.copytree(_recorded_session, tmp_path / "monday"))
