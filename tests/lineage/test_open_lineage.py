"""Events of runs, received by a stand-in of Marquez's endpoint, or found in a file; a receiver that fails costs one line."""

import json
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ocrrl.lineage import open_lineage
from ocrrl.lineage.reading.hashes import Ignored, path_hash
from ocrrl.lineage.run_record import read_runs, recorded_run

pytest.importorskip("openlineage.client", reason="extra `standards`")
OPTIONS = {"command": "finetune", "tabletop_task": "cube_lift", "domain": "sim", "round": "round0"}
PIPELINE = """
stages:
  finetune:
    foreach: [{task: cube_lift, domain: sim}]
    do:
      cmd: ocrrl finetune ${item.task} --round round0 --domain ${item.domain}
      params: [finetune.shared, finetune.cube_lift]
      deps: [data/dataset_sim/round0/cube_lift, ocrrl/stages/finetune.py]
      outs: [data/vla_sim/round0/cube_lift]
"""
PARAMETERS = "finetune: {shared: {steps: 900, policy: {type: compact_vla}}, cube_lift: {}}"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A stage `finetune@0` with a dataset, a file of code and parameters."""
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.delenv("OPENLINEAGE_NAMESPACE", raising=False)
    for name, text in {
        "dvc.yaml": PIPELINE,
        "params.yaml": PARAMETERS,
        "data/dataset_sim/round0/cube_lift/meta.json": "{}",
        "ocrrl/stages/finetune.py": "STEPS = 900",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def run(root, fails=False):
    with recorded_run(OPTIONS, "finetune@0", root):
        if fails:
            raise ValueError("gamma must be in (0, 1]")
        out = root / "data/vla_sim/round0/cube_lift"
        out.mkdir(parents=True, exist_ok=True)
        (out / "model.safetensors").write_text("weights")


@contextmanager
def receiver(status=201, waits=None):
    """The base URL of an HTTP server of Marquez's interface on 127.0.0.1, and the requests that came: path, headers, body."""
    requests = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            requests.append((self.path, dict(self.headers), json.loads(body)))
            if waits is not None:
                waits.wait(20)
            self.send_response(status)
            self.end_headers()

        def log_message(self, *words):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", requests
        finally:
            if waits is not None:
                waits.set()
            server.shutdown()


def test_a_run_sends_start_and_complete_with_hashes_code_and_parameters(project, monkeypatch):
    monkeypatch.setenv("OPENLINEAGE_API_KEY", "secret")
    with receiver() as (url, requests):
        monkeypatch.setenv(open_lineage.VARIABLE, url)
        run(project)
    (path, headers, start), (_, _, complete) = requests
    assert path == "/api/v1/lineage" and headers["Authorization"] == "Bearer secret"
    assert [event["eventType"] for event in (start, complete)] == ["START", "COMPLETE"]
    assert start["run"]["runId"] == complete["run"]["runId"]
    assert start["job"]["namespace"] == "ocrrl" and start["job"]["name"].startswith("finetune@")
    ignored = Ignored.of_project(project)
    (read,), (wrote,) = complete["inputs"], complete["outputs"]
    for dataset in (read, wrote):
        version = dataset["facets"]["version"]["datasetVersion"]
        assert version == path_hash(project / dataset["name"], project, ignored)
    assert read["name"] == "data/dataset_sim/round0/cube_lift" and wrote["name"] == "data/vla_sim/round0/cube_lift"
    facets = complete["run"]["facets"]
    parameters = {row["key"]: row["value"] for row in facets["executionParameters"]["parameters"]}
    assert parameters == {"finetune.shared.steps": "900", "finetune.shared.policy.type": "compact_vla"}
    (code,) = facets["ocrrl_code"]["hashes"]
    assert code == {
        "path": "ocrrl/stages/finetune.py",
        "hash": path_hash(project / code["path"], project, ignored),
    }
    (record,) = read_runs((project / "data/runs.jsonl").read_text())[0]
    assert facets["ocrrl_record"]["record"]["outs"] == record.outs
    assert start["outputs"][0]["facets"] == {} and "ocrrl_record" not in start["run"]["facets"]


def test_a_run_that_fails_says_so_with_its_error(project, monkeypatch):
    with receiver() as (url, requests):
        monkeypatch.setenv(open_lineage.VARIABLE, url)
        with pytest.raises(ValueError):
            run(project, fails=True)
    last = requests[-1][2]
    assert last["eventType"] == "FAIL"
    assert last["run"]["facets"]["errorMessage"]["message"] == "failed: ValueError: gamma must be in (0, 1]"


