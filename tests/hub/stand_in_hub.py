"""A stand-in of a Hugging Face hub's HTTP interface on 127.0.0.1: repositories in memory, tokens, LFS uploads, commits, downloads.

As the hub does it: a commit names LFS files by their SHA-256, which must have been uploaded, and is taken whole or not at all.
"""

import base64
import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

TOKEN, EXPIRED, READER = "hf_valid", "hf_expired", "hf_reader"
OWNER = "lab"
_LFS = (".safetensors", ".parquet", ".mp4", ".h5", ".npz")
_REPOSITORY = r"/api/(?P<kind>model|dataset)s/(?P<name>[^/]+/[^/]+)"


@dataclass
class Repository:
    """Its commits, oldest first, each with the files by path."""

    private: bool
    commits: list[tuple[str, dict[str, bytes]]] = field(
        default_factory=lambda: [("0" * 40, {".gitattributes": b"lfs"})]
    )
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def files(self) -> dict[str, bytes]:
        return self.commits[-1][1]

    def at(self, revision: str) -> tuple[str, dict[str, bytes]]:
        wanted = self.tags.get(revision, revision)
        return next((commit for commit in self.commits if commit[0] == wanted), self.commits[-1])


class StandInHub:
    """Serves until the block ends; `fail` maps a part of a path to the status that is answered there, or to "hang"."""

    def __init__(self) -> None:
        self.repositories: dict[tuple[str, str], Repository] = {}
        self.stored: dict[str, bytes] = {}
        """Uploaded LFS objects by SHA-256."""
        self.fail: dict[str, int | str] = {}
        self.asked: list[str] = []
        self.released = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.hub = self  # type: ignore[attr-defined]
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "StandInHub":
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None: ...

    @property
    def hub(self) -> StandInHub:
        return self.server.hub  # type: ignore[attr-defined]

    def _dispatch(self) -> None:
        path = unquote(urlsplit(self.path).path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.hub.asked.append(f"{self.command} {path}")
        for part, status in self.hub.fail.items():
            if part in f"{self.command} {path}":
                if status == "hang":
                    self.hub.released.wait(20)
                    self.close_connection = True
                    return
                if status == "drop":
                    self.close_connection = True
                    return
                return self._error(int(status), "as the test wants it")
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        if token not in (TOKEN, READER) and not path.startswith("/lfs/"):
            return self._error(401, "Invalid credentials in Authorization header")
        if token == READER and self.command in ("POST", "PUT", "DELETE") and path != "/api/validate-yaml":
            return self._error(403, "You don't have the rights to create or write this repository")
        for pattern, answer in _ROUTES:
            if found := re.fullmatch(pattern, f"{self.command} {path}"):
                return answer(self, body, **found.groupdict())
        self._error(404, "no such page")

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _dispatch

    def _send(self, status: int, content: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(content))} | headers).items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _json(self, value: Any, status: int = 200, **headers: str) -> None:
        self._send(status, json.dumps(value).encode(), Content_Type="application/json", **headers)

    def _error(self, status: int, message: str, **headers: str) -> None:
        self._json({"error": message}, status, X_Error_Message=message, **headers)

    def _found(self, kind: str, name: str) -> Repository | None:
        repository = self.hub.repositories.get((kind, name))
        if repository is None:
            self._error(404, "Repository not found", X_Error_Code="RepoNotFound")
        return repository

    def whoami(self, body: bytes) -> None:
        self._json({"name": OWNER, "type": "user", "auth": {"type": "access_token"}})

    def create(self, body: bytes) -> None:
        asked = json.loads(body)
        key = (asked.get("type") or "model", f"{asked.get('organization') or OWNER}/{asked['name']}")
        prefix = "datasets/" if key[0] == "dataset" else ""
        url = {"url": f"{self.hub.endpoint}/{prefix}{key[1]}"}
        if key in self.hub.repositories:
            return self._json({"error": "You already created this repo"} | url, 409)
        self.hub.repositories[key] = Repository(asked.get("visibility") == "private" or bool(asked.get("private")))
        self._json(url)

    def validate(self, body: bytes) -> None:
        if "license: not-a-licence" in json.loads(body)["content"]:
            return self._json(
                {"errors": [{"message": '"license" must be one of [apache-2.0, mit]'}], "warnings": []}, 400
            )
        unknown = '"datasets[0]" is not valid. Use a dataset id from this hub.'
        remarks = [{"message": unknown}] if "datasets:\n- data/" in json.loads(body)["content"] else []
        self._json({"errors": [], "warnings": remarks})

    def info(self, body: bytes, kind: str, name: str, revision: str | None = None) -> None:
        if repository := self._found(kind, name):
            commit, files = repository.at(revision or "main")
            siblings = [{"rfilename": file} for file in files]
            self._json({"id": name, "sha": commit, "private": repository.private, "siblings": siblings, "tags": []})

    def refs(self, body: bytes, kind: str, name: str) -> None:
        if repository := self._found(kind, name):
            named = {"branches": {"main": repository.commits[-1][0]}, "tags": repository.tags}
            kinds = {"branches": "heads", "tags": "tags"}
            listed = {
                each: [{"name": n, "ref": f"refs/{kinds[each]}/{n}", "targetCommit": oid} for n, oid in refs.items()]
                for each, refs in named.items()
            }
            self._json(listed | {"converts": []})

    def tree(self, body: bytes, kind: str, name: str, revision: str) -> None:
        if repository := self._found(kind, name):
            files = repository.at(revision)[1]
            self._json([{"type": "file", "path": p, "size": len(c), "oid": _oid(c)} for p, c in files.items()])

    def preupload(self, body: bytes, kind: str, name: str, revision: str) -> None:
        if repository := self._found(kind, name):
            answers = []
            for file in json.loads(body)["files"]:
                there = repository.files.get(file["path"])
                lfs = file["path"].endswith(_LFS)
                oid = None if there is None else hashlib.sha256(there).hexdigest() if lfs else _oid(there)
                answers.append(
                    {"path": file["path"], "uploadMode": "lfs" if lfs else "regular", "shouldIgnore": False, "oid": oid}
                )
            self._json({"files": answers})

    def batch(self, body: bytes, name: str) -> None:
        objects = []
        for each in json.loads(body)["objects"]:
            upload = {"upload": {"href": f"{self.hub.endpoint}/lfs/{each['oid']}"}}
            objects.append(each | ({} if each["oid"] in self.hub.stored else {"actions": upload}))
        self._json({"transfer": "basic", "objects": objects})

    def store(self, body: bytes, oid: str) -> None:
        if hashlib.sha256(body).hexdigest() != oid:
            return self._error(400, "content does not match its hash")
        self.hub.stored[oid] = body
        self._json({})

    def commit(self, body: bytes, kind: str, name: str, revision: str) -> None:
        repository = self._found(kind, name)
        if repository is None:
            return
        files, (head, *lines) = dict(repository.files), [json.loads(line) for line in body.splitlines()]
        if head["value"].get("parentCommit") not in (None, repository.commits[-1][0]):
            return self._error(412, "A commit has happened since. Please refresh and try again.")
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                if value["oid"] not in self.hub.stored:
                    return self._error(400, f"LFS object {value['oid']} was not uploaded")
                files[value["path"]] = self.hub.stored[value["oid"]]
            else:
                del files[value["path"]]
        oid = hashlib.sha1(body + repository.commits[-1][0].encode()).hexdigest()
        repository.commits.append((oid, files))
        self._json({"commitOid": oid, "commitUrl": f"{self.hub.endpoint}/{name}/commit/{oid}", "pullRequestUrl": None})

    def tag(self, body: bytes, kind: str, name: str, revision: str) -> None:
        if repository := self._found(kind, name):
            if self.command == "POST":
                repository.tags[json.loads(body)["tag"]] = revision
                return self._json({})
            if repository.tags.pop(revision, None) is None:
                return self._error(404, "no such tag", X_Error_Code="RevisionNotFound")
            self._json({})

    def resolve(self, body: bytes, prefix: str | None, name: str, revision: str, file: str) -> None:
        if repository := self._found("dataset" if prefix else "model", name):
            commit, files = repository.at(revision)
            if file not in files:
                return self._error(404, "Entry not found", X_Error_Code="EntryNotFound")
            self._send(200, files[file], ETag=f'"{_oid(files[file])}"', X_Repo_Commit=commit)


