"""A worker's clone at the coordinator's commit; otherwise the stage is refused."""

import re
import subprocess
from pathlib import Path

COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")


class CloneDiffers(RuntimeError):
    """The clone cannot be brought to the commit asked for without losing something."""


def check_out(workspace: Path, revision: str) -> None:
    """Bring the clone to `revision`, fetching it where needed.

    dvc.lock is DVC's own and is overwritten (the run-cache has what it recorded). Any other change of a tracked file is
    left alone, and refused with its name.
    """
    if not COMMIT.fullmatch(revision):
        raise CloneDiffers(f"revision must be a git commit, 40 hexadecimal digits, got {revision[:80]!r}")
    if changed := modified(workspace):
        raise CloneDiffers(
            f"{workspace}: a worker's clone must be as committed, got changes in {', '.join(changed)}; "
            "commit and push them, or `git stash`"
        )
    if head(workspace) == revision:
        return
    if _git(workspace, "cat-file", "-e", f"{revision}^{{commit}}").returncode:
        _git(workspace, "fetch", "--quiet", "--all")
    done = _git(workspace, "checkout", "--quiet", "--force", "--detach", revision)
    if done.returncode:
        raise CloneDiffers(
            f"{workspace}: commit {revision} must be there or in its git remote, got: {done.stderr.strip()}; "
            "push it from where the flow was started"
        )


def head(workspace: Path) -> str:
    """The commit that is checked out; CloneDiffers where there is no git."""
    done = _git(workspace, "rev-parse", "HEAD")
    if done.returncode:
        raise CloneDiffers(f"{workspace} must be a git clone: workers run commits, got: {done.stderr.strip()}")
    return done.stdout.strip()


def modified(workspace: Path) -> list[str]:
    """Tracked files that differ from the commit, and untracked ones that git does not ignore; not dvc.lock and records."""
    done = _git(workspace, "status", "--porcelain", "--untracked-files=all")
    if done.returncode:
        raise CloneDiffers(f"{workspace} must be a git clone: workers run commits, got: {done.stderr.strip()}")
    files = [line[3:] for line in done.stdout.splitlines()]
    return [name for name in files if name not in ("dvc.lock", "data/runs.jsonl") and "/.gitignore" not in name]


def _git(workspace: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", *arguments], cwd=workspace, capture_output=True, text=True, check=False)
