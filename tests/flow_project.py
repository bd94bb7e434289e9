"""A copy of the project with a Prefect server, worker and deployments of its own, as `make serve` starts them."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import yaml

from tests.pipeline_copy import ROOT, run

DEPLOYMENT = "self-improve/cube-lift"
FINAL = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
READY = 240  # seconds that a server may take on a busy machine


@dataclass(frozen=True)
class FlowProject:
    """The project in `folder`; its Prefect server answers at `url`, its database lies in `home`."""

    folder: Path
    home: Path
    url: str

    @property
    def environment(self) -> dict[str, str]:
        programs = str(Path(sys.executable).parent)
        ours = {
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(self.folder),
            "PREFECT_HOME": str(self.home),
            "PREFECT_API_URL": self.url,
            "OMP_NUM_THREADS": "1",
            "HF_HUB_OFFLINE": "1",
        }
        return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"} | ours

    @property
    def auth(self) -> str:
        """The auth string of its server."""
        return (self.home / "ocrrl_auth_string").read_text().strip()

    @contextmanager
    def client(self):
        """A client of its server."""
        from prefect.client.orchestration import get_client
        from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

        known = {PREFECT_API_URL: self.url, PREFECT_API_AUTH_STRING: self.auth}
        with temporary_settings(known), get_client(sync_client=True) as client:
            yield client

    def call(self, *command: str, check: bool = True) -> str:
        """The output of a command in the project."""
        done = subprocess.run(command, cwd=self.folder, env=self.environment, capture_output=True, text=True)
        if check and done.returncode:
            raise AssertionError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
        return done.stdout + done.stderr

    def start_run(self, deployment: str = DEPLOYMENT, **parameters: object) -> str:
        """Run a deployment, as a user types it; the flow run's id."""
        options = [word for name, value in parameters.items() for word in ("-p", f"{name}={json.dumps(value)}")]
        output = self.call("prefect", "deployment", "run", deployment, *options)
        return re.search(r"UUID: ([0-9a-f-]{36})", output)[1]  # type: ignore[index]

    def state(self, flow_run: str) -> dict:
        """The flow run's state: `type`, `name`, `message`."""
        with self.client() as client:
            state = client.read_flow_run(flow_run).state  # type: ignore[arg-type]
        return {"type": state.type.value, "name": state.name, "message": state.message} if state else {"type": "NONE"}

    def wait_for(self, flow_run: str, timeout: float) -> dict:
        """The final state of a flow run; AssertionError after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while (state := self.state(flow_run))["type"] not in FINAL:
            assert time.monotonic() < deadline, f"flow run {flow_run} is still {state} after {timeout} s"
            time.sleep(1)
        return state

    def locked(self) -> dict[str, dict[str, str]]:
        """Output hashes by stage, from dvc.lock."""
        path = self.folder / "dvc.lock"
        try:
            stages = yaml.safe_load(path.read_text())["stages"] if path.is_file() else {}
        except (yaml.YAMLError, TypeError, KeyError):  # read while DVC writes it, or cut short by a kill
            return {}
        return {name: {out["path"]: out["md5"] for out in entry.get("outs", [])} for name, entry in stages.items()}

    def log_texts(self) -> dict[str, str]:
        """The stages' logs by path, of every flow run so far."""
        return {str(path): path.read_text() for path in (self.folder / ".work/flow_logs").glob("*/*.log")}

    def processes_named(self, word: str) -> list[psutil.Process]:
        """Living processes of this project with `word` on their command line."""
        return [process for process in _processes_of(self.folder) if _has(process, (word,))]

    def processes(self, what: str) -> list[psutil.Process]:
        """Living processes of this project: `worker`, `engine`, `dvc` or `stage`."""
        signs = {
            "worker": ("prefect", "worker", "start"),
            "engine": ("-m", "prefect.engine"),
            "dvc": ("dvc", "--wait-for-lock", "repro"),
            "stage": (),
        }
        if what == "stage":  # what DVC started
            return [child for parent in self.processes("dvc") for child in _children(parent)]
        return [p for p in _processes_of(self.folder) if _has(p, signs[what])]


@contextmanager
def served(folder: Path) -> Iterator[FlowProject]:
    """`make serve` for the project in `folder`; everything it started is gone afterwards."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    project = FlowProject(folder, folder.parent / f"{folder.name}-prefect", f"http://127.0.0.1:{port}/api")
    log = folder.parent / f"{folder.name}-serve.log"
    with log.open("w") as output:
        command = [sys.executable, "-m", "flows.serve"]
        process = subprocess.Popen(command, cwd=folder, env=project.environment, stdout=output, stderr=output)
    try:
        deadline = time.monotonic() + READY
        while "Ready." not in log.read_text():
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.5)
        yield project
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=60)


def clone_of(project: FlowProject, folder: Path) -> FlowProject:
    """A clone of the project's repository, as a worker's machine has it, that knows the same server."""
    run(folder.parent, "git", "clone", "--quiet", str(project.folder), str(folder))
    return FlowProject(folder, project.home, project.url)


@contextmanager
def working(clone: FlowProject, slot: str) -> Iterator[None]:
    """`make worker SLOT=...` in a clone; with everything that it started, it is gone afterwards."""
    command = [sys.executable, "-m", "flows.worker", "--slot", slot, "--name", f"{slot} in {clone.folder.name}"]
    with (clone.folder.parent / f"{clone.folder.name}-{slot}.log").open("w") as log:
        process = subprocess.Popen(command, cwd=clone.folder, env=clone.environment, stdout=log, stderr=log)
    try:
        yield
    finally:
        process.terminate()
        process.wait(timeout=60)


def add_remote(folder: Path, storage: Path) -> None:
    """A shared DVC remote, as the documentation adds it, and committed."""
    run(folder, "dvc", "remote", "add", "--default", "storage", str(storage))
    commit(folder, "remote")


def copy_for_flows(folder: Path, dvc_yaml: str | None = None, preset: str = "smoke") -> Path:
    """The project in `folder` as a git repository, Cube Lift at `preset`, or with another dvc.yaml in place of its own."""
    import shutil

    folder.mkdir(parents=True)
    for name in ("ocrrl", "tasks", "flows"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("dvc.yaml", ".dvcignore", ".gitignore", "prefect.yaml", "prefect.toml"):
        shutil.copy(ROOT / name, folder / name)
    if dvc_yaml is not None:
        (folder / "dvc.yaml").write_text(dvc_yaml)
    for command in (
        ("git", "init", "--quiet"),
        ("dvc", "init", "--quiet"),
        ("dvc", "config", "core.analytics", "false"),
    ):
        run(folder, *command)
    run(folder, "ocrrl", "params", "--preset", preset, "--tasks", "cube_lift")
    commit(folder, "start")
    return folder


def commit(folder: Path, message: str) -> str:
    """Commit everything that git does not ignore; the revision."""
    run(folder, "git", "add", "--all")
    identity = ("-c", "user.name=tester", "-c", "user.email=tester@localhost")
    run(folder, "git", *identity, "commit", "--quiet", "--allow-empty", "--message", message)
    return run(folder, "git", "rev-parse", "HEAD").stdout.strip()


def _processes_of(folder: Path) -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and process.environ().get("PYTHONPATH", "").startswith(
                str(folder)
            ):
                yield process
        except psutil.Error:
            continue


def _has(process: psutil.Process, words: tuple[str, ...]) -> bool:
    try:
        line = process.cmdline()
    except psutil.Error:
        return False
    if any("supervisor" in word for word in line):
        return False
    return all(any(part == word or part.endswith(f"/{word}") for part in line) for word in words)


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.Error:
        return []
