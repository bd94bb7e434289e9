"""The content of a hash: from the workspace if unchanged there, else from DVC's cache."""

import configparser
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from ocrrl.lineage.reading.hashes import (
    FOLDER_SUFFIX,
    Ignored,
    bytes_md5,
    file_md5,
    is_folder_hash,
    manifest_hash,
    manifest_of,
    read_manifest,
)


class Contents:
    """Reads manifests and small files of the project at `root` by hash."""

    def __init__(self, root: Path):
        self.root = root
        self.cache = cache_folder(root)
        self.ignored = Ignored.of_project(root)
        self._manifests: dict[str, dict[str, str] | None] = {}
        self._broken: dict[Path, None] = {}

    def cached(self, value: str) -> Path:
        """Where the cache keeps, or would keep, the object whose hash is `value`."""
        return self.cache / "files" / "md5" / value[:2] / value[2:]

    @property
    def broken(self) -> list[Path]:
        """Objects of the cache that were asked for so far and are not what their names say: cut, or changed."""
        return list(self._broken)

    def absent(self, value: str) -> list[str]:
        """The hashes of what the cache lacks of the object `value`, or has with other bytes: all of it is hashed again."""
        path = self.cached(value)
        if not is_folder_hash(value):
            if path.is_file() and file_md5(path) == value:
                return []
            if path.is_file():
                self._broken[path] = None
            return [value]
        content = self._cached_bytes(value)
        if content is None:
            return [value]
        return [md5 for each in sorted(set(read_manifest(content).values())) for md5 in self.absent(each)]

    def manifest(self, path: str, value: str) -> dict[str, str] | None:
        """MD5 by relative path of the folder that had the hash `value`; None where neither place has it any more."""
        if value not in self._manifests:
            content = self._cached_bytes(value)
            self._manifests[value] = read_manifest(content) if content is not None else self._here(path, value)
        return self._manifests[value]

    def joined_manifest(self, folder: str, parts: Mapping[str, str]) -> dict[str, str] | None:
        """The manifest of `folder` with nothing but `parts` (hash by path) in it; None where a part's files are not known."""
        joined: dict[str, str] = {}
        for path, value in parts.items():
            name = path.removeprefix(f"{folder}/")
            manifest = self.manifest(path, value) if is_folder_hash(value) else {"": value}
            if manifest is None:
                return None
            joined |= {f"{name}/{file}".rstrip("/"): md5 for file, md5 in manifest.items()}
        return joined

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

    def _here(self, path: str, value: str) -> dict[str, str] | None:
        folder = self.root / path
        found = manifest_of(folder, self.root, self.ignored) if folder.is_dir() else {}
        return found if manifest_hash(found) == value else None

    def _cached_bytes(self, value: str) -> bytes | None:
        """The cache's object, None if it is not there or is not what its name says."""
        path = self.cached(value)
        try:
            content = path.read_bytes()
        except OSError:
            return None
        if bytes_md5(content) == value.removesuffix(FOLDER_SUFFIX):
            return content
        self._broken[path] = None
        return None


def broken_lists(cache: Path) -> Iterator[Path]:
    """Lists of folders' files in `cache` that are not what their names say, as a power cut leaves them: empty or cut."""
    for path in sorted((cache / "files" / "md5").glob(f"[0-9a-f][0-9a-f]/*{FOLDER_SUFFIX}")):
        if file_md5(path) != path.parent.name + path.name.removesuffix(FOLDER_SUFFIX):
            yield path


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
