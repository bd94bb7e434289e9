"""OpenLineage events of a stage's run, to a file or to an HTTP endpoint such as Marquez; off unless `OCRRL_OPENLINEAGE` is set.

A stage is a job, a run of the stage a run, what the stage reads and writes are datasets whose version is DVC's hash. Code and
parameters are facets of the run. Package: openlineage-python (extra `standards`); specification: openlineage.io/docs/spec.
"""

import os
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from ocrrl.extras import how_to_install
from ocrrl.lineage.reading.hashes import Ignored, path_hash
from ocrrl.lineage.reading.pipeline import PipelineStage, load_yaml
from ocrrl.lineage.reading.revision import Revision
from ocrrl.printable import printable

if TYPE_CHECKING:
    from openlineage.client.event_v2 import InputDataset, RunEvent

VARIABLE = "OCRRL_OPENLINEAGE"
"""`http://127.0.0.1:5000`, or a file that events are added to, one JSON object a line."""
KEY, NAMESPACE = "OPENLINEAGE_API_KEY", "OPENLINEAGE_NAMESPACE"
"""Variables of the standard: the endpoint's key, and the namespace of jobs and datasets, `ocrrl` unless set."""
TIMEOUT = 5.0
"""[s] for one event."""
_LONGEST = 300  # characters of a library's message


@dataclass
class RunEvents:
    """The events of one run; the first that cannot be sent is said on stderr, and the run sends no more."""

    stage: PipelineStage
    root: Path
    target: str
    hashes: dict[str, str] = field(default_factory=dict)
    """DVC's hash of every path that the stage reads, as of the run's start."""
    is_lost: bool = False

    def begin(self, started: datetime, revision: str | None, modified: list[str] | None) -> None:
        """Send START. Hashes what the stage reads."""
        self._try(lambda: self._begin(started, revision, modified))

    def end(self, ended: datetime, failure: str, outs: Mapping[str, str], facts: Mapping[str, Any]) -> None:
        """Send COMPLETE, or FAIL where `failure` says why; `outs` are DVC's hashes by path, `facts` (JSON) what the run cost."""
        self._try(lambda: self._end(ended, failure, outs, facts))

    def _begin(self, started: datetime, revision: str | None, modified: list[str] | None) -> None:
        from openlineage.client.uuid import generate_new_uuid

        from ocrrl.lineage.open_lineage_facets import run_facets

        ignored = Ignored.of_project(self.root)
        there = [path for path in self.stage.deps if (self.root / path).exists()]
        self.hashes = {path: path_hash(self.root / path, self.root, ignored) for path in there}
        code = {path: value for path, value in self.hashes.items() if _is_code(path)}
        self._run = str(generate_new_uuid())
        self._revision = revision
        self._facets = run_facets(revision, modified, code, _parameters(self.stage, self.root))
        self._send(self._event("START", started, {}, {}))

    def _end(self, ended: datetime, failure: str, outs: Mapping[str, str], facts: Mapping[str, Any]) -> None:
        from ocrrl.lineage.open_lineage_facets import end_facets

        self._send(self._event("FAIL" if failure else "COMPLETE", ended, outs, end_facets(failure, facts)))

    def _event(self, kind: str, at: datetime, outs: Mapping[str, str], facets: Mapping[str, Any]) -> "RunEvent":
        from openlineage.client.event_v2 import Job, OutputDataset, Run, RunEvent, RunState

        from ocrrl.lineage.open_lineage_facets import PRODUCER, dataset_facets, job_facets

        namespace = os.environ.get(NAMESPACE) or "ocrrl"
        return RunEvent(
            eventTime=at.isoformat(),
            run=Run(self._run, {**self._facets, **facets}),
            job=Job(namespace, self.stage.address, job_facets(self.root, self._revision)),
            eventType=RunState[kind],
            inputs=[self._input(namespace, path) for path in self.stage.deps if not _is_code(path)],
            outputs=[OutputDataset(namespace, path, facets=dataset_facets(outs.get(path))) for path in self.stage.outs],
            producer=PRODUCER,
        )

    def _input(self, namespace: str, path: str) -> "InputDataset":
        from openlineage.client.event_v2 import InputDataset

        from ocrrl.lineage.open_lineage_facets import dataset_facets

        return InputDataset(namespace, path, facets=dataset_facets(self.hashes.get(path)))

    def _send(self, event: "RunEvent") -> None:
        """TimeoutError for an endpoint that has not answered in `TIMEOUT`; it is left to a thread that the process's end ends."""
        from openlineage.client import OpenLineageClient

        errors: list[Exception] = []

        def emit() -> None:
            try:
                OpenLineageClient(transport=_transport(self.target, self.root)).emit(event)
            except Exception as error:
                errors.append(error)

        sending = threading.Thread(target=emit, daemon=True)
        sending.start()
        sending.join(TIMEOUT)
        if sending.is_alive():
            raise TimeoutError(f"no answer within {TIMEOUT:g} s")
        if errors:
            raise errors[0]

    def _try(self, send: Callable[[], None]) -> None:
        if self.is_lost:
            return
        try:
            send()
        except Exception as error:  # whatever it is, the run goes on
            self.is_lost = True
            print(_why_lost(self.target, error), file=sys.stderr)


def run_events(stage: PipelineStage, root: Path) -> RunEvents | None:
    """The events of a run of `stage`; None where `OCRRL_OPENLINEAGE` is not set."""
    target = os.environ.get(VARIABLE, "").strip()
    return RunEvents(stage, root, target) if target else None


def _is_code(path: str) -> bool:
    return path.startswith("ocrrl/") or path.endswith(".py")


def _parameters(stage: PipelineStage, root: Path) -> dict[str, Any]:
    """The parameters that `stage` depends on, by their names in dvc.yaml; those that are not there are left out."""
    found = {}
    for file, name in stage.params:
        value: Any = load_yaml(Revision(root).read(file) or "", file)
        for word in name.split("."):
            value = value.get(word) if isinstance(value, Mapping) else None
        if value is not None:
            found[name] = value
    return found


def _transport(target: str, root: Path) -> Any:
    from openlineage.client.transport.file import FileConfig, FileTransport
    from openlineage.client.transport.http import ApiKeyTokenProvider, HttpConfig, HttpTransport, TokenProvider

    if "://" not in target:
        path = root / target
        path.parent.mkdir(parents=True, exist_ok=True)
        return FileTransport(FileConfig(str(path), append=True))
    if urlsplit(target).scheme not in ("http", "https"):
        raise ValueError(f"{VARIABLE} must be a file, or a URL with http or https")
    key = os.environ.get(KEY)
    auth = ApiKeyTokenProvider({"apiKey": key}) if key else TokenProvider({})
    return HttpTransport(HttpConfig(target, timeout=TIMEOUT, auth=auth, retry={"total": 0}))


def _why_lost(target: str, error: Exception) -> str:
    """One line: what was to be done, what came of it, the next step."""
    if isinstance(error, ModuleNotFoundError):
        return (
            f"{VARIABLE} is set, and openlineage-python is not installed; the run goes on without events: "
            f"{how_to_install('standards')}"
        )
    said = " ".join(f"{type(error).__name__}: {error}".split())[:_LONGEST]
    return (
        f"{VARIABLE}: {printable(_without_password(target))} must take this run's events, got {printable(said)}; the run goes on "
        "without them: start the receiver, or correct or unset the variable"
    )


def _without_password(target: str) -> str:
    parts = urlsplit(target)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])) if "://" in target else target
