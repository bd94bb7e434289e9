"""A teleoperation session: one person, one device, one cell, several demonstrations.

`<folder>/successes/episode_000000.h5` and `<folder>/failures/episode_000001.h5`, each written whole or not at all; what a
crash, a lost device or the stop key cut short lies in `<folder>/interrupted`, readable and not an episode (`ocrrl ingest`
refuses it by name). Numbers go on from those that are there, and no file is ever replaced.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from ocrrl import files
from ocrrl.episodes.episode_store import EpisodeWriter, image_sizes
from ocrrl.files import locked
from ocrrl.interface.cameras import CameraSizes, require_cameras
from ocrrl.interface.episode import EpisodeAttributes
from ocrrl.robot.cell.guarded_cell import RobotCell
from ocrrl.robot.operator.cell_operator import EndedByOperator
from ocrrl.robot.teleoperation.device import DeviceReading, Event, TeleoperationDevice
from ocrrl.robot.teleoperation.operator import Label, Operator
from ocrrl.rollouts.rollout_recorder import episode_attributes

SUCCESSES, FAILURES, INTERRUPTED = "successes", "failures", "interrupted"
_NUMBERS_BYTES = 2000  # of a control step beside its images, at most
_SPARE = 5_000_000  # bytes for what is written beside the episode
_ONLY = np.array([0])
_NUMBER = re.compile(r"\.?episode_(\d{6,})\.h5(\.partial)?")
# Where several are said at one step, the first of these counts: a label is not lost to a stop.
_ENDINGS: tuple[Event, ...] = ("discard", "failure", "success", "stop")

Ending = Literal["success", "failure", "discard", "stop", "horizon"]


@dataclass(frozen=True)
class SessionConfig:
    """What a session records."""

    episodes: int
    """Successful demonstrations wanted."""
    max_steps: int | None = None
    """Control steps after which an episode ends and the operator is asked how it went; the tabletop task's horizon if None."""
    cell_decides: bool = False
    """The cell's own success ends an episode: for twins only, on hardware the label is the operator's."""

    def __post_init__(self) -> None:
        if self.episodes < 1:
            raise ValueError(f"episodes must be at least 1, got {self.episodes}")
        if self.max_steps is not None and self.max_steps < 1:
            raise ValueError(f"max_steps must be at least 1, got {self.max_steps}")


@dataclass(frozen=True)
class SessionSummary:
    """What a session left: files by name, and why it ended."""

    successes: tuple[str, ...]
    failures: tuple[str, ...]
    discarded: int
    ended: str
    """`done`, or what ended it before: the operator, the device, the cell, the seeds."""


def record_session(
    cell: RobotCell,
    device: TeleoperationDevice,
    operator: Operator,
    folder: Path,
    seeds: Sequence[int],
    config: SessionConfig,
    versions: Mapping[str, str] | None = None,
    told: Callable[[str], object] = lambda line: None,
) -> SessionSummary:
    """Record `config.episodes` successful demonstrations in `cell` (N = 1) into `folder`, one seed an episode.

    Rows are stamped with the cell's clock. A discarded episode leaves nothing and is done again from the same
    seed. `told` gets a line for each episode. Raises ValueError for a cell of more than one arm or too few seeds, and OSError
    (ENOSPC) before an episode that may not fit on the disk. What the cell raises (NotApproved, RuntimeError for a lost arm)
    and what the disk does ends the session, the arm at rest and the episode in progress kept as interrupted.
    """
    if cell.num_envs != 1:
        raise ValueError(f"a teleoperated cell must have one arm, got {cell.num_envs}")
    if len(seeds) < config.episodes:
        raise ValueError(f"seeds must number at least episodes ({config.episodes}), got {len(seeds)}")
    # Another session's episode in progress would be taken for an interrupted one.
    with locked(folder / ".lock", f"{folder} must be recorded into by one session at a time, got a second one"):
        for kept in keep_interrupted(folder):
            told(f"an earlier session was cut short: {kept}")
        session = _Session(cell, device, operator, folder, config, dict(versions or {}), told)
        return session.run(seeds)


def keep_interrupted(folder: Path) -> list[Path]:
    """Move unfinished recordings of an earlier session in `folder` to `interrupted`; their new paths."""
    kept = []
    for partial in sorted(folder.glob(".episode_*.h5.partial")):
        target = folder / INTERRUPTED / partial.name.removeprefix(".").removesuffix(".partial")
        target.parent.mkdir(exist_ok=True)
        kept.append(partial.rename(target))
    return kept


def next_number(folder: Path) -> int:
    """The number of the next episode in `folder`, one more than any that is there."""
    numbers = [int(match[1]) for path in folder.rglob("*") if (match := _NUMBER.fullmatch(path.name))]
    return max(numbers, default=-1) + 1


def require_same_cameras(folder: Path, cameras: CameraSizes) -> None:
    """ValueError where the session in `folder` was recorded with other cameras or sizes of images than `cameras`."""
    for path in sorted(folder.glob(f"{SUCCESSES}/*.h5"))[-1:]:
        require_cameras(image_sizes(path), cameras, f"session {folder.name}", "begin another --session")


