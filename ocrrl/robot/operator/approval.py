"""An operator's approval of motion: one cell, session and tabletop task, a number of episodes, a time.

It travels as a token, `<payload>.<signature>` in URL-safe base64: the approval as JSON, and its HMAC-SHA256 by the key
`.work/approval.key`. A token is worth motion until it expires: it is in no log and no message, and in no file but one that its owner
alone can read; its nonce is. The environment names that file and does not hold the token: a process's environment can be read in
/proc for as long as the process lives.
This guards against accidents, not against somebody who can read the key. Times are seconds since 1970, UTC.
"""

import base64
import binascii
import hashlib
import hmac
import json
import os
import secrets
import stat
from collections.abc import Callable, MutableMapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from ocrrl.files import locked
from ocrrl.interface.names import require_name
from ocrrl.layout import OLDER_SESSION, WORK
from ocrrl.robot.operator.approval_ledger import LedgerFault, count_episode, episodes_begun, latest_time, open_ledger

Clock = Callable[[], float]

APPROVAL_VARIABLE = "OCRRL_APPROVAL"
APPROVAL_FILE_VARIABLE = "OCRRL_APPROVAL_FILE"
DEFAULT_MINUTES = 15.0
LONGEST_MINUTES = 8 * 60.0
LONGEST_TOKEN = 8192  # bytes
_KEY_BYTES = 32
_PURPOSE = b"ocrrl approval 1\n"  # signed along, so that a signature by this key means nothing elsewhere


class NotApproved(RuntimeError):
    """No operator approved this motion; the message says what is missing and how to get it."""


@dataclass(frozen=True)
class Approval:
    """What an operator approved; `nonce` names it in ledgers and metadata."""

    cell: str
    session: str
    tabletop_task: str
    episodes: int
    operator: str
    issued: float
    expires: float
    nonce: str

    def __post_init__(self) -> None:
        for name in ("cell", "tabletop_task", "nonce"):
            require_name(name, getattr(self, name))
        if not OLDER_SESSION.fullmatch(self.session):
            require_name("session", self.session)
        if not 1 <= len(self.operator.strip()) <= 80 or not self.operator.isprintable():
            raise ValueError(f"operator must be a name of at most 80 characters, got {self.operator!r}")
        if self.episodes < 1:
            raise ValueError(f"episodes must be at least 1, got {self.episodes}")
        if not 0 < self.expires - self.issued <= 60 * LONGEST_MINUTES + 1:
            raise ValueError(f"an approval must last at most {LONGEST_MINUTES:g} minutes, and more than none")


def issue(
    cell: str,
    session: str,
    tabletop_task: str,
    episodes: int,
    operator: str,
    clock: Clock,
    minutes: float = DEFAULT_MINUTES,
    folder: Path = WORK,
) -> str:
    """The token of a new approval, its count begun at 0.

    Raises ValueError for what no operator can approve, NotApproved where the clock went back.
    """
    if not 0 < minutes <= LONGEST_MINUTES:
        raise ValueError(f"minutes must be in (0, {LONGEST_MINUTES:g}], got {minutes:g}")
    now, nonce = clock(), secrets.token_hex(8)
    Approval(cell, session, tabletop_task, episodes, operator.strip(), now, now + 60 * minutes, nonce)  # or refused
    now = _time(folder, clock)
    approval = Approval(cell, session, tabletop_task, episodes, operator.strip(), now, now + 60 * minutes, nonce)
    facts = asdict(approval)
    payload = json.dumps(facts, sort_keys=True).encode()
    token = f"{_encoded(payload)}.{_encoded(_signature(payload, _signing_key(folder)))}"
    open_ledger(folder, nonce, facts)
    return token


def check(
    token: str | None,
    cell: str,
    session: str,
    tabletop_task: str,
    episodes: int,
    clock: Clock,
    folder: Path = WORK,
) -> Approval:
    """The approval in `token`; NotApproved unless it allows `episodes` more in this very session, now."""
    remedy = f"; approve with `{approve_command(cell, session, tabletop_task, episodes)}`"
    if not token:
        raise NotApproved(
            f"cell {cell} moves only with an operator's approval, got none{remedy} --out FILE and name the file in "
            f"{APPROVAL_FILE_VARIABLE}, or run this at a terminal and be asked"
        )
    key = folder / "approval.key"
    approval, fault = _opened(token, _read_key(key) if key.exists() else b"")
    if approval is None:
        raise NotApproved(f"the approval must be a token of `ocrrl approve`, got {fault}{remedy}")
    _require_unexpired(approval, clock, folder, remedy)
    asked = {"cell": cell, "session": session, "tabletop_task": tabletop_task}
    for name, wanted in asked.items():
        if (approved := getattr(approval, name)) != wanted:
            raise NotApproved(f"the approval must be for {name} {wanted}, got one for {approved}{remedy}")
    left = approval.episodes - _begun(approval, folder, remedy)
    if episodes > left:
        raise NotApproved(
            f"the approval must cover {episodes} episodes, got {left} left of the {approval.episodes} "
            f"that {approval.operator} approved{remedy}"
        )
    return approval


