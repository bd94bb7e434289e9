"""The stages of dvc.yaml, their order and which are out of date, as JSON on stdout.

It imports DVC, whose `Repo` is not made for threads: no flow loads it, it runs as a process of its own.
"""

import contextlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import psutil
from dvc.exceptions import DvcException
from dvc.lock import LockError, make_lock
from dvc.repo import Repo
from ruamel.yaml import YAML, YAMLError
from ruamel.yaml.constructor import DuplicateKeyError


def main() -> int:
    workspace = Path.cwd()
    try:
        notes = list(filter(None, (set_aside_damaged_lock_file(workspace), release_locks_of_the_dead(workspace))))
        wait_for_other_commands(workspace)
        with contextlib.redirect_stdout(sys.stderr):  # DVC's own words belong to the log
            answer = {"stages": stages(workspace), "notes": notes}
    except DvcException as error:
        print(with_causes(error), file=sys.stderr)
        return 1
    json.dump(answer, sys.stdout)
    return 0


def stages(workspace: Path) -> list[dict[str, Any]]:
    """Every stage of dvc.yaml: name, command, description, meta, parameters, outputs, upstream, what changed (or null).

    What was `dvc add`ed is a stage to DVC, but has no command, and is left out.
    """
    with Repo(str(workspace), _wait_for_lock=True) as repo:
        changed = repo.status()
        graph = repo.index.graph
        return [
            {
                "name": stage.addressing,
                "command": stage.cmd,
                "description": stage.desc or "",
                "meta": stage.meta or {},
                "parameters": [name for dep in stage.params for name in dep.params],
                "outputs": [os.path.relpath(out.fs_path, workspace) for out in stage.outs],
                "upstream": sorted(needed.addressing for needed in graph.successors(stage) if needed.cmd),
                "changed": changed.get(stage.addressing),
            }
            for stage in repo.index.stages
            if stage.cmd
        ]


def set_aside_damaged_lock_file(workspace: Path) -> str | None:
    """A dvc.lock cut short by a kill is moved away; DVC's run-cache brings back what it recorded.

    Raises DvcException for one that a person merged: a stage that stands there twice, or git's marks of an open merge.
    """
    path = workspace / "dvc.lock"
    if not path.is_file():
        return None
    content = ""
    try:
        content = path.read_text()
        if isinstance(YAML(typ="safe").load(content), dict):
            return None
    except DuplicateKeyError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else "?"
        raise DvcException(f"dvc.lock: {error.problem}, again on line {line}: keep one of them") from error
    except (YAMLError, UnicodeDecodeError):
        marks = [n for n, line in enumerate(content.splitlines(), 1) if line.startswith(("<<<<<<< ", ">>>>>>> "))]
        if marks:
            said = (
                f"dvc.lock must be merged, got git's marks on lines {', '.join(map(str, marks))}: keep one side of each"
            )
            raise DvcException(said) from None
    aside = path.with_name(f"dvc.lock.damaged-{int(time.time())}")
    path.rename(aside)
    return (
        f"dvc.lock was no valid YAML (a kill while DVC wrote it?) and was moved to {aside.name}; the run-cache is used"
    )


def release_locks_of_the_dead(workspace: Path) -> str | None:
    """Take the entries of killed processes out of .dvc/tmp/rwlock, and remove the file if a kill cut it short.

    DVC forgets processes that are gone, but not those that nobody reaped yet, and it stops at a damaged file.
    """
    folder = workspace / ".dvc" / "tmp"
    path = folder / "rwlock"
    if not path.is_file():
        return None
    with make_lock(str(folder / "rwlock.lock"), tmp_dir=str(folder), wait=True):
        try:
            entries = json.loads(path.read_text())
        except json.JSONDecodeError:
            path.unlink()
            return ".dvc/tmp/rwlock was damaged (a kill while DVC wrote it?) and was removed"
        readers = {file: [who for who in infos if _alive(who)] for file, infos in entries.get("read", {}).items()}
        kept = {
            "write": {file: who for file, who in entries.get("write", {}).items() if _alive(who)},
            "read": {file: infos for file, infos in readers.items() if infos},
        }
        if kept != entries:
            path.write_text(json.dumps(kept))
    return None


def wait_for_other_commands(workspace: Path) -> None:
    """Return once DVC's lock can be had; who holds it is said on stderr."""
    folder = workspace / ".dvc" / "tmp"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "lock"
    try:
        with make_lock(str(file), tmp_dir=str(folder)):
            return
    except LockError:
        print(f"waiting for another DVC command to end: {holder(file)}", file=sys.stderr, flush=True)
    with make_lock(str(file), tmp_dir=str(folder), wait=True):
        return


def with_causes(error: BaseException | None) -> str:
    """What `error` says, and each error that it came from."""
    said = []
    while error is not None:
        said.append(str(error))
        error = error.__cause__
    return ": ".join(filter(None, said))


def holder(lock_file: Path) -> str:
    """The process that a lock file names."""
    with contextlib.suppress(OSError, ValueError, psutil.Error):
        pid = int(lock_file.read_text().split()[0])
        return f"process {pid} ({' '.join(psutil.Process(pid).cmdline())[:120]})"
    return f"see {lock_file}"


def _alive(info: dict[str, Any]) -> bool:
    try:
        return psutil.Process(info["pid"]).status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


if __name__ == "__main__":
    sys.exit(main())
