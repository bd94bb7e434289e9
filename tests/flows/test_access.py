"""Whom the server of `make serve` answers: those who know its auth string, from its own pages, with a command that is fixed."""

import json
import os
import stat
import urllib.error
import urllib.request

import pytest
from prefect.workers.process import ProcessJobConfiguration, ProcessWorker

from flows.access import PROFILES, auth_string, make_private, private_log, profile_variables, write_profile
from flows.prefect_server import OwnPagesOnly
from flows.server import require_admission
from flows.set_up import FIXED_JOB

OWN = ["http://127.0.0.1:4200", "http://localhost:4200"]
HOSTILE = {
    "command": "touch ran",
    "env": {"PATH": "/tmp", "PYTHONPATH": "/tmp"},
    "env.PYTHONSTARTUP": "/tmp/x.py",
    "working_dir": "/tmp",
    "name": "x",
    "labels": {"a": "b"},
    "stream_output": False,
}


def scope(kind="http", **headers):
    pairs = [(name.encode(), value.encode()) for name, values in headers.items() for value in values.split("|")]
    return {"type": kind, "headers": pairs}


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize(
    "headers",
    [
        {"host": "127.0.0.1:4200"},
        {"host": "LOCALHOST:4200", "origin": "http://localhost:4200"},
        {"host": "127.0.0.1:4200", "origin": "http://localhost:4200"},
        {"host": "127.0.0.1:4300", "origin": "http://127.0.0.1:4300"},  # a tunnel's end with a port of its own
        {"host": "[::1]:4200"},
        {"host": "127.0.0.1"},
    ],
)
def test_its_own_pages_and_commands_of_this_machine_get_through(kind, headers):
    assert OwnPagesOnly(None, OWN).fault(scope(kind, **headers)) == ""


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"host": ""},
        {"host": "evil.example:4200"},
        {"host": "127.0.0.1.evil.example:4200"},
        {"host": "127.0.0.1@evil.example"},
        {"host": "evil.example@127.0.0.1"},
        {"host": "127.0.0.1:4200/@evil.example"},
        {"host": "127.0.0.1:port"},
        {"host": "0.0.0.0:4200"},
        {"host": "127.0.0.1:4200|evil.example"},
        {"host": "127.0.0.1:4200", "origin": "null"},
        {"host": "127.0.0.1:4200", "origin": "http://evil.example"},
        {"host": "127.0.0.1:4200", "origin": "http://127.0.0.1:8888"},
        {"host": "127.0.0.1:4200", "origin": "https://127.0.0.1:4200"},
        {"host": "127.0.0.1:4200", "origin": "http://127.0.0.1:4200.evil.example"},
        {"host": "127.0.0.1:4200", "origin": "http://127.0.0.1:4200|http://evil.example"},
        {"host": "evil.example:4200", "origin": "http://evil.example:4200"},
    ],
)
def test_another_name_of_this_machine_or_another_site_s_page_does_not(kind, headers):
    assert OwnPagesOnly(None, OWN).fault(scope(kind, **headers)).startswith(("Host must be ", "Origin must be "))


@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_what_is_refused_never_reaches_prefect(kind):
    import asyncio

    sent = []

    async def app(*_):
        raise AssertionError("reached")

    async def receive():
        return {"type": f"{kind}.connect"}

    async def send(message):
        sent.append(message)

    asyncio.run(OwnPagesOnly(app, OWN)(scope(kind, host="evil.example"), receive, send))
    assert sent[0].get("status") == 403 or sent[0]["type"] == "websocket.close"


def test_a_job_of_the_pools_takes_no_command_no_environment_and_no_folder():
    from anyio import run

    async def configured(template):
        return await ProcessJobConfiguration.from_template_and_values(template, HOSTILE, client=object())

    assert run(configured, ProcessWorker.get_default_base_job_template()).command == "touch ran", (
        "Prefect's own takes it"
    )
    job = run(configured, FIXED_JOB)
    assert (job.command, job.env, job.working_dir) == (None, {}, None)


def test_the_auth_string_is_made_once_and_both_files_are_their_owner_s(tmp_path, monkeypatch):
    from prefect.settings import PREFECT_HOME, temporary_settings

    for name in ("PREFECT_API_AUTH_STRING", "PREFECT_SERVER_API_AUTH_STRING"):
        monkeypatch.delenv(name, raising=False)
    before = os.umask(0)
    try:
        with temporary_settings({PREFECT_HOME: tmp_path / "home"}):
            assert auth_string(make=False) == ""
            made = auth_string(make=True)
            (tmp_path / "home" / "ocrrl_auth_string").chmod(0o644)  # as a backup may bring it back
            assert auth_string(make=False) == auth_string(make=True) == made and len(made) > 40
        write_profile(tmp_path, made)
        log = private_log(tmp_path / "logs" / "server.log")
    finally:
        os.umask(before)
    for path in (tmp_path / "home" / "ocrrl_auth_string", tmp_path / PROFILES, log):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert profile_variables(tmp_path)["PREFECT_PROFILES_PATH"] == str(tmp_path / PROFILES)
    assert profile_variables(tmp_path / "elsewhere") == {}