def test_events_can_go_to_a_file_one_a_line(project, monkeypatch):
    monkeypatch.setenv(open_lineage.VARIABLE, "data/lineage/events.jsonl")
    monkeypatch.setenv("OPENLINEAGE_NAMESPACE", "lab")
    run(project)
    run(project)
    events = [json.loads(line) for line in (project / "data/lineage/events.jsonl").read_text().splitlines()]
    assert [event["eventType"] for event in events] == ["START", "COMPLETE"] * 2
    assert len({event["run"]["runId"] for event in events}) == 2
    assert {event["job"]["namespace"] for event in events} == {"lab"}


def test_the_flow_run_is_the_parent_and_a_remote_s_token_is_not_shown(project, monkeypatch):
    commands = (["init", "-q"], ["remote", "add", "origin", "https://me:token@example.org/lab.git"])
    for words in commands:
        subprocess.run(["git", *words], cwd=project, check=True)
    monkeypatch.setenv(open_lineage.VARIABLE, "events.jsonl")
    monkeypatch.setenv("OCRRL_FLOW_RUN", "01890a5d-ac96-774b-bcce-b302099a8057")
    monkeypatch.setenv("OCRRL_DEPLOYMENT", "self-improve/full")
    run(project)
    text = (project / "events.jsonl").read_text()
    event = json.loads(text.splitlines()[0])
    assert event["run"]["facets"]["parent"]["run"]["runId"] == "01890a5d-ac96-774b-bcce-b302099a8057"
    assert event["run"]["facets"]["parent"]["job"]["name"] == "self-improve/full"
    assert event["job"]["facets"]["sourceCodeLocation"]["url"] == "https://example.org/lab.git"
    assert "token" not in text


def lost(project, capsys):
    """The one line that a run says whose events are lost; the run itself is recorded and finished."""
    run(project)
    (record,) = read_runs((project / "data/runs.jsonl").read_text())[0]
    assert record.outcome == "finished"
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "git revision" not in line]
    assert line.startswith("OCRRL_OPENLINEAGE")
    return line


def test_a_dead_endpoint_is_one_line(project, monkeypatch, capsys):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv(open_lineage.VARIABLE, f"http://lab:secret@127.0.0.1:{free.getsockname()[1]}")
        line = lost(project, capsys)
    assert "must take this run's events, got ConnectionError" in line and "secret" not in line
    assert "the run goes on without them: start the receiver, or correct or unset the variable" in line


def test_an_endpoint_that_hangs_is_given_up_once(project, monkeypatch, capsys):
    monkeypatch.setattr(open_lineage, "TIMEOUT", 0.3)
    with receiver(waits=threading.Event()) as (url, requests):
        monkeypatch.setenv(open_lineage.VARIABLE, url)
        line = lost(project, capsys)
    assert "Timeout" in line and len(requests) == 1


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("ftp://127.0.0.1", "must be a file, or a URL with http or https"),
        ("dvc.yaml/events.jsonl", "FileExistsError"),
        ("data", "Is a directory"),
    ],
)
def test_a_target_that_cannot_be_is_one_line(project, monkeypatch, capsys, target, said):
    monkeypatch.setenv(open_lineage.VARIABLE, target)
    assert said in lost(project, capsys)


def test_a_receiver_that_refuses_is_one_line(project, monkeypatch, capsys):
    with receiver(status=401) as (url, _):
        monkeypatch.setenv(open_lineage.VARIABLE, url)
        assert "401" in lost(project, capsys)


def test_without_the_package_the_line_says_how_to_get_it(project, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "openlineage.client.uuid", None)
    monkeypatch.setenv(open_lineage.VARIABLE, "events.jsonl")
    assert "`pip install 'ocrrl[standards]'`" in lost(project, capsys)
    assert not (project / "events.jsonl").exists()


def test_nothing_is_loaded_or_sent_where_the_variable_is_not_set(project):
    code = (
        "import sys; from pathlib import Path; from ocrrl.lineage.run_record import recorded_run\n"
        "with recorded_run({'command': 'x'}, 'x', Path()): pass\n"
        "assert not {'openlineage', 'cyclonedx', 'requests', 'model_signing'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=project, check=True)
