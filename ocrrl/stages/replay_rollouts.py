"""`replay_rollouts`: the corrected rollouts of the round before in the training simulator, for the next sim VLA."""

import argparse

from tqdm import tqdm

from ocrrl.interface.tabletop_tasks import TabletopTask
from ocrrl.layout import Layout
from ocrrl.params import Params
from ocrrl.worlds import make_simulator


def run(task: TabletopTask, params: Params, layout: Layout, options: argparse.Namespace) -> None:
    from ocrrl.datasets.episode_store import read_episode
    from ocrrl.datasets.replay import replay_episodes
    from ocrrl.datasets.training_set import episode_files

    episodes = [(source, read_episode(path)) for source, path in episode_files(layout.previous.rollouts("corrected"))]
    with tqdm(total=len(episodes), desc="replay_rollouts", unit="episode") as bar:
        summary = replay_episodes(
            episodes,
            make_simulator(task.slug, max(1, min(10, len(episodes)))),
            layout.dataset("sim"),
            layout.replay_transitions,
            layout.replay_report,
            params.config("replay", task.slug),
            progress=lambda done, _: bar.update(done - bar.n),
        )
    print(f"{len(summary.kept)} of {len(episodes)} rollouts kept")
    for source, reason in summary.dropped.items():
        print(f"  dropped {source}: {reason}")