def test_files_that_others_could_read_are_closed_to_them(tmp_path):
    path = tmp_path / "prefect.db"
    path.touch(mode=0o644)
    make_private(path, tmp_path / "not-there")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def requested(url, auth="", method="GET", body=None, **headers):
    """Status, headers and JSON of a request, whatever it answers."""
    import base64

    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, method=method)
    for name, value in ({"Content-Type": "application/json"} | headers).items():
        request.add_header(name, value)
    if auth:
        request.add_header("Authorization", f"Basic {base64.b64encode(auth.encode()).decode()}")
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, dict(answer.headers), json.loads(answer.read() or "null")
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), error.read().decode()


@pytest.mark.slow
def test_a_page_of_another_site_a_rebound_name_and_a_stranger_run_nothing(project):
    ran = project.folder / "ran"
    with project.client() as client:
        deployment = client.read_deployment_by_name("self-improve/cube-lift")
    create = f"{project.url}/deployments/{deployment.id}/create_flow_run"
    body = {"job_variables": {"command": f"touch {ran}"}, "state": {"type": "SCHEDULED"}}
    port = project.url.split(":")[2].split("/")[0]
    for auth, headers, status in (
        ("", {}, 401),
        ("ocrrl:wrong", {}, 401),
        (project.auth, {"Origin": "http://evil.example"}, 403),
        ("", {"Origin": "http://evil.example"}, 403),
        (project.auth, {"Origin": "null"}, 403),
        (project.auth, {"Host": f"evil.example:{port}"}, 403),
        (project.auth, {}, 422),  # one of our own: the job takes no such variable
    ):
        got, sent, text = requested(create, auth, "POST", body, **headers)
        assert got == status, (headers, text)
        assert sent.get("Access-Control-Allow-Origin", sent.get("access-control-allow-origin")) is None
    preflight = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
    got, sent, _ = requested(create, "", "OPTIONS", **preflight)
    assert got >= 400 and "*" not in str(sent)
    own = f"http://127.0.0.1:{port}"
    got, sent, _ = requested(f"{project.url}/admin/version", project.auth, Origin=own)
    assert got == 200 and sent.get("access-control-allow-origin") == own
    assert requested(f"{project.url}/flow_runs/count", "", "POST", {})[0] == 401
    count = requested(
        f"{project.url}/flow_runs/count", project.auth, "POST", {"deployments": {"id": {"any_": [str(deployment.id)]}}}
    )
    assert count[2] == 0 and not ran.exists()
    # Where the server would let it pass, the worker's template holds no place for it.
    with project.client() as client:
        for pool in ("laptop", "cpu", "gpu", "robot"):
            assert client.read_work_pool(pool).base_job_template == FIXED_JOB


@pytest.mark.slow
def test_a_second_terminal_needs_no_further_command_and_nothing_is_left_readable(project):
    assert "self-improve/cube-lift" in project.call("prefect", "deployment", "ls")
    database = project.home / "prefect.db"
    logs = [project.folder / ".work/serve" / f"{name}.log" for name in ("server", "worker")]
    for path in (database, project.home / "ocrrl_auth_string", project.folder / PROFILES, *logs):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert "profiles.toml" not in project.call("git", "status", "--porcelain")
    with pytest.raises(SystemExit, match="refuses it: export PREFECT_API_AUTH_STRING"):
        require_admission(project.url, "ocrrl:other")


@pytest.mark.slow
def test_a_socket_without_the_auth_string_or_of_another_site_is_closed(project):
    from websockets.exceptions import ConnectionClosed, InvalidStatus
    from websockets.sync.client import connect

    url = project.url.replace("http://", "ws://") + "/events/in"
    with pytest.raises(InvalidStatus):
        connect(url, subprotocols=["prefect"], origin="http://evil.example")  # type: ignore[arg-type]
    with connect(url, subprotocols=["prefect"]) as socket:  # type: ignore[list-item]
        socket.send(json.dumps({"type": "auth", "token": "wrong"}))
        with pytest.raises(ConnectionClosed):
            socket.recv(timeout=10)
