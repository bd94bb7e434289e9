"""A session's folder: append-only episodes, and `session.json` with what was done.

`<variant>/successes/episode_000000.h5` and `<variant>/failures/episode_000001.h5`; the number is the attempt's. What an error
broke off lies in `<variant>/unfinished`. `session.json` is written before an episode begins and after it was recorded, so
that an interrupted one stays on the books. While a session is blind a label stands for the variant: its episodes stay in the
label's folder when the session is unlocked, and `session.json` then says which variant each was.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NotRequired, TypedDict, cast

from ocrrl import files
from ocrrl.episodes.episode_store import read_episode, write_episode
from ocrrl.interface.cameras import DEFAULT_CAMERAS
from ocrrl.interface.episode import Episode
from ocrrl.interface.json_file import read_json_object
from ocrrl.interface.protocols import Abort, AbortedBy
from ocrrl.lineage.reading.places import new_place
from ocrrl.rollouts.episode_outcome import EpisodeOutcome, EpisodeTrace

SCHEMA = 1
SESSION_FILE = "session.json"
FOLDER_OF = {True: "successes", False: "failures"}
UNFINISHED = "unfinished"
_GROWING = ("episodes", "runs", "attempts", "unlocked")
"""What a session does not keep to; the rest of `session.json` is its identity."""


class Run(TypedDict):
    """One start of the command."""

    started_utc: str
    operator: str
    approval: str
    """The approval's nonce."""
    episodes_approved: int
    git_revision: str | None
    versions: dict[str, str]
    intervener: NotRequired[str]
    """Who could step in: a device's name, or `scripted`."""
    plan: NotRequired[str]
    """The hash of the plan that the run kept to, of an evaluation until decided."""


class Unlocked(TypedDict):
    """The end of a blind session."""

    at_utc: str
    early: bool
    """Whether somebody ended it before it was decided."""
    order_seed: str
    order_salt: str
    """What the plan's hash of the order was made of (`ocrrl.sessions.blind_order`)."""


class Attempt(TypedDict):
    """One episode that began; success, steps and episode are null when it was interrupted."""

    number: int
    variant: str
    """`base`, `residual` or, of a rollout, `corrected`; of a blind session `first` or `second`, until it is unlocked."""
    label: NotRequired[str]
    """What stood for the variant while the session was blind: the folder of its episode."""
    seed: int
    approval: str
    success: bool | None
    steps: int | None
    episode: str | None
    aborted: str
    """Why it was ended before its time; empty where it was not."""
    aborted_by: AbortedBy | None
    """Whose doing that was; null where it was not, or where an error broke the episode off."""
    interventions: NotRequired[list[list[int]]]
    """The steps in which a person acted, pairs of the first and the one after the last; absent where nobody stepped in."""


