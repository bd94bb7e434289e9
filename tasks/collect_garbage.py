"""`make gc`: deletes from DVC's cache what no kept commit uses, never an episode.

What the working tree, branches, tags, experiments and the last commits use is DVC's own answer. To that come all
episodes that anything ever recorded. Only what is left is removed, file by file, so a kill at any moment costs no
episode. Models and datasets can be made again; a demonstration or a rollout cannot.
"""

import argparse
import contextlib
import hashlib
import json
import logging
import os
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dvc.exceptions import DvcException
from dvc.lock import LockError
from dvc.repo import Repo
from scmrepo.exceptions import SCMError

from tasks.dvc_graph import holder, with_causes
from tasks.markdown import printable
from tasks.one_line import in_one_line
from tasks.recorded_outputs import Output, recorded_outputs

HDF5 = b"\x89HDF\r\n\x1a\n"  # an episode file begins with it; no other output is HDF5
UNNAMED = "what no commit and no run names"


@dataclass
class Group:
    """Objects that one row of the table counts."""

    versions: set[str] = field(default_factory=set)
    """Hashes of the outputs that they belong to."""
    files: dict[str, int] = field(default_factory=dict)
    """Size in bytes by hash."""


@dataclass(frozen=True)
class Plan:
    """What becomes of every object of the cache; each is in exactly one group."""

    used: Group
    episodes: dict[str, Group]
    """Of commits that are not kept, by path."""
    dropped: dict[str, Group]
    """By path."""

    @property
    def to_drop(self) -> dict[str, int]:
        """Size in bytes by hash."""
        return {oid: size for group in self.dropped.values() for oid, size in group.files.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Show the plan, ask, drop. Exit code 1, with the reason on stderr, where that cannot be."""
    parser = argparse.ArgumentParser(prog="python -m tasks.collect_garbage", description=__doc__)
    parser.add_argument("--keep-commits", type=int, default=10, metavar="N", help="the last N of every branch (10)")
    parser.add_argument("--dry", action="store_true", help="show what would be dropped, and drop nothing")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    options = parser.parse_args(arguments)
    logging.getLogger("dvc").setLevel(logging.ERROR)
    try:
        if options.keep_commits < 1:
            raise ValueError(f"--keep-commits must be 1 or more, got {options.keep_commits}")
        return collect(Path.cwd(), options.keep_commits, options.dry, options.yes)
    except (DvcException, SCMError, ValueError, RuntimeError, OSError) as error:
        said = " ".join(with_causes(error).split())
        print(f"Stopped, no episode was touched: {printable(said)}", file=sys.stderr)
        return 1


def collect(workspace: Path, keep_commits: int, dry: bool, yes: bool) -> int:
    """Plan with DVC's lock held, ask without it, plan again and drop what both plans drop."""
    with Repo(str(workspace)) as repo, _lock(repo):
        shown = plan(repo, keep_commits)
    print(table(shown, keep_commits))
    if not shown.to_drop:
        print("Nothing to drop.")
        return 0
    if dry:
        return 0
    if not yes and not _confirmed(f"Drop {len(shown.to_drop)} files, {_megabytes(shown.to_drop.values())}? [y/N] "):
        print("Nothing was dropped: neither y at a terminal nor --yes.", file=sys.stderr)
        return 1
    with Repo(str(workspace)) as repo, _lock(repo):
        objects = Path(repo.cache.local.path)
        agreed = shown.to_drop.keys() & plan(repo, keep_commits).to_drop.keys()
        sizes = [shown.to_drop[oid] for oid in agreed]
        drop(objects, agreed)
    print(f"Dropped {len(sizes)} files, {_megabytes(sizes)}; every episode was kept.")
    return 0


def plan(repo: Repo, keep_commits: int) -> Plan:
    """What a collection would do. The caller holds DVC's lock.

    Raises ValueError for a cache that other projects may share, RuntimeError while an experiment runs in a folder of
    its own or outside git, DvcException where a commit cannot be read.
    """
    root, objects = Path(repo.root_dir), Path(repo.cache.local.path)
    cache = Path(repo.cache.local_cache_dir)
    if not cache.is_relative_to(root / ".dvc"):
        raise ValueError(f"the cache must be the project's own, in .dvc, got {cache}: other projects may use it too")
    experiments = root / ".dvc" / "tmp" / "exps"
    if running := [*experiments.glob("standalone/*/dvc.yaml"), *experiments.glob("tmp*/dvc.yaml")]:
        raise RuntimeError(
            f"no experiment may run in a folder of its own, got {running[0].parent}: wait for it (`dvc queue status`), or "
            "remove the folder if the experiment was killed"
        )
    _require_whole_lists(objects)
    recorded = recorded_outputs(root, cache)
    used = repo.used_objs(
        all_branches=True, all_tags=True, all_experiments=True, revs=["HEAD"], num=keep_commits, force=True
    )
    kept = {info.value for infos in used.values() for info in infos if info.value}
    return sort_objects(_sizes(objects), kept, recorded, objects)


def sort_objects(sizes: dict[str, int], kept: set[str], recorded: Iterable[Output], objects: Path) -> Plan:
    """Put each object of `sizes` into its group: used, of an episode, or to be dropped."""
    result = Plan(Group(), defaultdict(Group), defaultdict(Group))
    rest = dict(sizes)
    result.used.files = {oid: rest.pop(oid) for oid in kept & rest.keys()}
    for output in sorted(recorded, key=lambda output: (not output.episodes, output.path, output.md5)):
        for oid in {output.md5, *_files_in(output.md5, objects)} & rest.keys():
            keep = output.episodes or _is_hdf5(_object(objects, oid))
            group = (result.episodes if keep else result.dropped)[output.path]
            group.files[oid] = rest.pop(oid)
            group.versions.add(output.md5)
    for oid, size in rest.items():
        found = result.episodes if _is_hdf5(_object(objects, oid)) else result.dropped
        found[UNNAMED].files[oid] = size
    return result


def table(plan: Plan, keep_commits: int) -> str:
    """The plan as text: a row for each path that loses versions, and what is kept for which reason."""
    used = f"used here, by tags, experiments, last {keep_commits} of each branch"
    older = {f"episodes: {path}": group for path, group in plan.episodes.items()}
    rows = [("DROPPED", None), *sorted(plan.dropped.items()), ("KEPT", None), (used, plan.used), *sorted(older.items())]
    lines = [f"{'':<64}{'versions':>9}{'files':>7}{'size':>11}"]
    for name, group in rows:
        if group is None:
            lines.append(name)
        elif group.files or group is plan.used:
            versions = str(len(group.versions) or "")
            lines.append(f"  {name:<62}{versions:>9}{len(group.files):>7}{_megabytes(group.files.values()):>11}")
    return printable("\n".join(lines))


def drop(objects: Path, oids: Iterable[str]) -> None:
    """Remove objects from the cache, lists of folders' files first: what has its list is never half there by a kill."""
    for oid in sorted(oids, key=lambda oid: (not oid.endswith(".dir"), oid)):
        _object(objects, oid).unlink(missing_ok=True)


@contextlib.contextmanager
def _lock(repo: Repo):
    try:
        with repo.lock:
            yield
    except LockError:
        file = Path(repo.tmp_dir or "", "lock")
        raise RuntimeError(f"another DVC command holds {file}: {holder(file)}; try again when it has ended") from None


def _sizes(objects: Path) -> dict[str, int]:
    """Size in bytes of every object of the cache by its hash; other files, half-written ones among them, are left out."""
    return {
        prefix.name + entry.name: entry.stat().st_size
        for prefix in objects.glob("[0-9a-f][0-9a-f]")
        for entry in os.scandir(prefix)
        if len(entry.name.removesuffix(".dir")) == 30
    }


def _files_in(md5: str, objects: Path) -> list[str]:
    """The hashes of the files of a folder whose list is in the cache."""
    path = _object(objects, md5)
    if not md5.endswith(".dir") or not path.is_file():
        return []
    try:
        return [entry["md5"] for entry in json.loads(path.read_text())]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} must list a folder's files, got: {error}; `dvc fetch` brings it back") from error


def _require_whole_lists(objects: Path) -> None:
    """Raise ValueError for a list of a folder's files that is cut: DVC fails at it, or takes the folder's files for unused."""
    for path in sorted(objects.glob("[0-9a-f][0-9a-f]/*.dir")):
        content = path.read_bytes()
        if hashlib.md5(content, usedforsecurity=False).hexdigest() != path.parent.name + path.name.removesuffix(".dir"):
            raise ValueError(
                f"{path} must list a folder's files, got {len(content)} bytes that are not what its name says (a power cut?): "
                "delete it, then `dvc fetch` or `dvc commit -f <stage>` brings it back, `ocrrl doctor` lists all of them"
            )


def _object(objects: Path, oid: str) -> Path:
    return objects / oid[:2] / oid[2:]


def _is_hdf5(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(HDF5)) == HDF5


def _confirmed(question: str) -> bool:
    try:
        return input(question).strip().lower() in ("y", "yes")
    except EOFError:
        return False


def _megabytes(sizes: Iterable[int]) -> str:
    return f"{sum(sizes) / 1e6:,.1f} MB"


if __name__ == "__main__":
    sys.exit(in_one_line("collect_garbage", main))
