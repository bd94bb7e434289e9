"""The episodes of a session's folder, of a folder of rollouts, or of any folder of our files, in the order in which they ran."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ocrrl.episodes.episode_checks import EpisodeRejected
from ocrrl.episodes.episode_store import SUFFIXES, episode_paths
from ocrrl.episodes.validation import read_valid_episode
from ocrrl.interface.episode import Episode
from ocrrl.interface.json_file import read_json_object

SESSION, ATTEMPTS = "session.json", "attempts.json"
"""Of a session, and of a folder that `ocrrl rollout` wrote."""
_AS_RECORDED = "a session folder is whole as its command left it: copy it again"


@dataclass(frozen=True)
class SessionEpisode:
    """One episode file."""

    path: Path
    name: str
    """Relative to the session's folder."""
    variant: str
    """`base`, `residual`, `corrected`; empty where the folder does not tell."""
    ending: str
    """Why it ended before its time; empty where it did not."""

    def headline(self, episode: Episode) -> str:
        """One line on `episode`, which was read from the file."""
        attributes = episode.attributes
        result = "success" if attributes.success else "failure"
        of = " ".join(
            filter(None, (self.variant, f"initial state {attributes.seed}" if attributes.seed is not None else ""))
        )
        ended = f", ended early: {self.ending}" if self.ending else ""
        return f"{self.name}{f' ({of})' if of else ''}: {result} after {len(episode)} steps{ended}"


def is_session(folder: Path) -> bool:
    """Whether `folder` says of itself that its episodes belong together."""
    return any((folder / name).is_file() for name in (SESSION, ATTEMPTS))


def require_unlocked(recording: Path) -> None:
    """ValueError where `recording`, a folder or an episode's file, is of a blind session: its episodes show who acted."""
    for folder in (recording, *recording.absolute().parents[:3]):
        if (folder / SESSION).is_file():
            session = read_json_object(folder / SESSION, _AS_RECORDED)
            if session.get("until") is not None and session.get("unlocked") is None:
                raise ValueError(
                    f"session {folder.name} is blind until it is unlocked, and its episodes show who acted: go on with it until it "
                    f"is decided, or end it by `ocrrl unlock {folder} --early`"
                )


def session_episodes(folder: Path) -> list[SessionEpisode]:
    """Of a session by number of the attempt, of any other folder by name.

    Raises ValueError that names what `folder` must be where it holds no episode of ours; FileNotFoundError where it is not there.
    """
    if not folder.is_dir():
        raise FileNotFoundError(
            f"{folder} must be a session's folder, got {'a file' if folder.exists() else 'nothing'} there"
        )
    require_unlocked(folder)
    sessions = sorted(path.parent.relative_to(folder).as_posix() for path in folder.glob(f"*/**/{SESSION}"))
    if sessions:
        raise ValueError(
            f"{folder} must be the folder of one session, got {len(sessions)}: name one of {', '.join(sessions[:5])}"
        )
    found = {path.relative_to(folder).as_posix(): path for path in episode_paths(folder)}
    if not found:
        traces = " (an evaluation stage keeps traces, no episodes: `ocrrl show`)" if list(folder.glob("*.npz")) else ""
        raise ValueError(
            f"{folder} must be a session's folder ({SESSION}), or hold episodes ({', '.join(SUFFIXES)}), got neither{traces}"
        )
    if not (folder / SESSION).is_file():
        return [SessionEpisode(path, name, "", "") for name, path in found.items()]
    attempts = _attempts(folder / SESSION)
    listed = [
        SessionEpisode(
            found[name], name, str(attempt.get("variant", attempt.get("arm", ""))), str(attempt.get("aborted") or "")
        )
        for attempt in attempts
        if (name := _file_of(attempt)) in found
    ]
    known = {episode.name for episode in listed}
    return listed + [
        SessionEpisode(path, name, name.split("/")[0], f"{SESSION} does not list it")
        for name, path in found.items()
        if name not in known
    ]


def readable(episodes: list[SessionEpisode], told: Callable[[str], object]) -> Iterator[tuple[SessionEpisode, Episode]]:
    """The episodes one at a time; what is wrong with one that cannot be read is `told`, and the others go on.

    Raises ValueError where none could be read.
    """
    refused = []
    for listed in episodes:
        try:
            episode = read_valid_episode(listed.path, listed.path.parent)
        except EpisodeRejected as rejected:
            folder = listed.name.removesuffix(listed.path.name)
            refused.append(f"{folder}{rejected}")
            told(f"{folder}{rejected}; the other episodes go on")
            continue
        yield listed, episode
    if len(refused) == len(episodes):
        raise ValueError(
            f"at least one of {len(episodes)} episodes must be readable, got none; the first: {refused[0]}"
        )


def _attempts(path: Path) -> list[dict[str, Any]]:
    attempts = read_json_object(path, _AS_RECORDED).get("attempts")
    if not isinstance(attempts, list) or not all(isinstance(attempt, dict) for attempt in attempts):
        raise ValueError(f"{path}: attempts must be a list of attempts, got another value; {_AS_RECORDED}")
    return attempts


def _file_of(attempt: dict[str, Any]) -> str:
    """Of one that was broken off, the file of what there is of it."""
    number = attempt.get("number")
    variant = attempt.get("label", attempt.get("variant", attempt.get("arm")))
    unfinished = f"{variant}/unfinished/episode_{number:06d}.h5" if isinstance(number, int) else ""
    return str(attempt.get("episode") or unfinished)