def begin_episode(approval: Approval, clock: Clock, folder: Path = WORK) -> None:
    """Count one more episode, before it moves anything; NotApproved if time is up or all have begun."""
    remedy = f"; go on with `{approve_command(approval.cell, approval.session, approval.tabletop_task)}`"
    _require_unexpired(approval, clock, folder, remedy)
    _begun(approval, folder, remedy)
    if not count_episode(folder, approval.nonce, approval.episodes):
        raise NotApproved(
            f"the {approval.episodes} episodes that {approval.operator} approved must suffice, "
            f"got one more to begin{remedy}"
        )


def take_token(environment: MutableMapping[str, str] = os.environ) -> str | None:
    """The token that the environment hands over, None where it does not; taken out, so that no child process is given it.

    NotApproved where the file that is named is not one that its owner alone can read.
    """
    token, name = (environment.pop(variable, None) for variable in (APPROVAL_VARIABLE, APPROVAL_FILE_VARIABLE))
    return token if name is None else read_token(Path(name))


def write_token(path: Path, token: str) -> None:
    """Write `token` to `path`, a new file that its owner alone can read; ValueError where something is there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except FileExistsError:
        raise ValueError(f"{path} must not be there before the token is written, got a file; remove it") from None
    with os.fdopen(descriptor, "w") as file:
        file.write(token + "\n")


def read_token(path: Path) -> str:
    """The token in `path`; NotApproved unless it is a file of this user that nobody else can read."""
    required = f"{APPROVAL_FILE_VARIABLE} must name a file that `ocrrl approve --out FILE` wrote"
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            facts = os.fstat(file.fileno())
            if not stat.S_ISREG(facts.st_mode) or facts.st_uid != os.geteuid() or facts.st_mode & 0o077:
                raise NotApproved(f"{required}, got {path}, which is not yours alone; `chmod 600` it or approve again")
            return file.read(LONGEST_TOKEN).decode("ascii", "replace").strip()
    except OSError as error:
        raise NotApproved(f"{required}, got {path}: {error.strerror}") from None


def approve_command(cell: str, session: str, tabletop_task: str, episodes: int | str = "N") -> str:
    """The command line that an operator would type."""
    return f"ocrrl approve --cell {cell} --session {session} --task {tabletop_task} --episodes {episodes}"


def utc(seconds: float) -> str:
    """`seconds` since 1970 as people read it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _time(folder: Path, clock: Clock) -> float:
    """The time, which never goes back here; NotApproved where the machine's clock did."""
    try:
        return latest_time(folder, clock())
    except LedgerFault as error:
        raise NotApproved(str(error)) from error


def _require_unexpired(approval: Approval, clock: Clock, folder: Path, remedy: str) -> None:
    now = _time(folder, clock)
    if now >= approval.expires:
        raise NotApproved(f"the approval must not have expired, it did at {utc(approval.expires)}{remedy}")
    if now < approval.issued - 60:
        raise NotApproved(
            f"the approval must be of the past, got one of {utc(approval.issued)} at {utc(now)}: set this machine's clock"
        )


def _begun(approval: Approval, folder: Path, remedy: str) -> int:
    try:
        return episodes_begun(folder, approval.nonce)
    except LedgerFault as error:
        raise NotApproved(f"{error}{remedy}") from error
    except FileNotFoundError:
        pass
    raise NotApproved(
        f"the approval's count of episodes must be in {folder}, where it was issued, got none for "
        f"{approval.nonce}{remedy}"
    )


def _opened(token: str, key: bytes) -> tuple[Approval | None, str]:
    """The approval and no fault, or none and the fault. No exception leaves here: it might hold the token."""
    parts = token.strip().split(".")
    if len(parts) != 2:
        return None, "something malformed"
    try:
        payload, signature = (_decoded(part) for part in parts)
    except (binascii.Error, ValueError):
        return None, "something malformed"
    if not key or not hmac.compare_digest(signature, _signature(payload, key)):
        return None, "one with a wrong signature: it was issued in another place, or changed"
    try:
        return Approval(**json.loads(payload)), ""
    except (TypeError, ValueError):
        return None, "one of another version"


def _signature(payload: bytes, key: bytes) -> bytes:
    return hmac.new(key, _PURPOSE + payload, hashlib.sha256).digest()


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _decoded(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


def _signing_key(folder: Path) -> bytes:
    """The key that signs approvals here, made on first use."""
    path = folder / "approval.key"
    with locked(folder / "approvals" / ".lock"):
        if not path.exists():
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(secrets.token_bytes(_KEY_BYTES))
        return _read_key(path)


def _read_key(path: Path) -> bytes:
    if path.stat().st_mode & 0o077:
        raise RuntimeError(f"{path} must be readable by its owner only, got others too; `chmod 600 {path}`")
    if len(key := path.read_bytes()) != _KEY_BYTES:
        raise RuntimeError(f"{path} must hold {_KEY_BYTES} bytes, got {len(key)}; delete it and approve again")
    return key
