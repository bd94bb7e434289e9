"""The project's small files (dvc.yaml, dvc.lock, .dvc files, the run record), now or at a git revision."""

import os
import subprocess
from pathlib import Path

from ocrrl.lineage.reading.hashes import Ignored


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


class Revision:
    """The files of the project at `root`: in the working tree, or as committed at `name` (a hash, branch or tag)."""

    def __init__(self, root: Path, name: str | None = None):
        self.root, self.name = root, name
        self.commit: str | None = None
        """The full hash; None for the working tree."""
        if name is None:
            return
        if refusal := git_refusal(root):
            raise ValueError(f"revision {name} asks for a git repository, got none that answers: {refusal}")
        commit = None if name.startswith("-") else git(root, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
        if commit is None:
            raise ValueError(f"revision must be a commit, branch or tag that git knows in {root}, got {name}")
        self.commit = commit.strip()

    def __str__(self) -> str:
        return "the working tree" if self.commit is None else f"{self.name} ({self.commit[:8]})"

    def read(self, path: str) -> str | None:
        """Text of the file at `path`, relative to the project; None where there is no such file."""
        if self.commit is not None:
            return git(self.root, "show", f"{self.commit}:./{path}")
        file = self.root / path
        return file.read_text() if file.is_file() else None

    def dvc_files(self, outs: set[str]) -> list[str]:
        """Paths of the .dvc files; `outs` are folders that stages write, where none are looked for."""
        if self.commit is not None:
            listed = git(self.root, "ls-tree", "-r", "-z", "--name-only", self.commit, "./") or ""
            return sorted(name for name in listed.split("\0") if name.endswith(".dvc"))
        ignored, found = Ignored.of_project(self.root), []
        for parent, folders, names in os.walk(self.root):
            relative = Path(os.path.relpath(parent, self.root)).as_posix()
            prefix = "" if relative == "." else f"{relative}/"
            files = {name for name in names if name.endswith(".dvc")}
            found += [f"{prefix}{name}" for name in files]
            folders[:] = [
                name
                for name in folders
                if f"{prefix}{name}" not in outs
                and f"{name}.dvc" not in files
                and not ignored(f"{prefix}{name}", is_folder=True)
            ]
        return sorted(found)

    def changed_files(self, earlier: "Revision", path: str) -> list[str]:
        """Files at or below `path` that git sees changed from `earlier`, which must be a commit, to this revision."""
        ends = [earlier.commit or "HEAD", *([self.commit] if self.commit else [])]
        listed = git(self.root, "diff", "--name-only", "--relative", "-z", *ends, "--", path) or ""
        return [name for name in listed.split("\0") if name]
