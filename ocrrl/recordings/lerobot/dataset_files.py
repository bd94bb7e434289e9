"""Checks each file of a foreign dataset before a library opens it."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ocrrl.episodes.episode_checks import EpisodeRejected

_HEAD = 200  # bytes, in which a pointer or a web page shows
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


@dataclass(frozen=True)
class DatasetFiles:
    """The files below `root`; a link may lead to another place in `inside`, never out of it."""

    root: Path
    inside: Path

    def find(self, relative: str, cause: str = "") -> Path:
        """The regular file with content at `relative`; raises `EpisodeRejected` for anything else, naming it.

        `cause` says why it may be absent.
        """
        path = self.root / relative
        try:
            mode, size = (status := path.stat()).st_mode, status.st_size
            inside = path.resolve(strict=True).is_relative_to(self.inside.resolve())
        except (OSError, ValueError) as error:  # ValueError: a NUL in the name
            raise _refused(relative, self._why_not(path, error, cause)) from error
        if ".." in Path(relative).parts or Path(relative).is_absolute() or not inside:
            raise _refused(relative, f"a place outside {self.inside.name} (a link? copy with cp -rL what it points to)")
        if not stat.S_ISREG(mode):
            raise _refused(relative, next((name for is_kind, name in _KINDS if is_kind(mode)), "no regular file"))
        if size == 0:
            raise _refused(relative, "an empty file (0 bytes: a recording or download that was broken off?)")
        try:
            with path.open("rb") as file:
                head = file.read(_HEAD)
        except OSError as error:
            raise _refused(relative, f"a file that cannot be read ({error.strerror})") from error
        if head.startswith(b"version https://git-lfs"):
            raise _refused(relative, "a Git LFS pointer (git lfs pull brings the file)")
        if head.lstrip().lower().startswith((b"<!doctype", b"<html")):
            raise _refused(relative, "a web page (a download that failed: log in, then load it again)")
        return path

    def has(self, relative: str) -> bool:
        """Whether there is anything at `relative`, be it a link that leads nowhere."""
        return os.path.lexists(self.root / relative)

    def listed(self, pattern: str) -> Iterator[str]:
        """The relative paths that match `pattern`, in order, whatever they are; macOS's `._` companions are not."""
        for path in sorted(self.root.glob(pattern)):
            if not path.name.startswith("._"):
                yield path.relative_to(self.root).as_posix()

    def _why_not(self, path: Path, error: Exception, cause: str) -> str:
        if not isinstance(error, FileNotFoundError | NotADirectoryError):
            return f"a path that cannot be read ({getattr(error, 'strerror', None) or error})"
        for part in (path, *path.parents):
            if part == self.root.parent:
                break
            if part.is_symlink() and not part.exists():
                return "a link that leads nowhere (copy with cp -rL, which follows links)"
        return f"nothing{f' ({cause})' if cause else ''}"


def _refused(relative: str, got: str) -> EpisodeRejected:
    return EpisodeRejected("file", "a readable file of the dataset", got, relative)
