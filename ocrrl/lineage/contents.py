"""The bytes behind a hash: from the workspace where they are still the same, else from DVC's cache."""

import configparser
import os
from pathlib import Path

from ocrrl.lineage.hashes import bytes_md5, is_folder_hash, manifest_hash, manifest_of, read_manifest
from ocrrl.lineage.ignored import Ignored


class Contents:
    """Reads manifests and small files of the project at `root` by hash."""

    def __init__(self, root: Path):
        self.root = root
        self.cache = cache_folder(root)
        self.ignored = Ignored.of_project(root)
        self._manifests: dict[str, dict[str, str] | None] = {}

    def cached(self, value: str) -> Path:
        """Where the cache keeps, or would keep, the object whose hash is `value`."""
        return self.cache / "files" / "md5" / value[:2] / value[2:]

    def is_cached(self, value: str) -> bool:
        """Whether the cache holds the object; of a folder, its manifest and every file."""
        if not is_folder_hash(value):
            return self.cached(value).is_file()
        content = self._cached_bytes(value)
        return content is not None and all(self.is_cached(md5) for md5 in read_manifest(content).values())

    def manifest(self, path: str, value: str) -> dict[str, str] | None:
        """MD5 by relative path of the folder that had the hash `value`; None where neither place has it any more."""
        if value not in self._manifests:
            self._manifests[value] = self._find_manifest(path, value)
        return self._manifests[value]

    def read(self, path: str, value: str) -> bytes | None:
        """The file that had the hash `value` at `path`; None where neither place has it any more."""
        file = self.root / path
        content = file.read_bytes() if file.is_file() else None
        return content if content is not None and bytes_md5(content) == value else self._cached_bytes(value)

    def size(self, value: str) -> int | None:
        """Bytes of the file whose hash is `value`, None if the cache does not hold it."""
        try:
            return self.cached(value).stat().st_size
        except OSError:
            return None

    def _find_manifest(self, path: str, value: str) -> dict[str, str] | None:
        content = self._cached_bytes(value)
        if content is not None:
            return read_manifest(content)
        folder = self.root / path
        found = manifest_of(folder, self.root, self.ignored) if folder.is_dir() else {}
        return found if manifest_hash(found) == value else None

    def _cached_bytes(self, value: str) -> bytes | None:
        """The cache's object, None if it is not there or is not what its name says."""
        try:
            content = self.cached(value).read_bytes()
        except OSError:
            return None
        return content if bytes_md5(content) == value.removesuffix(".dir") else None


def cache_folder(root: Path) -> Path:
    """DVC's cache of the project: `[cache] dir` of its configuration files, relative to the file, else `.dvc/cache`.

    The nearest file wins: .dvc/config.local, .dvc/config, the user's, the machine's.
    """
    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    user = Path(os.environ.get("DVC_GLOBAL_CONFIG_DIR") or home / "dvc")
    machine = Path(os.environ.get("DVC_SYSTEM_CONFIG_DIR") or "/etc/xdg/dvc")
    for file in (root / ".dvc/config.local", root / ".dvc/config", user / "config", machine / "config"):
        parser = configparser.ConfigParser(strict=False, interpolation=None)
        try:
            parser.read_string(file.read_text() if file.is_file() else "")
        except configparser.Error as error:
            raise ValueError(f"{file} must be a DVC configuration: {error}") from error
        folder = parser.get("cache", "dir", fallback=None)
        if folder:
            return file.parent / Path(folder.strip("'\"")).expanduser()
    return root / ".dvc" / "cache"
