"""Summary of a folder of recordings: counts, refusals, notes, omissions, warnings about later stages."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
from jaxtyping import Float, UInt8

from ocrrl.episodes.pixels import resized
from ocrrl.interface.tabletop_tasks import TabletopTask
from ocrrl.printable import one_line
from ocrrl.recordings.ingest_config import IngestConfig
from ocrrl.recordings.later_stages import EpisodeFacts, count_of, what_later_stages_say
from ocrrl.recordings.read_all import Kept, LeftOut, Outcome, Refused

LINES = 40
"""Of one kind that a terminal gets; the report has all."""
_SIDE = 8  # pixels of a look
_EVERY = 5  # images, of which one goes into the look
_FEWEST = 3  # episodes, of which most must agree
_FAR = 10.0  # levels of an episode from its own places, less is the same scene
_AS_NEAR = 0.8
"""So much nearer must an episode's images be to the other cameras' looks than to their own."""


@dataclass(frozen=True)
class IngestSummary:
    """The sources accepted, and the refused ones with the reason."""

    accepted: tuple[str, ...]
    rejected: dict[str, str]
    on_rejected: str
    source_format: str = "ocrrl"
    unforeseen: tuple[str, ...] = ()
    """Of `rejected`, those where a bug of ours was met."""
    notes: tuple[str, ...] = ()
    """What a person should know of the accepted ones: how they were read, and what a later stage will refuse."""
    left_out: dict[str, str] = field(default_factory=dict)
    """What is no recording, or none that is asked for, with the reason."""
    cells: tuple[str, ...] = ()
    """Where the accepted ones come from, sorted."""

    @property
    def exit_code(self) -> int:
        """What the command ends with: 1 if anything was refused and `on_rejected` is `fail`, or if a bug was met."""
        return int(bool(self.unforeseen) or (bool(self.rejected) and self.on_rejected == "fail"))

    def shown_refusals(self) -> list[tuple[str, str]]:
        """Name and reason of each refused recording, sorted, without control characters."""
        return [(one_line(source), one_line(reason)) for source, reason in sorted(self.rejected.items())]

    def describe(self) -> str:
        """The counts, and a line for each refused recording, each note and what was left out."""
        lines = [f"{len(self.accepted)} episodes accepted, {len(self.rejected)} rejected"]
        lines += _cut([f"  {source}: {reason}" for source, reason in self.shown_refusals()])
        lines += [one_line(note) for note in self.notes]
        if self.left_out:
            lines.append(f"{len(self.left_out)} left out")
            lines += _cut([f"  {one_line(n)}: {one_line(reason)}" for n, reason in sorted(self.left_out.items())])
        return "\n".join(lines)


class SummaryInProgress:
    """Collects outcomes one by one."""

    def __init__(self, task: TabletopTask, config: IngestConfig) -> None:
        self._task, self._config = task, config
        self._facts: list[EpisodeFacts] = []
        self._accepted: list[str] = []
        self._rejected: dict[str, str] = {}
        self._unforeseen: list[str] = []
        self._left_out: dict[str, str] = {}
        self._notes: Counter[str] = Counter()
        self._places = CameraPlaces()

    def add(self, outcome: Outcome) -> None:
        """Count one recording, or what else lies in the folder."""
        if isinstance(outcome, Kept):
            self._accepted.append(outcome.source)
            self._facts.append(EpisodeFacts.of(outcome.reading.episode))
            self._places.add(outcome.origin, outcome.reading.episode.images)
            self._notes.update(dict.fromkeys(outcome.reading.notes, 1))
        elif isinstance(outcome, Refused):
            self.refuse(outcome.origin, outcome.reason)
            self._unforeseen += [outcome.origin] * outcome.unforeseen
        elif isinstance(outcome, LeftOut):
            self._left_out[outcome.origin] = outcome.reason

    def refuse(self, origin: str, reason: str) -> None:
        """Count one that is refused."""
        self._rejected[origin] = reason

    def done(self) -> IngestSummary:
        """The summary of what was counted so far."""
        counted = [f"{count_of(count)}: {note}" for note, count in self._notes.items()]
        return IngestSummary(
            accepted=tuple(self._accepted),
            rejected=self._rejected,
            on_rejected=self._config.on_rejected,
            source_format=self._config.source_format,
            unforeseen=tuple(self._unforeseen),
            notes=(*counted, *self._places.swapped(), *what_later_stages_say(self._facts, self._task, self._config)),
            left_out=self._left_out,
            cells=tuple(sorted({fact.cell for fact in self._facts})),
        )


def _cut(lines: Sequence[str]) -> list[str]:
    rest = len(lines) - LINES
    return [*lines[:LINES], f"  and {rest} more, all in the report"] if rest > 0 else list(lines)


class CameraPlaces:
    """What each camera shows in each episode, as a small mean image: finds episodes in which two cameras are swapped."""

    def __init__(self) -> None:
        self._looks: dict[str, dict[str, Float[np.ndarray, "s s 3"]]] = {}

    def add(self, origin: str, images: Mapping[str, UInt8[np.ndarray, "T H W 3"]]) -> None:
        """Remember the images of the episode `origin`."""
        self._looks[origin] = {camera: _look(frames) for camera, frames in images.items() if len(frames)}

    def swapped(self) -> list[str]:
        """A note for each episode whose two cameras look like each other's in most of the episodes."""
        if len(self._looks) < _FEWEST:
            return []
        cameras = sorted(set.intersection(*(set(looks) for looks in self._looks.values())))
        usual = {camera: np.median([looks[camera] for looks in self._looks.values()], axis=0) for camera in cameras}
        notes = []
        for origin, looks in self._looks.items():
            for one, other in combinations(cameras, 2):
                own = _apart(looks[one], usual[one]) + _apart(looks[other], usual[other])
                exchanged = _apart(looks[one], usual[other]) + _apart(looks[other], usual[one])
                if own > _FAR and exchanged < _AS_NEAR * own:
                    shown = f"images/{one} and images/{other} look like each other's in most episodes"
                    notes.append(f"{origin}: {shown} (swapped in this one?)")
        return notes


def _look(frames: np.ndarray) -> np.ndarray:
    small = [resized(frame, _SIDE, _SIDE) for frame in frames[::_EVERY]]
    return np.mean(small, axis=0)


def _apart(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one - other).mean())
