"""What `ocrrl doctor` finds of the process's surroundings: user, home, folders, clock, limits, locale, Prefect's database."""

import locale
import os
import resource
import sqlite3
import tempfile
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

from ocrrl.surroundings import cache_folder, is_writable, nameless, user_name


@dataclass(frozen=True)
class Finding:
    """`remedy` is empty where all is well. What is not `required` only some users need."""

    subject: str
    found: str
    remedy: str = ""
    required: bool = True


OPEN_FILES = 1024
"""Descriptors that data loading and the flows' server may need at once."""
OLDEST_CLOCK = datetime(2025, 1, 1, tzinfo=UTC)


def surroundings(now: datetime) -> list[Finding]:
    """All of them; `now` is the time by the machine's clock."""
    return [_user(), _home(), _folder(), _temporary(), _clock(now), _open_files(), _locale(), _prefect()]


def _user() -> Finding:
    name = user_name()
    if name is not None:
        return Finding("user", name)
    taken = os.environ.get("USER") or os.environ.get("LOGNAME") or "nothing"
    found = f"user id {os.getuid()} has no name; {taken} is taken"
    own = taken not in ("nothing", nameless())
    return Finding("user", found, "" if own else f"`export USER={nameless()}` in the shell: DVC stops without it")


def _home() -> Finding:
    home = Path(os.environ.get("HOME") or "~").expanduser()
    if home != cache_folder() and is_writable(home):
        return Finding("home", str(home))
    found = f"{'none' if home == cache_folder() else home} cannot be written; caches are in {cache_folder()}"
    return Finding("home", found, "`export HOME=` a folder that can be written, to keep downloads", required=False)


def _folder() -> Finding:
    here = Path.cwd()
    if not Path("dvc.yaml").is_file():
        return Finding("project", f"{here} holds no dvc.yaml", "change to the project's folder", required=False)
    remedy = "" if is_writable(here) else "stages write here: work in a copy that can be written"
    return Finding("project", str(here), remedy)


def _temporary() -> Finding:
    try:
        found = tempfile.gettempdir()
    except FileNotFoundError:
        return Finding("temporary files", "no folder can be written", "`export TMPDIR=` a folder that can be written")
    asked = os.environ.get("TMPDIR", found)
    if Path(asked).resolve() != Path(found).resolve():
        return Finding(
            "temporary files", f"TMPDIR={asked} cannot be used; {found} is", "`unset TMPDIR`", required=False
        )
    return Finding("temporary files", found)


def _clock(now: datetime) -> Finding:
    remedy = "" if now >= OLDEST_CLOCK else "set the clock: calibrations, approvals and archives go by it"
    return Finding("clock", f"{now:%Y-%m-%d %H:%M} UTC", remedy)


def _open_files() -> Finding:
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    few = most != resource.RLIM_INFINITY and most < OPEN_FILES
    found = "no limit" if most == resource.RLIM_INFINITY else f"{most} at once"
    return Finding("open files", found, f"`ulimit -n {OPEN_FILES}`" if few else "", required=most < OPEN_FILES // 4)


def _locale() -> Finding:
    encoding = locale.getencoding()
    if encoding.lower().replace("-", "") == "utf8":
        return Finding("locale", encoding)
    return Finding("locale", f"{encoding}; UTF-8 is taken", "`export LC_ALL=C.UTF-8`", required=False)


def _prefect() -> Finding:
    """Whether the flows' server can work in PREFECT_HOME: a database of another version, or a locked one, keeps it from starting."""
    home = Path(os.environ.get("PREFECT_HOME") or "~/.prefect").expanduser()
    elsewhere = "`export PREFECT_HOME=` another folder (flows only)"
    if not is_writable(_there(home)):
        return Finding("prefect", f"{home} cannot be written", elsewhere, required=False)
    database = home / "prefect.db"
    if not database.is_file():
        return Finding("prefect", f"{home}, no database yet", required=False)
    try:
        with closing(sqlite3.connect(database, timeout=1.0)) as connection:
            versions = [row[0] for row in connection.execute("select version_num from alembic_version")]
            connection.execute("begin immediate")  # waits for a second, fails if another process keeps the lock
            connection.rollback()
    except sqlite3.Error as error:
        return Finding("prefect", f"{database}: {error}", f"end what has it open, or {elsewhere}", required=False)
    if unknown := [version for version in versions if not _knows(str(version))]:
        found = f"{database} is of another version of Prefect (revision {unknown[0]})"
        return Finding("prefect", found, f"move it aside, or {elsewhere}", required=False)
    return Finding("prefect", str(database), required=False)


def _there(folder: Path) -> Path:
    """What there is at this place, or else the nearest place upwards where something is."""
    return next((place for place in (folder, *folder.parents) if place.exists()), Path("/"))


def _knows(revision: str) -> bool:
    """Whether the Prefect that is installed has this revision of its database; True where none is installed."""
    prefect = find_spec("prefect")
    if prefect is None or prefect.origin is None:
        return True
    migrations = (Path(prefect.origin).parent / "server" / "database" / "_migrations" / "versions" / "sqlite").glob(
        "*.py"
    )
    return any(f'"{revision}"' in file.read_text() for file in migrations)
