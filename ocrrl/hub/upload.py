"""Uploads a publication to a Hugging Face hub in one commit, by huggingface_hub; every failure is one line with the next step."""

import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

from ocrrl.hub.publication import Publication
from ocrrl.printable import one_line

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

TIMEOUT, COMMIT_TIMEOUT = 30.0, 300.0
"""[s] without a byte, of the first question and of what follows, since a hub takes long over a large commit; huggingface_hub alone
waits for ever."""
_OF_THE_HUB = (".gitattributes",)
NOTHING = "nothing was committed"
UNKNOWN = "whether the commit arrived is not known: run the same command again, what is there is not sent twice"


@dataclass(frozen=True)
class Uploaded:
    """A commit that the hub confirmed."""

    url: str
    commit: str
    private: bool


def hub() -> "HfApi":
    """The client, for the hub that HF_ENDPOINT names; ModuleNotFoundError where huggingface_hub is not installed."""
    from huggingface_hub import HfApi
    from huggingface_hub.utils import disable_progress_bars

    if not sys.stderr.isatty():
        disable_progress_bars()
    return HfApi(library_name="ocrrl", library_version=version("ocrrl"))


def upload(
    api: "HfApi", what: Publication, public: bool = False, replace: bool = False, told: Callable[[str], object] = print
) -> Uploaded:
    """Make the repository hold exactly the files of `what`, by one commit on top of the one that was looked at.

    A new repository is private unless `public`; of one that is there it stays what it is. Files of the repository that `what`
    does not have are a reason to refuse, or removed in the same commit with `replace`. Raises RuntimeError.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete
    from huggingface_hub.utils import get_session

    name, kind = what.repository, what.kind
    with _failures(api, what, NOTHING):
        get_session().timeout = TIMEOUT
        api.whoami()
        get_session().timeout = COMMIT_TIMEOUT
        api.create_repo(name, repo_type=kind, private=not public, exist_ok=True)
        info = api.dataset_info(name) if kind == "dataset" else api.model_info(name)
    there = {file.rfilename for file in info.siblings or ()}
    others = sorted(there - set(what.files) - set(_OF_THE_HUB))
    if others and not replace:
        raise RuntimeError(
            f"{name} must hold nothing that this push does not bring, got {len(others)} other files ({', '.join(others[:3])}); "
            f"name another repository, or --replace removes them in the same commit; {NOTHING}"
        )
    additions = [
        CommitOperationAdd(path_in_repo=file, path_or_fileobj=content if isinstance(content, bytes) else str(content))
        for file, content in what.files.items()
    ]
    operations = [*additions, *(CommitOperationDelete(path_in_repo=file) for file in others)]
    message = f"ocrrl push: {what.version.removesuffix('.dir')}"
    with _failures(api, what, NOTHING), warnings.catch_warnings(record=True) as remarks:
        warnings.simplefilter("always", UserWarning)
        commit = api.create_commit(name, operations, commit_message=message, repo_type=kind, parent_commit=info.sha)
    for remark in remarks:
        told(f"{api.endpoint} remarks: {_said(remark.message)}")
    there_is = f"the commit {commit.oid[:8]} is there"
    with _failures(api, what, f"{there_is}, whether it is whole is not known: run the same command again"):
        _require_whole(api, what, commit.oid)
    with _failures(api, what, f"{there_is}, its tag {what.tag} is not: run the same command again"):
        if what.tag:
            _tag(api, what, commit.oid)
    visible = "private" if info.private else "public"
    told(f"{name} ({visible} {kind}): {len(what.files)} files, {what.size / 1e6:.1f} MB, one commit {commit.oid[:8]}")
    return Uploaded(commit.commit_url, commit.oid, bool(info.private))


def _require_whole(api: "HfApi", what: Publication, commit: str) -> None:
    """ValueError unless the hub lists every file of `what`, at its size, in `commit`."""
    listed = api.list_repo_tree(what.repository, recursive=True, revision=commit, repo_type=what.kind)
    sizes = {entry.path: getattr(entry, "size", None) for entry in listed}
    for file, content in what.files.items():
        size = len(content) if isinstance(content, bytes) else content.stat().st_size
        if sizes.get(file) != size:
            raise ValueError(f"{file} of {sizes.get(file, 'no')} bytes in {commit[:8]}, not {size}")


def _tag(api: "HfApi", what: Publication, commit: str) -> None:
    from huggingface_hub.errors import RevisionNotFoundError

    with suppress(RevisionNotFoundError):
        api.delete_tag(what.repository, tag=what.tag, repo_type=what.kind)
    api.create_tag(what.repository, tag=what.tag, revision=commit, repo_type=what.kind)


@contextmanager
def _failures(api: "HfApi", what: Publication, state: str) -> Iterator[None]:
    """What huggingface_hub raises, as one line that ends with `state`: what is and is not on the hub."""
    import httpx
    from huggingface_hub import get_session
    from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError, OfflineModeIsEnabled

    try:
        yield
    except OfflineModeIsEnabled as error:
        raise RuntimeError(f"HF_HUB_OFFLINE must be off to push, it is on: unset it; {state}") from error
    except LocalTokenNotFoundError as error:
        raise RuntimeError(
            f"a token must be there to push to {api.endpoint}: `hf auth login`, or set HF_TOKEN; {state}"
        ) from error
    except (httpx.HTTPError, OSError, ValueError, RuntimeError) as error:
        of_a_thread = not isinstance(error, httpx.HTTPError) and isinstance(error.__cause__, httpx.HTTPError)
        cause = error.__cause__ if of_a_thread else error
        if isinstance(cause, HfHubHTTPError):
            said = _refusal(api, what, cause)
        elif isinstance(cause, httpx.TimeoutException):
            limit = get_session().timeout.read
            said = f"{api.endpoint} must answer within {limit:g} s, it does not: check the network and HF_ENDPOINT"
        elif isinstance(cause, httpx.HTTPError):
            said = f"{api.endpoint} must answer, got {_said(cause)}: check the network and HF_ENDPOINT"
        elif isinstance(cause, OSError) and cause.filename is not None:  # a file of ours that went away
            raise
        else:
            said = f"{api.endpoint} must take {what.repository}, got: {_said(cause)}"
        if isinstance(cause, httpx.TransportError) and "/commit/" in str(cause.request.url):
            state = UNKNOWN
        raise RuntimeError(f"{said}; {state}") from error


def _refusal(api: "HfApi", what: Publication, error: "HfHubHTTPError") -> str:
    code, message = error.response.status_code, error.server_message or ""
    said = f" ({_said(message)})" if message else ""
    steps = {
        401: f"the token must be valid at {api.endpoint}, got one that is expired or revoked{said}: `hf auth login` with a new one",
        403: f"the token must be allowed to write {what.repository}, it is not{said}: take one that may, or another OWNER",
        404: f"{what.repository} must be a {what.kind} repository that this token sees, got none such{said}: check --to",
        412: f"{what.repository} must stay as it was while this push goes on, somebody else committed{said}: run it again",
        429: f"{api.endpoint} takes no more requests for now{said}: run it again later",
    }
    default = f"{api.endpoint} must take the push, it answers {code}{said}: run it again later"
    return steps.get(code, default if code >= 500 else f"{api.endpoint} refuses the push, it answers {code}{said}")


def _said(error: object) -> str:
    text = " ".join(one_line(str(error)).split()) or type(error).__name__
    return text if len(text) <= 300 else f"{text[:300]} ..."
