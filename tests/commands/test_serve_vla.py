"""`ocrrl serve-vla` as a process of its own, and what it refuses to listen with."""

import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from ocrrl.cli import main
from ocrrl.policies.checkpoint import load_vla
from ocrrl.policies.remote.handshake import agree, open_model
from ocrrl.policies.remote.remote_config import remote_config
from tests.pipeline_copy import ROOT
from tests.policies.remote.served import SIZE, robots, write_compact
from tests.policies.synthetic import INSTRUCTION


@pytest.fixture(scope="module")
def compact(tmp_path_factory):
    return write_compact(tmp_path_factory.mktemp("compact") / "vla")


@contextmanager
def ended(child: subprocess.Popen[str]) -> Iterator[None]:
    """Ends `child` with the block, also where an assertion fails: `Popen` alone would wait for it."""
    try:
        yield
    finally:
        child.kill()


@pytest.mark.parametrize(("protocol", "ending"), [("openpi", signal.SIGINT), ("gr00t", signal.SIGTERM)])
def test_the_command_serves_until_it_is_stopped(compact, tmp_path, protocol, ending):
    token = tmp_path / "token"
    token.write_text("hunter2")
    token.chmod(0o600)
    command = [sys.executable, "-m", "ocrrl.cli", "serve-vla", str(compact), "--protocol", protocol, "--port", "0"]
    command += ["--token-file", str(token), "--device", "cpu", *(["--health-port", "0"] if protocol == "gr00t" else [])]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with (
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
        ) as child,
        ended(child),
    ):
        assert child.stdout is not None
        said = "".join(child.stdout.readline() for _ in range(2 if protocol == "gr00t" else 1))
        address = re.search(r"(ws|tcp)://127\.0\.0\.1:\d+", said)
        assert address, said + child.stdout.read()
        url = re.search(r"http://\S+", said)
        health = url[0] if url else f"{address[0].replace('ws', 'http')}/healthz"
        assert urllib.request.urlopen(health, timeout=5).read() == b"OK\n"
        policy = {"type": "remote", "protocol": protocol, "address": address[0], "token": f"file:{token}"}
        vla = open_model(agree(remote_config(policy), "real", {"front": SIZE, "wrist": SIZE}))
        expected = load_vla(compact, "cpu").predict_chunk(*robots(2), INSTRUCTION)
        assert abs(vla.predict_chunk(*robots(2), INSTRUCTION) - expected).max() <= 1e-6
        child.send_signal(ending)
        assert child.wait(20) == 0, "although a client is connected"
        vla.close()
        assert "hunter2" not in said and "with a token" in said and "stopped" in child.stdout.read()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--host", "0.0.0.0"], "--host must be this machine alone (127.0.0.1) without a token, got 0.0.0.0"),
        (["--port", "70000"], "--port must be in [0, 65535], got 70000"),
        (["--max-batch", "0"], "--max-batch must be at least 1"),
        (["--max-wait", "nan"], "--max-wait must be in [0, 1] s"),
        (["--health-port", "1"], "--health-port must be left out for openpi"),
        (["--token-file", "none"], "none must hold the server's token, got: No such file"),
    ],
)
def test_what_cannot_be_served_with_is_refused(compact, options, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["serve-vla", str(compact), "--protocol", "openpi", *options]) == 1
    assert message in capsys.readouterr().err


def test_a_vla_that_a_server_has_is_not_served_again(tmp_path, capsys):
    (tmp_path / "vla.json").write_text("{}")
    assert main(["serve-vla", str(tmp_path), "--protocol", "openpi"]) == 1
    assert "must be a checkpoint, got a VLA that a server answers for already" in capsys.readouterr().err