class SessionFolder:
    """The folder of one session, new or gone on with."""

    def __init__(self, folder: Path, identity: dict[str, Any], planned: Sequence[str] = ()) -> None:
        """`identity` (JSON) is what one session keeps to; ValueError where the folder holds a session of another.

        `planned` are files that may lie there before the session begins. Writes nothing.
        """
        self.folder = folder
        self._file = folder / SESSION_FILE
        self.identity = {"schema": SCHEMA, "session": folder.name} | identity
        self.runs: list[Run] = []
        self.attempts: list[Attempt] = []
        self.unlocked: Unlocked | None = None
        """Of a session that was blind; None while it is, and for others."""
        if self._file.is_file():
            self._read()
        elif folder.exists() and any(entry.name not in planned for entry in folder.iterdir()):
            raise ValueError(f"{folder} must be a session or not there, got a folder without {SESSION_FILE}")

    @classmethod
    def at(cls, folder: Path) -> "SessionFolder":
        """The session in `folder`, whatever it keeps to; FileNotFoundError or ValueError where there is none."""
        content = read_json_object(folder / SESSION_FILE, "name the folder of a session, as its command left it")
        return cls(folder, {name: value for name, value in content.items() if name not in _GROWING})

    def settle(self) -> None:
        """Write down episodes that a kill kept from being noted."""
        if self._file.is_file():
            self._write()

    def missing(self, planned: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
        """Those of `planned`, pairs of variant and seed, that have no recorded episode yet."""
        recorded = {(attempt["variant"], attempt["seed"]) for attempt in self.attempts if attempt["episode"]}
        return [pair for pair in planned if pair not in recorded]

    def begin_run(self, run: Run) -> None:
        """Note a start of the command."""
        self.runs.append(run)
        self._write()

    def begin(self, variant: str, seed: int) -> Attempt:
        """Note that an episode is about to begin."""
        number = self.attempts[-1]["number"] + 1 if self.attempts else 0
        attempt: Attempt = {
            "number": number,
            "variant": variant,
            "seed": seed,
            "approval": self.runs[-1]["approval"],
            "success": None,
            "steps": None,
            "episode": None,
            "aborted": "",
            "aborted_by": None,
        }
        self.attempts.append(attempt)
        self._write()
        return attempt

    def withdraw(self, attempt: Attempt) -> None:
        """Take back an episode that was refused before anything moved."""
        self.attempts.remove(attempt)
        self._write()

    def keep(self, attempt: Attempt, episode: Episode, aborted: Abort | None = None) -> None:
        """Record the attempt's episode, and what `aborted` it if so; RuntimeError if its file is there already."""
        success = episode.attributes.success
        path = self._path(attempt, success)
        if path.exists():
            raise RuntimeError(f"{path} must not be there before its episode was recorded, got a file")
        if (
            aborted is not None
        ):  # noted first: an episode that is found after a crash must not look like another failure
            attempt["aborted"], attempt["aborted_by"] = aborted.why, aborted.by
            self._write()
        write_episode(path, episode)
        self._note(attempt, path, episode)
        self._write()

    def end(self, attempt: Attempt, why: str, by: AbortedBy | None) -> None:
        """Note why the attempt ended before a step was recorded; `by` is null for an error."""
        attempt["aborted"], attempt["aborted_by"] = why, by
        self._write()

    def keep_unfinished(self, attempt: Attempt, episode: Episode, why: str) -> None:
        """Put aside what there is of an episode that an error ended; its initial state counts as not run yet."""
        path = self.folder / folder_of(attempt) / UNFINISHED / f"episode_{attempt['number']:06d}.h5"
        write_episode(path, episode)
        attempt["aborted"] = why
        self._write()

    def unlock(self, record: Unlocked, variant_of: Callable[[Attempt], str]) -> None:
        """Say of every attempt which variant it was, and note that the session has ended: in one write."""
        for attempt in self.attempts:
            attempt["label"], attempt["variant"] = attempt["variant"], variant_of(attempt)
        self.unlocked = record
        self._write()

    def outcomes(self, recorded: Iterable[Attempt]) -> list[EpisodeOutcome]:
        """The `recorded` attempts' episodes with their traces, in the order of their seeds; the summed reward is not kept."""
        attempts = sorted(recorded, key=lambda attempt: attempt["seed"])
        return [_outcome(read_episode(self.folder / str(a["episode"]), with_images=False)) for a in attempts]

    @property
    def successes(self) -> int:
        return sum(bool(attempt["success"]) for attempt in self.attempts)

    @property
    def faults(self) -> int:
        """Recorded episodes that a technical fault ended."""
        return sum(attempt["episode"] is not None and attempt["aborted_by"] == "fault" for attempt in self.attempts)

    @property
    def recorded(self) -> int:
        return sum(attempt["episode"] is not None for attempt in self.attempts)

    def _read(self) -> None:
        try:
            content = json.loads(self._file.read_text())
            models = content.get("models") or {}  # of a session begun in version 0.1, where they lay elsewhere
            content.setdefault(
                "cameras", {name: list(size) for name, size in DEFAULT_CAMERAS.items()}
            )  # of version 0.2
            content["models"] = {str(new_place(PurePosixPath(path))): value for path, value in models.items()}
        except ValueError as error:
            raise ValueError(f"{self._file} must be JSON, got: {error}") from error
        for name, value in ({"until": None} | self.identity).items():
            if content.get(name) != value:
                raise ValueError(
                    f"session {self.folder.name}: {name} must stay {content.get(name)!r}, got {value!r}; "
                    "begin another --session"
                )
        self.runs, self.unlocked = content["runs"], content.get("unlocked")
        self.attempts = [_of_this_version(attempt) for attempt in content["attempts"]]
        for attempt in self.attempts:
            for success in FOLDER_OF:
                # Killed after the episode was written and before this was noted.
                if attempt["episode"] is None and (path := self._path(attempt, success)).is_file():
                    self._note(attempt, path, read_episode(path, with_images=False))

    def _path(self, attempt: Attempt, success: bool) -> Path:
        return self.folder / folder_of(attempt) / FOLDER_OF[success] / f"episode_{attempt['number']:06d}.h5"

    def _note(self, attempt: Attempt, path: Path, episode: Episode) -> None:
        attempt["success"], attempt["steps"] = episode.attributes.success, len(episode)
        attempt["episode"] = path.relative_to(self.folder).as_posix()
        if by_hand := episode.interventions():
            attempt["interventions"] = [list(rows) for rows in by_hand]

    def _write(self) -> None:
        approved = {run["approval"]: run["episodes_approved"] for run in self.runs}
        counts = {
            "approved": sum(approved.values()),
            "begun": len(self.attempts),
            "recorded": self.recorded,
            "successes": self.successes,
        }
        lists = {"runs": self.runs, "attempts": self.attempts}
        ended = {} if self.unlocked is None else {"unlocked": self.unlocked}
        files.write_json(self._file, self.identity | {"episodes": counts} | lists | ended)


def folder_of(attempt: Attempt) -> str:
    """The folder of the attempt's episodes within the session's."""
    return attempt.get("label", attempt["variant"])


def interventions_told(attempt: Attempt) -> str:
    """`, 2 interventions of 31 steps`; empty where nobody stepped in."""
    spans = attempt.get("interventions", [])
    steps = sum(stop - first for first, stop in spans)
    return f", {len(spans)} intervention{'s' * (len(spans) > 1)} of {steps} steps" if spans else ""


def _of_this_version(attempt: dict[str, Any]) -> Attempt:
    """An `attempt` of session.json; sessions begun in version 0.1 call the variant `arm`, and some have no `aborted_by`."""
    renamed = {"variant" if key == "arm" else key: value for key, value in attempt.items()}
    return cast(Attempt, {"aborted_by": None} | renamed)


def _outcome(episode: Episode) -> EpisodeOutcome:
    seen = episode.observation()
    if episode.base_action is None or episode.residual is None or episode.attributes.seed is None:
        raise ValueError("a session's episode must hold base_action, residual and seed, got one without")
    trace = EpisodeTrace(
        gripper_positions=seen.gripper_pose[:, :3].astype("float32"),
        object_positions=seen.object_poses[..., :3].astype("float32"),
        object_visible=seen.visible(),
        base_actions=episode.base_action.astype("float32"),
        residuals=episode.residual.astype("float32"),
    )
    return EpisodeOutcome(episode.attributes.seed, episode.attributes.success, len(episode), 0.0, trace)
