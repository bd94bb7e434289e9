"""A foreign LeRobotDataset: checked as a whole when it is opened, then read episode by episode.

Legend: n rows of an episode, d numbers a row.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
from jaxtyping import Float

from ocrrl.episodes.episode_checks import EpisodeRejected, EpisodeRequirements
from ocrrl.recordings.lerobot.dataset_files import DatasetFiles
from ocrrl.recordings.lerobot.dataset_info import IMAGE_DTYPES, INFO, DatasetInfo, Feature, read_info
from ocrrl.recordings.lerobot.episode_list import ListedEpisode, list_episodes, settle_owners
from ocrrl.recordings.lerobot.parquet_rows import RowReader, numbers
from ocrrl.recordings.lerobot.row_index import RowIndex, Segment, check_rows, index_rows
from ocrrl.recordings.lerobot.stored_images import ImageArrays, decode_image
from ocrrl.recordings.lerobot.tasks import instruction_of, read_tasks
from ocrrl.recordings.lerobot.video_images import VideoReader
from ocrrl.recordings.meaning.episode_meaning import RawEpisode

_DATA_V3 = "data/*/*.parquet"
_ROWS_AND_VIDEO = 0.5  # of a row's duration that its own timestamp may differ from frame_index / fps beside a video


@dataclass
class ForeignDataset:
    """The episodes of a dataset, what is wrong with it, and the readers of its files."""

    files: DatasetFiles
    info: DatasetInfo
    cameras: Mapping[str, str]
    """Feature by OUR camera name, those of the mapping."""
    columns: tuple[str, ...]
    """The numeric features of the mapping."""
    needs_task: bool
    """Whether the dataset is asked for the instruction."""
    episodes: dict[int, ListedEpisode]
    faults: dict[str, EpisodeRejected]
    """What is wrong beside the listed episodes, by where: a file, a row of the list, an episode that is not listed."""
    index: RowIndex
    tasks: Mapping[float, str] | EpisodeRejected
    first_times: Mapping[str, float]
    """When the first episode of each video file begins [s]."""
    _rows: dict[tuple[str, tuple[str, ...]], RowReader] = field(default_factory=dict)
    _videos: dict[str, VideoReader] = field(default_factory=dict)

    def read(self, number: int, expected: EpisodeRequirements) -> RawEpisode:
        """Episode `number` with images of the size that is asked for; raises `EpisodeRejected`.

        Reading the episodes in order reads each file once.
        """
        episode = self.episodes[number]
        if episode.fault:
            raise episode.fault
        segments = check_rows(self.index, episode, self.info.fps)
        wanted, notes = expected.cameras_among(self.cameras, "mapping.images")
        cameras = {camera: self.cameras[camera] for camera in wanted}
        rows = self.index.rows_of(number)
        instruction = None
        if self.needs_task:
            indices = self.index.columns["task_index"][rows]
            instruction, said = instruction_of(
                episode.tasks, set(indices[~np.isnan(indices)].tolist()), self.tasks, segments[0].file
            )
            notes += said
        filling = ImageArrays(expected, episode.length)
        stored = {name: key for name, key in cameras.items() if self.info.features[key].dtype == "image"}
        columns = self._read_rows(segments, stored, filling)
        for camera in cameras:
            if camera not in stored:
                self._read_video(episode, camera, cameras[camera], rows, filling)
        images = {camera: filling.images[camera] for camera in cameras}
        self._check_swapped(cameras, filling.recorded)
        for camera, size in filling.recorded.items():
            notes += self._size_notes(camera, self.info.features[cameras[camera]], size, expected)
        named = {key: self.info.features[key].names for key in columns}
        return RawEpisode(
            columns=columns,
            names={key: names for key, names in named.items() if names and len(names) == columns[key].shape[1]},
            images=images,
            instruction=instruction,
            fps=self.info.fps,
            notes=notes,
        )

    def _read_rows(
        self, segments: list[Segment], stored: Mapping[str, str], filling: ImageArrays
    ) -> dict[str, Float[np.ndarray, "n d"]]:
        """The numbers of the episode; the images among its rows go into `filling`."""
        parts: dict[str, list[np.ndarray]] = {key: [] for key in self.columns}
        row = 0
        for segment in segments:
            reader = self._row_reader(segment.file, (*self.columns, *stored.values()))
            filling.check_numbers({key: size for key, size in reader.bytes_a_row().items() if key in parts})
            for first, batch in reader.rows(segment.start, segment.stop):
                for key in self.columns:
                    parts[key].append(numbers(self._column(batch, key, segment.file), key, segment.file, first))
                for camera, key in stored.items():
                    for place, cell in enumerate(self._column(batch, key, segment.file)):
                        where = f"row {first + place} of {segment.file}"
                        image = decode_image(cell.as_py(), f"images.{camera}", self.files, where)
                        filling.put(camera, row + place, image)
                row += batch.num_rows
        return {key: self._joined(key, values, segments[0].file) for key, values in parts.items()}

    def _joined(self, key: str, parts: list[np.ndarray], file: str) -> np.ndarray:
        widths = {part.shape[1] for part in parts}
        declared = self.info.features[key].shape
        if declared is not None:
            widths |= {int(np.prod(declared))}
        if len(widths) > 1:
            got = " and ".join(map(str, sorted({part.shape[1] for part in parts})))
            required = f"{np.prod(declared)} numbers a row (its shape in {INFO})" if declared else "rows of one length"
            raise EpisodeRejected(key, required, got, file)
        return np.concatenate(parts)

    def _row_reader(self, file: str, columns: tuple[str, ...]) -> RowReader:
        if (file, columns) not in self._rows:
            self._rows = {(file, columns): RowReader(self.files, file, columns)}
        return self._rows[file, columns]

    def _column(self, batch, key: str, file: str):
        if key not in batch.schema.names:
            raise EpisodeRejected(key, "a column of the data", "nothing of that name", file)
        return batch.column(key)

    def _read_video(
        self, episode: ListedEpisode, camera: str, key: str, rows: np.ndarray, filling: ImageArrays
    ) -> None:
        window = episode.videos[key]
        if isinstance(window, EpisodeRejected):
            raise window
        regular = np.arange(episode.length) / self.info.fps
        drift = np.abs(self.index.columns["timestamp"][rows] - regular) * self.info.fps
        if drift.max() > _ROWS_AND_VIDEO:
            row = int(np.argmax(drift > _ROWS_AND_VIDEO))
            got = f"{self.index.columns['timestamp'][rows[row]]:.4g} s at row {row}"
            required = f"frame_index / fps beside a video, {regular[row]:.4g} s"
            raise EpisodeRejected("timestamp", required, got, episode.data_file)
        reader = self._video_reader(camera, window.file)
        frames = reader.frame_count()
        if self.info.major == 2 and frames and frames != episode.length:
            required = f"{episode.length} images, one a row"
            raise EpisodeRejected(f"images.{camera}", required, f"{frames}", window.file)
        filling.expect(camera, reader.size(f"images.{camera}"))
        for row, image in enumerate(reader.images(f"images.{camera}", window.start + regular)):
            filling.put(camera, row, image)

    def _video_reader(self, camera: str, file: str) -> VideoReader:
        reader = self._videos.get(camera)
        if reader is None or reader.relative != file:
            if reader is not None:
                reader.close()
            self._videos[camera] = VideoReader(self.files, file, self.info.fps, self.first_times.get(file, 0.0))
        return self._videos[camera]

    def _check_swapped(self, cameras: Mapping[str, str], recorded: Mapping[str, tuple[int, int]]) -> None:
        """Two cameras whose images each have the size that the other's feature declares are in each other's place."""
        declared = {camera: sorted(self.info.features[key].shape or ()) for camera, key in cameras.items()}
        found = {camera: sorted((*size, 3)) for camera, size in recorded.items()}
        for camera, other in combinations(found, 2):
            if found[camera] != declared[camera] and (found[camera], found[other]) == (
                declared[other],
                declared[camera],
            ):
                height, width = recorded[camera]
                got = f"{height} x {width}, the size of images.{other}, which has this one's (files or shapes swapped?)"
                required = f"of the shape of {cameras[camera]}, {self.info.features[cameras[camera]].shape}"
                raise EpisodeRejected(f"images.{camera}", required, got, INFO)

    def _size_notes(
        self, camera: str, feature: Feature, size: tuple[int, int], expected: EpisodeRequirements
    ) -> tuple[str, ...]:
        notes = []
        shape = feature.shape
        if shape and sorted(shape) != sorted((*size, 3)):
            declared = " x ".join(map(str, shape))
            notes.append(f"images.{camera}: images of {size[0]} x {size[1]}, {INFO} says {declared}")
        if expected.images and (said := expected.images.describe(camera, size)):
            notes.append(said)
        return tuple(notes)


def open_dataset(
    files: DatasetFiles, cameras: Mapping[str, str], columns: Collection[str], needs_task: bool
) -> ForeignDataset:
    """The dataset whose features `cameras` (by our camera name) and `columns` are wanted, checked as a whole.

    Raises `EpisodeRejected` where nothing of it can be used; what is wrong with a part is in `faults` or with the
    episode.
    """
    info = read_info(files, {*cameras.values(), *columns})
    for key in sorted(columns):
        _check_column(key, info)
    for camera, key in cameras.items():
        _check_camera(camera, key, info)
    videos = [key for key in dict.fromkeys(cameras.values()) if info.features[key].dtype == "video"]
    listed = list_episodes(files, info, videos)
    named = {episode.data_file for episode in listed.episodes.values() if episode.data_file}
    found = {*files.listed(_DATA_V3), *named}
    index = index_rows(files, sorted(found))
    faults = dict(listed.faults)
    faults |= {relative: reason for relative, reason in index.faults.items() if relative not in named}
    if not listed.faults:  # else their entries may be what is broken
        for number, rows in index.unlisted(tuple(listed.episodes)).items():
            got = f"{rows} rows in data without an entry (a recording that was killed?)"
            faults[f"{number}"] = EpisodeRejected(f"episode {number}", "listed", got, "meta/episodes")
    if not faults and not any(episode.fault for episode in listed.episodes.values()):
        faults |= _totals(info, listed.episodes)
    tasks: Mapping[float, str] | EpisodeRejected = {}
    if needs_task:
        try:
            tasks = read_tasks(files, info)
        except EpisodeRejected as reason:
            tasks = reason
    first_times = settle_owners(listed.episodes, info.fps, lambda file: _frame_count(files, file, info.fps))
    return ForeignDataset(
        files=files,
        info=info,
        cameras=cameras,
        columns=tuple(sorted(columns)),
        needs_task=needs_task,
        episodes=listed.episodes,
        faults=faults,
        index=index,
        tasks=tasks,
        first_times=first_times,
    )


def _check_column(key: str, info: DatasetInfo) -> None:
    if key not in info.features:
        raise EpisodeRejected(key, f"one of {', '.join(sorted(info.keys))}", "nothing of that name", INFO)
    if (dtype := info.features[key].dtype) in (*IMAGE_DTYPES, "depth", "string"):
        raise EpisodeRejected(key, "a feature of numbers", f"one of dtype {dtype}", INFO)


def _check_camera(camera: str, key: str, info: DatasetInfo) -> None:
    if key not in info.features:
        raise EpisodeRejected(f"images.{camera}", f"one of {', '.join(info.images) or 'no cameras'}", key, INFO)
    feature = info.features[key]
    if feature.is_depth:
        raise EpisodeRejected(f"images.{camera}", "8 bit RGB", f"{key}, a depth map by its info", INFO)
    if feature.dtype not in IMAGE_DTYPES:
        raise EpisodeRejected(f"images.{camera}", "a feature of dtype video or image", f"{feature.dtype} ({key})", INFO)


def _totals(info: DatasetInfo, episodes: Mapping[int, ListedEpisode]) -> Iterator[tuple[str, EpisodeRejected]]:
    counted = {"total_episodes": len(episodes), "total_frames": sum(e.length for e in episodes.values())}
    for name, total in info.totals.items():
        if total != counted[name]:
            got = f"{total} (episodes lost, or a recording that was killed?)"
            yield name, EpisodeRejected(name, f"{counted[name]}, as meta/episodes lists them", got, INFO)


def _frame_count(files: DatasetFiles, file: str, fps: float) -> int:
    try:
        reader = VideoReader(files, file, fps, 0.0)
        count = reader.frame_count()
        reader.close()
    except EpisodeRejected:
        return 0
    return count
