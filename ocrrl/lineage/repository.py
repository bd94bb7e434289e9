"""What git knows of a project, or why it cannot answer."""

import os
import subprocess
from pathlib import Path


def git(root: Path, *arguments: str) -> str | None:
    """What git prints for `arguments` in `root`; None if it fails, is not installed or `root` is in no repository."""
    done = _run(root, *arguments)
    return done.stdout if done is not None and done.returncode == 0 else None


def git_refusal(root: Path) -> str:
    """Why git tells nothing of `root`, and what helps, in one line; empty where git answers."""
    done = _run(root, "rev-parse", "--git-dir")
    if done is None:
        return "git is not installed: `apt-get install git`"
    if done.returncode == 0:
        if git(root, "rev-parse", "--verify", "--quiet", "HEAD") is None:
            return f"{root.absolute()} has no commit yet: `git add --all && git commit`"
        return ""
    if "not a git repository" in done.stderr:
        return (
            f"{root.absolute()} is in no git repository (a downloaded archive?): clone it instead, or "
            "`git init && git add --all && git commit -m start` here"
        )
    return "git refuses: " + " ".join(done.stderr.split())  # its own remedy is in it, such as safe.directory


def _run(root: Path, *arguments: str) -> subprocess.CompletedProcess[str] | None:
    command = ["git", "--no-optional-locks", "-c", "core.quotePath=off", *arguments]
    try:
        return subprocess.run(command, cwd=root, capture_output=True, text=True, env=os.environ | {"LC_ALL": "C.UTF-8"})
    except OSError:
        return None
