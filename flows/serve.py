"""`make serve`: runs a Prefect server, the deployments and a worker in one terminal, until Ctrl-C.

Everything listens on 127.0.0.1 only, and answers those who know the auth string: `flows/access.py`. A server that answers already
at PREFECT_API_URL is used in place of a new one.
"""

import argparse
import os
import signal
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path

from flows.access import PROFILES, SHADOWING, auth_string, known_as, private_log, profile_variables, write_profile
from flows.server import answers, api_url, require_admission, require_home, server_command, why_not_up
from flows.set_up import deploy, prepare_server
from tasks.child_process import Child, started
from tasks.one_line import in_one_line

LOGS = Path(".work") / "serve"
START_TIMEOUT = 180.0  # seconds; the first start makes the database
RESTART_PAUSE = 3.0  # seconds


def main() -> int:
    parser = argparse.ArgumentParser(prog="make serve", description=__doc__)
    parser.add_argument("--pool", default="laptop", help="the work pool that this machine serves")
    parser.add_argument("--limit", type=int, default=4, help="flow runs at once")
    options = parser.parse_args()
    end_by_signals()
    with suppress(KeyboardInterrupt), ExitStack() as running:
        return serve(options.pool, options.limit, running)
    return 0


def serve(pool: str, limit: int, running: ExitStack) -> int:
    """Start what is missing, say what to type, and keep server and worker up."""
    workspace, url = Path.cwd(), api_url()
    there = answers(url)
    auth = auth_string(make=not there)
    services: dict[str, list[str]] = {}
    if there:
        require_admission(url, auth)
        print(f"A Prefect server answers at {url}; using it.", flush=True)
    else:
        require_home()
        services["server"] = server_command(url)
        print(f"Starting a Prefect server at {url} (the first time takes up to a minute) ...", flush=True)
    if auth:
        write_profile(workspace, auth)
    began, log = time.monotonic(), workspace / LOGS / "server.log"
    written = log.stat().st_size if log.is_file() else 0
    children = {name: start(name, command, workspace, running) for name, command in services.items()}
    if not wait_until_up(url, children):
        code = children["server"].process.poll() if "server" in children else None
        print(f"serve: {why_not_up(url, code, time.monotonic() - began, log, written)}", file=sys.stderr)
        return 1
    with known_as(auth):
        prepare_server(pool)
    print("Writing the deployments ...", flush=True)
    deploy(workspace)
    services["worker"] = ["prefect", "worker", "start", "--pool", pool, "--type", "process", "--limit", str(limit)]
    children["worker"] = start("worker", services["worker"], workspace, running)
    print(_what_next(url), flush=True)
    while True:
        time.sleep(RESTART_PAUSE)
        for name, child in children.items():
            if child.process.poll() is not None:
                print(f"The {name} ended with {child.process.returncode}; starting it again (log: {LOGS / name}.log)")
                children[name] = start(name, services[name], workspace, running)


def start(name: str, command: list[str], workspace: Path, running: ExitStack) -> Child:
    variables = {"PREFECT_SERVER_ANALYTICS_ENABLED": "false", "PREFECT_API_URL": api_url()}
    log = private_log(workspace / LOGS / f"{name}.log")
    return running.enter_context(started(command, log, workspace, variables | profile_variables(workspace)))


def wait_until_up(url: str, children: dict[str, Child]) -> bool:
    deadline = time.monotonic() + START_TIMEOUT
    while not answers(url):
        if time.monotonic() > deadline or any(child.process.poll() is not None for child in children.values()):
            return False
        time.sleep(0.3)
    return True


def end_by_signals() -> None:
    """Make Ctrl-C, SIGTERM and a closed terminal end this process by KeyboardInterrupt, so that its children end too.

    A shell has its background jobs ignore SIGINT, hence this one is set as well.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)


def _what_next(url: str) -> str:
    ui = url.removesuffix("/api")
    return f"""
Ready. The UI is at {ui} and asks once for the auth string, which stands in {PROFILES}.
Ctrl-C here stops everything. In another terminal, in this folder:

    source .venv/bin/activate{_export(url)}
    prefect deployment run self-improve/cube-lift --watch     # the whole loop for Cube Lift
    prefect deployment run self-improve/full                  # for every tabletop task
    prefect deployment ls                                     # the single parts
"""


def _export(url: str) -> str:
    hidden = [name for name in SHADOWING if name in os.environ]
    unset = f"\n    unset {' '.join(hidden)}" if hidden else ""
    return unset + ("" if url == "http://127.0.0.1:4200/api" else f"\n    export PREFECT_API_URL={url}")


if __name__ == "__main__":
    sys.exit(in_one_line("serve", main))
