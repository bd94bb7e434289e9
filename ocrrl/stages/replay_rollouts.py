"""`replay_rollouts`: replays the corrected rollouts of the round before in simulation, for the next sim VLA."""

from ocrrl.interface.tabletop_tasks import TabletopTask
from ocrrl.layout import Layout
from ocrrl.params import Params
from ocrrl.stages.replay import replay


def run(task: TabletopTask, params: Params, layout: Layout) -> None:
    from ocrrl.episodes.episode_store import part_files, read_episode

    rollouts, labelled = (
        part_files(layout.previous.rollouts("corrected"), f"{task.slug}_corrected", part) for part in ("", "labelled")
    )
    corrected = [(source, read_episode(path)) for source, path in rollouts]
    replay(corrected, task, params, layout, [(source, read_episode(path)) for source, path in labelled])
