"""`replay_rollouts`: the corrected rollouts of the round before in the training simulator, for the next sim VLA."""

import argparse

from ocrrl.interface.tabletop_tasks import TabletopTask
from ocrrl.layout import Layout
from ocrrl.params import Params
from ocrrl.stages.replay import replay


def run(task: TabletopTask, params: Params, layout: Layout, options: argparse.Namespace) -> None:
    from ocrrl.episodes.episode_store import episode_files, read_episode

    rollouts = episode_files(layout.previous.rollouts("corrected"), f"{task.slug}_corrected")
    replay([(source, read_episode(path)) for source, path in rollouts], task, params, layout)
