"""Reads every recording of a folder with its result; a bad file does not end the reading of others."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from ocrrl.episodes.episode_checks import EpisodeRejected, EpisodeRequirements
from ocrrl.episodes.image_fit import ImageFit
from ocrrl.episodes.source_episode import Reading
from ocrrl.episodes.validation import Glance
from ocrrl.interface.tabletop_tasks import TabletopTask
from ocrrl.recordings.expendable import Expendable, ProcessEnded, UnforeseenError, UnforeseenLog
from ocrrl.recordings.folder import FolderContents, look_through, name_in
from ocrrl.recordings.ingest_config import IngestConfig
from ocrrl.recordings.reader import Found, RecordingReader

CPU_SECONDS = 8.0
"""Processor time for reading one recording, and `CPU_SECONDS_PER_GB` more."""
CPU_SECONDS_PER_GB = {"ocrrl": 50.0, "robomimic": 200.0, "lerobot": 5000.0}
"""By format: of declared arrays, of an HDF5 file's share, of a compressed video's."""


@dataclass(frozen=True)
class Kept:
    """A recording that was read and is sound."""

    source: str
    origin: str
    path: Path
    reading: Reading


@dataclass(frozen=True)
class Refused:
    """A recording, or a file or folder that may hold some, that is not taken."""

    origin: str
    reason: str
    unforeseen: bool = False
    """Whether the reason is a bug of ours."""


@dataclass(frozen=True)
class LeftOut:
    """What is no recording, or not one that is asked for."""

    origin: str
    reason: str


Outcome = Kept | Refused | LeftOut


def read_all(
    folder: Path,
    task: TabletopTask,
    config: IngestConfig,
    cameras: Mapping[str, tuple[int, int]] | None,
    log: UnforeseenLog,
    only: Path | None = None,
    episode: str | None = None,
) -> Iterator[Outcome]:
    """What becomes of everything in `folder`, the recordings in the order of their names.

    `cameras` are those to take, (height, width) by name; with None all images stay as recorded and must be of the size that
    most of our files have, or the first of a foreign format. `only` reads one file or dataset of the folder,
    `episode` one recording: its number from 0, or its name. Raises FileNotFoundError if `folder` is not there.
    """
    contents = look_through(folder, config.source_format == "lerobot")
    if only is not None:
        contents = FolderContents([path for path in contents.recordings if path == only])
    yield from (LeftOut(name, reason) for name, reason in sorted(contents.left_out.items()))
    yield from (Refused(name, reason) for name, reason in sorted(contents.refused.items()))
    if contents.recordings:
        reader = (folder, task, config.source_format, dict(config.mapping), config.split)
        with Expendable(RecordingReader, *reader, max_bytes=int(config.max_episode_gb * 1e9)) as process:
            yield from _Readings(process, folder, contents.recordings, config, log).outcomes(task, cameras, episode)


@dataclass
class _Readings:
    process: Expendable[RecordingReader]
    folder: Path
    containers: list[Path]
    config: IngestConfig
    log: UnforeseenLog
    gone: dict[Path, Refused] = field(default_factory=dict)
    """Files that ended the process, or met a bug, when they were first looked at."""
    sizes: dict[Path, int] = field(default_factory=dict)
    """Bytes of a recording, by container: declared, or the container's share on disk."""
    sources: set[str] = field(default_factory=set)
    hashes: dict[str, tuple[Path, str]] = field(default_factory=dict)
    """Container and origin of each recording that was kept, by the hash of its rows."""

    def outcomes(
        self, task: TabletopTask, cameras: Mapping[str, tuple[int, int]] | None, episode: str | None
    ) -> Iterator[Outcome]:
        config = self.config
        expected = EpisodeRequirements(
            tabletop_task=task,
            success=config.require_success or None,
            cells=config.cells or None,
            images=ImageFit(cameras, config.image_fit) if cameras is not None else None,
            split=config.split,
            still_cameras=config.still_cameras,
            max_bytes=int(config.max_episode_gb * 1e9),
        )
        if config.source_format == "ocrrl":
            expected = self._agreed(expected, task, self._glances(expected))
        found = self._found()
        if episode is not None:
            found = _one_of(found, episode)
        begun, others = self._begin_next(found, expected)
        yield from others
        while begun is not None:
            outcome = self._collect(begun, expected)
            if cameras is None and expected.image_shapes is None and isinstance(outcome, Kept):
                images = outcome.reading.episode.images
                expected = replace(expected, image_shapes={name: images[name].shape[1:] for name in sorted(images)})
            begun, others = self._begin_next(found, expected)  # is read while the caller works on this one
            yield outcome
            yield from others

    def _found(self) -> Iterator[Found | Refused | LeftOut]:
        """The recordings of every container; each is looked into when the one before has been read."""
        for container in self.containers:
            if container in self.gone:
                yield self.gone[container]
                continue
            name = name_in(container, self.folder)
            try:
                on_disk = _bytes_on_disk(container)
                episodes = self.process.call("find", container, cpu_seconds=self._seconds(on_disk))
            except (EpisodeRejected, ProcessEnded, UnforeseenError) as error:
                yield self._refusal(name, error)
                continue
            if not episodes:
                yield Refused(name, "episodes must be at least one, got none")
            self.sizes.setdefault(container, on_disk // max(1, len(episodes)))
            yield from (LeftOut(e.origin, e.left_out) if e.left_out else e for e in episodes)

    def _begin_next(
        self, found: Iterator[Found | Refused | LeftOut], expected: EpisodeRequirements
    ) -> tuple[Found | None, list[Outcome]]:
        """Begin to read the next recording; the outcomes before it that need no reading come with it."""
        others: list[Outcome] = []
        for item in found:
            if isinstance(item, Found):
                seconds = self._seconds(self.sizes[item.container])
                self.process.begin("read", item.container, item.index, expected, cpu_seconds=seconds)
                return item, others
            others.append(item)
        return None, others

    def _collect(self, found: Found, expected: EpisodeRequirements) -> Kept | Refused:
        try:
            reading, rows = self.process.result()
        except (EpisodeRejected, ProcessEnded, UnforeseenError) as error:
            return self._refusal(found.origin, error)
        shapes = {name: frames.shape[1:] for name, frames in sorted(reading.episode.images.items())}
        if expected.image_shapes is not None and shapes != expected.image_shapes:
            return Refused(found.origin, f"images must be {expected.image_shapes} like the others', got {shapes}")
        if rows in self.hashes:
            container, origin = self.hashes[rows]
            if container != found.container:
                return Refused(found.origin, f"rows and images must be its own, got those of {origin}")
            reading = replace(reading, notes=(*reading.notes, "the same rows and images as another of its file"))
        self.hashes.setdefault(rows, (found.container, found.origin))
        return Kept(self._own_name(found), found.origin, found.path, reading)

    def _own_name(self, found: Found) -> str:
        """The source name, another one where it has been given."""
        name, number = found.source, 2
        while name in self.sources:
            name, number = f"{found.source.removesuffix('.h5')}-{number}.h5", number + 1
        self.sources.add(name)
        return name

    def _refusal(self, origin: str, error: Exception) -> Refused:
        if isinstance(error, EpisodeRejected):
            return Refused(origin, error.reason)
        if isinstance(error, UnforeseenError):
            return Refused(origin, self.log.note(origin, error), unforeseen=True)
        return Refused(origin, f"reading it {error}")

    def _glances(self, expected: EpisodeRequirements) -> dict[Path, Glance]:
        """What every file declares that may be accepted."""
        glances = {}
        for path in self.containers:
            try:
                glances[path] = self.process.call("glance", path, expected, cpu_seconds=CPU_SECONDS)
                self.sizes[path] = glances[path].size
            except EpisodeRejected:  # reading it says why
                pass
            except (ProcessEnded, UnforeseenError) as error:
                self.gone[path] = self._refusal(name_in(path, self.folder), error)
        return glances

    def _agreed(
        self, expected: EpisodeRequirements, task: TabletopTask, glances: Mapping[Path, Glance]
    ) -> EpisodeRequirements:
        """`expected` with the cell, and the images, that most files have; where as many have others, all those are refused."""
        if expected.cells is None:
            remedy = f"ingest.{task.slug}.cells names those to take"
            cell = self._most({path: glance.cell for path, glance in glances.items()}, "cell", remedy)
            expected = replace(expected, cells=None if cell is None else (cell,))
        if expected.images is None:
            images = {path: glance.images for path, glance in glances.items()}
            shapes = self._most(images, "images", "ingest them from folders of their own")
            expected = replace(expected, image_shapes=None if shapes is None else dict(shapes))
        return expected

    def _most[V](self, values: Mapping[Path, V], name: str, remedy: str) -> V | None:
        """The value that most files have, None where there is none; on a tie all files are refused."""
        counts = Counter(values.values()).most_common()
        if len(counts) > 1 and counts[0][1] == counts[1][1]:
            tied = " and ".join(sorted(_text(value) for value, count in counts if count == counts[0][1]))
            for path, value in values.items():
                reason = (
                    f"{name} must be one for all, got {_text(value)}, where {counts[0][1]} recordings each have {tied}"
                )
                refused = Refused(name_in(path, self.folder), f"{reason}: {remedy}")
                self.gone.setdefault(path, refused)
            return None
        return counts[0][0] if counts else None

    def _seconds(self, size: int) -> float:
        """Processor time for what is of `size` bytes."""
        return CPU_SECONDS + CPU_SECONDS_PER_GB[self.config.source_format] * size / 1e9


def _one_of(found: Iterator[Found | Refused | LeftOut], episode: str) -> Iterator[Found | Refused | LeftOut]:
    """The recording of that number or name, whether or not it is asked for."""
    for number, item in enumerate(found):
        if str(number) == episode or item.origin == episode or item.origin.rsplit(":", 1)[-1] == episode:
            yield item
            return


def _text(value: object) -> str:
    return value if isinstance(value, str) else f"{dict(value)}"  # type: ignore[call-overload]


def _bytes_on_disk(path: Path) -> int:
    try:
        files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
        return sum(file.stat().st_size for file in files)
    except OSError:
        return 0
