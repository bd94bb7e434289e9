"""Decodes the frames of a LeRobotDataset v3 once, one after the other.

Legend: F frames of the chosen episodes, in the dataset's order.
"""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Int, UInt8

from ocrrl.datasets.video_file import decode_video
from ocrrl.interface.lerobot_keys import IMAGE_PREFIX

_CELLS = 32
"""Images in parquet that are in memory together, still compressed."""

type NumberedFrames = Iterator[tuple[int, UInt8[np.ndarray, "H W 3"]]]
"""Frames with their numbers among the F, in the order in which the files have them."""


class DatasetFrames:
    """Where the images of a dataset lie; nothing is decoded before it is asked for."""

    def __init__(self, root: Path, info: dict, index: Int[np.ndarray, " F"], episodes: pa.Table) -> None:
        """`index` is the chosen rows' column of that name, `episodes` the chosen rows of meta/episodes."""
        self._root, self._info, self._index, self._episodes = root, info, index, episodes
        self._features = {
            key.removeprefix(IMAGE_PREFIX): key
            for key, feature in info["features"].items()
            if feature["dtype"] == "image"
            or (feature["dtype"] == "video" and not (feature.get("info") or {}).get("is_depth_map"))
        }

    @property
    def cameras(self) -> tuple[str, ...]:
        return tuple(self._features)

    def shape(self, camera: str) -> tuple[int, int, int, int]:
        """(F, H, W, 3); H and W of a video as its feature says, of single images as the first one has them."""
        key = self._features[camera]
        if self._is_video(key):
            height, width = self._info["features"][key]["shape"][:2]
        else:
            height, width = next((frame.shape[:2] for _, frame in self._stored(key)), (0, 0))
        return (len(self._index), height, width, 3)

    def decode(self, camera: str) -> NumberedFrames:
        """Every frame of `camera` once.

        Raises ValueError, before or after the last one, where a frame has another size than `shape` says, or is missing.
        """
        key, expected = self._features[camera], self.shape(camera)[1:]
        filled = np.zeros(len(self._index), bool)
        for row, frame in self._in_videos(key) if self._is_video(key) else self._stored(key):
            if frame.shape != expected:
                raise ValueError(f"{self._root}: {key} must hold frames of {expected}, got one of {frame.shape}")
            filled[row] = True
            yield row, frame
        if not filled.all():
            raise ValueError(f"{self._root}: {key} must hold {len(filled)} frames, got {filled.sum()}")

    def _is_video(self, key: str) -> bool:
        return self._info["features"][key]["dtype"] == "video"

    def _in_videos(self, key: str) -> NumberedFrames:
        fps = self._info["fps"]
        rows_in_file: dict[Path, dict[int, int]] = {}
        columns = (
            "dataset_from_index",
            "length",
            *(f"videos/{key}/{n}" for n in ("chunk_index", "file_index", "from_timestamp")),
        )
        listed = (self._episodes[name].to_pylist() for name in columns)
        for start, length, chunk, file, begin in zip(*listed, strict=True):
            name = Path(self._info["video_path"].format(video_key=key, chunk_index=chunk, file_index=file))
            if name.is_absolute() or ".." in name.parts:
                raise ValueError(f"{self._root}: video_path must stay inside the dataset, got {name}")
            first, row = round(begin * fps), int(np.searchsorted(self._index, start))
            rows_in_file.setdefault(self._root / name, {}).update({first + k: row + k for k in range(length)})
        for path, rows in rows_in_file.items():
            for number, frame in decode_video(path, fps, range(min(rows), max(rows) + 1)):
                if number in rows:
                    yield rows[number], frame

    def _stored(self, key: str) -> NumberedFrames:
        """Images in the data files, a few at a time: together they may be larger than memory."""
        from PIL import Image

        for path in sorted((self._root / "data").glob("*/*.parquet")):
            with pq.ParquetFile(path) as file:
                for cells in file.iter_batches(_CELLS, columns=["index", key]):
                    index = cells["index"].to_numpy()
                    chosen = np.isin(index, self._index)
                    rows = np.searchsorted(self._index, index[chosen])
                    for row, cell in zip(rows.tolist(), cells[key].filter(pa.array(chosen)), strict=True):
                        image = Image.open(io.BytesIO(cell["bytes"].as_py()))
                        yield row, np.asarray(image.convert("RGB"))
