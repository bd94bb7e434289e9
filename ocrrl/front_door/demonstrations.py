"""Demonstrations for `ocrrl.train_residual`: recorded episodes, which are replayed, or transitions of an earlier replay."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from ocrrl.datasets.transitions import ReplayEpisode, read_replay_transitions
from ocrrl.episodes.episode_checks import EpisodeRejected, EpisodeRequirements
from ocrrl.episodes.episode_store import episode_paths
from ocrrl.episodes.validation import read_valid_episode
from ocrrl.interface.episode import Episode
from ocrrl.interface.tabletop_tasks import TabletopTask
from ocrrl.replay.recording import why_not_replayable
from ocrrl.replay.replay import ReplayConfig, replays
from ocrrl.worlds import make_simulator

REPLAYED_AT_ONCE = 10  # environments
_GIVEN_AS = "a folder of recorded episodes (.h5), the .zarr of `ocrrl replay`, or a list of ocrrl.datasets.transitions.ReplayEpisode"


def replayed_demonstrations(
    demonstrations: str | Path | Sequence[ReplayEpisode], task: TabletopTask, progress: bool = True
) -> list[ReplayEpisode]:
    """The transitions of `demonstrations` of the tabletop task `task`.

    Recorded episodes are checked as `ocrrl ingest` checks them and replayed as `ocrrl replay` does; each one that is not
    used is printed with its reason. Raises FileNotFoundError where nothing lies, ValueError where no demonstration is left.
    """
    if isinstance(demonstrations, str | Path):
        path = Path(demonstrations)
        if not path.is_dir():
            raise FileNotFoundError(f"demonstrations must be {_GIVEN_AS}, got {path}, which is no folder")
        episodes = read_replay_transitions(path) if path.suffix == ".zarr" else _replayed(path, task, progress)
    else:
        episodes = list(demonstrations)
    for episode in episodes:
        if (objects := episode.observation.object_poses.shape[1]) != len(task.objects):
            raise ValueError(
                f"demonstrations must be of {task.slug}, which tracks {len(task.objects)} objects, got {objects} in {episode.source}"
            )
    return episodes


def _replayed(folder: Path, task: TabletopTask, progress: bool) -> list[ReplayEpisode]:
    paths = episode_paths(folder)
    episodes: list[tuple[str, Episode]] = []
    dropped: dict[str, str] = {}
    for path in paths:
        source = path.relative_to(folder).as_posix()
        try:
            episode = read_valid_episode(path, folder, EpisodeRequirements(task, success=True))
        except EpisodeRejected as rejected:
            dropped[source] = rejected.reason
            continue
        if reason := why_not_replayable(episode):
            dropped[source] = reason
        else:
            episodes.append((source, replace(episode, images={})))  # replay takes images of its own
    kept: list[ReplayEpisode] = []
    if episodes:
        simulator = make_simulator(task.slug, min(REPLAYED_AT_ONCE, len(episodes)))
        with tqdm(total=len(episodes), desc="replay", unit="episode", disable=not progress) as bar:
            for replay in replays(episodes, simulator, ReplayConfig(), lambda done, _: bar.update(done - bar.n)):
                if replay.dropped is None:
                    kept.append(replay.transitions)
                else:
                    dropped[replay.transitions.source] = replay.dropped
        simulator.close()
    for source, reason in dropped.items():
        print(f"demonstration {source} is not used: {reason}")
    if not kept:
        raise ValueError(
            f"demonstrations must hold at least one of {task.slug} that replays to success, got none of the {len(paths)} "
            f"episodes in {folder}; they are {_GIVEN_AS}, and `ocrrl ingest` reads other formats"
        )
    return kept
