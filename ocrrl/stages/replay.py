"""`replay`: runs ingested actions in the training simulator; writes the sim LeRobotDataset and transitions."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tqdm import tqdm

from ocrrl.interface.tabletop_tasks import TabletopTask
from ocrrl.layout import Layout
from ocrrl.params import Params
from ocrrl.worlds import make_simulator

if TYPE_CHECKING:
    from ocrrl.interface.episode import Episode


def run(task: TabletopTask, params: Params, layout: Layout) -> None:
    from ocrrl.episodes.ingested import ingested_episodes

    folder = params.episodes_folder(task.slug)
    replay(list(ingested_episodes(folder, layout.normalised_episodes, layout.ingest_report)), task, params, layout)


def replay(
    episodes: "list[tuple[str, Episode]]",
    task: TabletopTask,
    params: Params,
    layout: Layout,
    labelled: "Sequence[tuple[str, Episode]]" = (),
) -> None:
    """Replay `episodes`, pairs of source name and episode, and those `labelled`, to where `layout` says; progress on the terminal."""
    from ocrrl.replay.replay import replay_episodes

    with tqdm(total=len(episodes), desc="replay", unit="episode") as bar:
        summary = replay_episodes(
            episodes,
            make_simulator(task.slug, max(1, min(10, len(episodes))), cameras=params.cameras),
            layout.dataset("sim"),
            layout.replay_transitions,
            layout.accepted_replays,
            layout.replay_report,
            params.config("replay", task.slug),
            progress=lambda done, _: bar.update(done - bar.n),
            labelled=labelled,
        )
    print(f"{len(summary.kept)} of {len(episodes)} replays kept")
    for source, reason in summary.dropped.items():
        print(f"  dropped {source}: {reason}")
