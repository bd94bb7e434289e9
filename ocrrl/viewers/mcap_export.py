"""Episodes as MCAP files: one episode as one file, a session, rollouts or any folder of our episodes as a folder of files."""

import os
from collections.abc import Callable
from pathlib import Path

from ocrrl.datasets.export.lerobot_v21 import whole_folder
from ocrrl.episodes.episode_store import SUFFIXES
from ocrrl.viewers.mcap_file import write_mcap
from ocrrl.viewers.session_episodes import SessionEpisode, readable, require_unlocked, session_episodes

SUFFIX = ".mcap"


def export_mcap(source: Path, out: Path, lossless: bool, told: Callable[[str], object]) -> tuple[int, int]:
    """Write the episode or the folder of episodes `source` to `out`; how many were written, and how many there are.

    A file's name ends in .mcap; a folder gets the names of the episodes. An episode that cannot be read is `told`, and the others
    go on; a kill leaves no `out`. Raises FileExistsError where `out` is there, ValueError as `session_episodes` and `readable`.
    """
    require_unlocked(source)
    if source.is_file():
        if source.suffix.lower() not in SUFFIXES or out.suffix != SUFFIX:
            raise ValueError(
                f"--out must end in {SUFFIX} for an episode ({', '.join(SUFFIXES)}), got {out.name} for {source.name}"
            )
        if os.path.lexists(out):
            raise FileExistsError(f"{out} must not exist yet; name another file with --out, or remove it")
        for listed, episode in readable([SessionEpisode(source, source.name, "", "")], lambda line: None):
            write_mcap(out, episode, listed.headline(episode), lossless)
        return 1, 1
    episodes, count = session_episodes(source), 0
    with whole_folder(out) as work:
        for listed, episode in readable(episodes, told):
            target = (work / listed.name).with_suffix(SUFFIX)
            write_mcap(target, episode, listed.headline(episode), lossless)
            count += 1
    return count, len(episodes)
