"""`data_path` and `video_path` of info.json: format strings from outside, of which only plain numbers and keys are filled in."""

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from ocrrl.episodes.episode_checks import EpisodeRejected

INFO = "meta/info.json"
_FIELD = re.compile(r"\{([a-z_]+)(?::0?([0-9])?d)?\}")


@dataclass(frozen=True)
class PathTemplate:
    """A path such as `data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet`."""

    name: str
    """Its key in info.json."""
    text: str

    def __post_init__(self) -> None:
        plain = _FIELD.sub("", self.text)
        if any(brace in plain for brace in "{}"):
            raise EpisodeRejected(self.name, "a path with {name} or {name:03d}", repr(self.text[:120]), INFO)

    def filled(self, **values: int | str) -> str:
        """The path with `values` in it; raises `EpisodeRejected` for an unknown name and for a path out of the dataset."""

        def value(field: re.Match) -> str:
            if field[1] not in values:
                raise EpisodeRejected(self.name, f"a path of {', '.join(values)}", f"{{{field[1]}}}", INFO)
            return str(values[field[1]]).zfill(int(field[2] or 0))

        path = _FIELD.sub(value, self.text)
        parts = PurePosixPath(path)
        if parts.is_absolute() or ".." in parts.parts or not path.isprintable():
            raise EpisodeRejected(self.name, "inside the dataset", repr(path[:120]), INFO)
        return path