class _Session:
    """The course of one session."""

    def __init__(
        self,
        cell: RobotCell,
        device: TeleoperationDevice,
        operator: Operator,
        folder: Path,
        config: SessionConfig,
        versions: dict[str, str],
        told: Callable[[str], object],
    ) -> None:
        self._cell, self._device, self._operator, self._folder = cell, device, operator, folder
        self._config, self._versions, self._told = config, versions, told
        self._written: dict[Label, list[str]] = {"success": [], "failure": [], "discard": []}
        self._row_bytes = 0  # of one control step on disk; 0 before the first image

    def run(self, seeds: Sequence[int]) -> SessionSummary:
        left = list(seeds)
        ended = "done"
        while len(self._written["success"]) < self._config.episodes:
            if not left:
                ended = "the seeds are used up"
                break
            try:
                label = self._episode(left[0])
            except _CutShort as lost:
                ended = str(lost)
                break
            if label is None:
                ended = f"{self._operator.name} ended it"
                break
            if label != "discard":
                left.pop(0)
        return SessionSummary(
            tuple(self._written["success"]), tuple(self._written["failure"]), len(self._written["discard"]), ended
        )

    def _episode(self, seed: int) -> Label | None:
        """One episode's label; None where the operator ended the session."""
        count = f"{len(self._written['success']) + 1} of {self._config.episodes}"
        task = self._cell.tabletop_task
        self._require_room()
        if not self._operator.confirm(f"Demonstration {count}: take your hands off the table. The arm goes home next."):
            return None
        try:
            self._cell.reset(_ONLY, [seed])
        except EndedByOperator as ended:  # at a question that the cell asked
            raise _CutShort(str(ended)) from ended
        self._row_bytes = sum(frames.nbytes for frames in self._cell.capture(_ONLY).values()) + _NUMBERS_BYTES
        self._require_room()
        if not self._operator.confirm(f'Set up the objects to "{task.instruction}" and step back. Ready to begin?'):
            return None
        name = f"episode_{next_number(self._folder):06d}.h5"
        with _kept(EpisodeWriter(self._folder / name, compress=False), self._folder) as writer:
            ending, rows = self._teleoperate(writer, seed)
            if ending == "stop":
                self._told(f"{name}: stopped after {rows} steps, kept as interrupted")
                return None
            label = self._operator.label("The episode is over. How did it go?") if ending == "horizon" else ending
            if label is None:
                raise _CutShort(f"{self._operator.name} did not say how {name} went, kept as interrupted")
            if rows == 0 or label == "discard":
                label = "discard"
                writer.discard()
            else:
                path = self._folder / (SUCCESSES if label == "success" else FAILURES) / name
                writer.finish(self._attributes(label == "success", seed), path=path)
        self._written[label].append(name)
        self._told(f"{name}: {label} after {rows} steps")
        return label

    def _require_room(self) -> None:
        """OSError (ENOSPC) where the next episode may not fit on the disk; the first one's size is known after its reset."""
        steps = self._config.max_steps or self._cell.tabletop_task.horizon
        files.require_room(self._folder, steps * self._row_bytes + _SPARE, f"a demonstration of {steps} steps")

    def _teleoperate(self, writer: EpisodeWriter, seed: int) -> tuple[Ending, int]:
        self._device.begin(seed)
        try:
            return self._record(writer)
        except OSError as error:  # a disk that takes no more
            self._cell.come_to_rest(str(error))
            raise
        finally:
            self._cell.come_to_rest()  # or the watchdog would stop an arm whose commands ran out
            self._device.end()  # before the operator is asked anything

    def _record(self, writer: EpisodeWriter) -> tuple[Ending, int]:
        """Observe, read the device, step and write until the episode ends; how, and after how many steps."""
        began: float | None = None
        for step in range(self._config.max_steps or self._cell.tabletop_task.horizon):
            now, observation, images = self._cell.now(), self._cell.observe(), self._cell.capture(_ONLY)
            began = now if began is None else began
            reading = self._read()
            if (ending := _said(reading)) is not None:
                return ending, step
            action = np.asarray(reading.motion, np.float64)
            result = self._cell.step(action[None], _ONLY)
            rows = {name: values[0] for name, values in observation.arrays().items()}
            rows |= {"action": result.applied(action[None])[0], "timestamps": np.asarray(now - began)}
            if result.aborted:
                # Cell and device hear the same keys: what was said since the reading is a word on the episode all the same.
                if result.aborted.by == "operator" and (ending := _said(self._read())) is not None:
                    return ending, step
                raise _CutShort(result.aborted.why)
            writer.append({camera: frames[0] for camera, frames in images.items()}, **rows)
            if self._config.cell_decides and result.success[0]:
                return "success", step + 1
        return "horizon", step + 1

    def _read(self) -> DeviceReading:
        try:
            return self._device.read()
        except RuntimeError as error:
            raise _CutShort(str(error)) from error

    def _attributes(self, success: bool, seed: int) -> EpisodeAttributes:
        calibration = self._cell.calibration()
        return episode_attributes(self._cell, self._operator.name, success, seed, calibration, self._versions)


def _said(reading: DeviceReading) -> Event | None:
    """How `reading` ends the episode, if it does."""
    return next((ending for ending in _ENDINGS if ending in reading.events), None)


@contextmanager
def _kept(writer: EpisodeWriter, folder: Path) -> Iterator[EpisodeWriter]:
    """What `writer` has neither finished nor discarded at the end is an interrupted episode, however the end came."""
    try:
        yield writer
    finally:
        writer.abandon()
        keep_interrupted(folder)


class _CutShort(RuntimeError):
    """The device is gone, the cell cannot go on, or its operator does not; nothing was asked of the arm after it."""
