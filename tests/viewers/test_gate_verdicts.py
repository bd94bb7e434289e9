import numpy as np

from ocrrl.interface.actions import compose
from ocrrl.viewers.gate_verdicts import VERDICTS, safety_verdicts, shown_to_policies
from tests.episodes.toy_episodes import demonstrated, random_episode


def test_a_step_is_followed_limited_or_refused():
    episode = random_episode(steps=4)
    episode.base_action = episode.action.copy()
    episode.residual = np.full_like(episode.action, 0.001)
    episode.action = compose(episode.base_action, episode.residual)
    episode.action[1, :3] *= 0.5
    episode.action[2] = [0, 0, 0, 0, 0, 0, 1]
    episode.action[3] = episode.action[3].astype(np.float32)  # rounding is no verdict
    assert [VERDICTS[k] for k in safety_verdicts(episode)] == ["followed", "limited", "refused", "followed"]


def test_a_demonstration_has_no_verdicts_but_shows_its_objects():
    (episode,) = demonstrated([3])
    assert safety_verdicts(episode) is None
    assert shown_to_policies(episode).shape == (len(episode), len(episode.attributes.object_names))
