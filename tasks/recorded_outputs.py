"""All outputs that DVC recorded here, from lock files, `.dvc` files and the run-cache.

Read are the working tree, every commit that git still has (branches, tags, experiments, stashes, amended commits in the
reflog), and DVC's run-cache, which knows runs that were never committed.
"""

import itertools
import os
import posixpath
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tasks.markdown import printable

EPISODE_FOLDERS = ("episodes", "normalised", "rollouts", "rollouts_corrected", "rollouts_base", "sessions")  # of data/
EPISODE_STAGES = ("record", "rollout", "rollout_base")
READS_EPISODES = "ingest"  # its dependencies are the folders that `tabletop_tasks` names, wherever they lie


@dataclass(frozen=True)
class Output:
    """A file or folder that was at `path` with DVC's hash `md5`, which ends in `.dir` for a folder."""

    path: str
    md5: str
    episodes: bool


def recorded_outputs(workspace: Path, cache: Path) -> set[Output]:
    """Every output recorded in the working tree, in git and in the run-cache beside `cache`'s objects.

    Raises RuntimeError outside a git repository. A record that is no YAML is named on stderr and passed over.
    """
    found: set[Output] = set()
    for name, text in (*_committed(workspace), *_in_working_tree(workspace), *_run_cache(cache)):
        try:
            found.update(_outputs(name, yaml.load(text, _EveryEntry)))
        except (yaml.YAMLError, AttributeError, KeyError, TypeError) as error:
            said = f"{name} cannot be read as a record of outputs: {str(error).splitlines()[0]}"
            print(printable(said), file=sys.stderr)
    return found


class _EveryEntry(yaml.CSafeLoader):
    """YAML that keeps each entry of a stage that stands there twice, as a hand merge leaves it: both may be of episodes."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        content: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            key = self.construct_object(key_node, deep=True)
            while key in content:
                key = f"{key}@again"
            content[key] = self.construct_object(value_node, deep=True)
        return content


def _outputs(name: str, content: dict[str, Any] | None) -> Iterator[Output]:
    folder = posixpath.dirname(name)
    if name.endswith("dvc.lock"):
        for address, entry in ((content or {}).get("stages") or {}).items():
            stage = address.split("@")[0]
            yield from _entries(entry.get("outs"), folder, stage in EPISODE_STAGES)
            if stage == READS_EPISODES:
                yield from _entries(entry.get("deps"), folder, True)
    elif name.endswith(".dvc"):
        yield from _entries(
            (content or {}).get("outs"), posixpath.join(folder, (content or {}).get("wdir", ".")), False
        )
    else:
        cmd = (content or {}).get("cmd", "")
        called = {tuple(line.split()[1:2]) for line in (cmd if isinstance(cmd, list) else [str(cmd)])}
        yield from _entries((content or {}).get("outs"), "", any((stage,) in called for stage in EPISODE_STAGES))


def _entries(entries: list[dict[str, Any]] | None, folder: str, episodes: bool) -> Iterator[Output]:
    for entry in entries or []:
        path = posixpath.normpath(posixpath.join(folder, entry["path"]))
        if md5 := entry.get("md5"):
            inside = any(path.startswith(f"data/{name}/") for name in EPISODE_FOLDERS)
            yield Output(path, str(md5), episodes or inside)


def _committed(workspace: Path) -> Iterator[tuple[str, bytes]]:
    """Path and content of each version of a record in git."""
    prefix = _git(workspace, "rev-parse", "--show-prefix").decode().strip()
    reach = ("--all", "--reflog", "--full-history", "--root", "-m")  # every side of a merge too
    shape = ("--raw", "--no-abbrev", "--no-renames", "--format=", "-z")
    words = _git(workspace, "log", *reach, *shape, "--", "*.dvc", "*dvc.lock").decode().split("\0")
    versions = set()
    for change, name in itertools.pairwise(words):
        if change.lstrip().startswith(":") and name.startswith(prefix):
            _, _, before, after, _ = change.split()
            versions |= {(blob, name.removeprefix(prefix)) for blob in (before, after) if blob.strip("0")}
    rest = _git(workspace, "cat-file", "--batch", feed="".join(f"{blob}\n" for blob, _ in versions).encode())
    for _, name in versions:
        header, _, rest = rest.partition(b"\n")
        _, kind, *size = header.decode().split()
        if kind != "blob":
            raise RuntimeError(f"every version of {name} must be in this clone, got {header.decode()}: `git fetch`")
        yield name, rest[: int(size[0])]
        rest = rest[int(size[0]) + 1 :]


def _in_working_tree(workspace: Path) -> Iterator[tuple[str, bytes]]:
    for folder, subfolders, files in os.walk(workspace):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        for name in files:
            if name == "dvc.lock" or name.endswith(".dvc"):
                path = Path(folder, name)
                yield path.relative_to(workspace).as_posix(), path.read_bytes()


def _run_cache(cache: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted((cache / "runs").glob("*/*/*")):
        yield f"run-cache {path.name[:8]}", path.read_bytes()


def _git(workspace: Path, *arguments: str, feed: bytes | None = None) -> bytes:
    done = subprocess.run(["git", *arguments], cwd=workspace, input=feed, capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(
            f"{workspace} must be a git repository with commits, got: {' '.join(done.stderr.decode().split())}"
        )
    return done.stdout