def _oid(content: bytes) -> str:
    """Git's hash of a blob."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


_ROUTES = (
    (r"GET /api/whoami-v2", _Handler.whoami),
    (r"POST /api/repos/create", _Handler.create),
    (r"POST /api/validate-yaml", _Handler.validate),
    (rf"GET {_REPOSITORY}", _Handler.info),
    (rf"GET {_REPOSITORY}/revision/(?P<revision>.+)", _Handler.info),
    (rf"GET {_REPOSITORY}/refs", _Handler.refs),
    (rf"GET {_REPOSITORY}/tree/(?P<revision>[^/]+)/?", _Handler.tree),
    (rf"POST {_REPOSITORY}/preupload/(?P<revision>.+)", _Handler.preupload),
    (r"POST /(?:datasets/)?(?P<name>[^/]+/[^/]+)\.git/info/lfs/objects/batch", _Handler.batch),
    (r"PUT /lfs/(?P<oid>[0-9a-f]{64})", _Handler.store),
    (rf"POST {_REPOSITORY}/commit/(?P<revision>.+)", _Handler.commit),
    (rf"(?:POST|DELETE) {_REPOSITORY}/tag/(?P<revision>.+)", _Handler.tag),
    (
        r"(?:GET|HEAD) /(?P<prefix>datasets/)?(?P<name>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<file>.+)",
        _Handler.resolve,
    ),
)
