"""`make worker SLOT=gpu`: a worker for one slot in this clone, for a coordinator on another machine."""

import argparse
import socket
import sys
from contextlib import suppress
from pathlib import Path

from flows.access import auth_string, private_log, profile_variables, write_profile
from flows.serve import LOGS, end_by_signals
from flows.server import answers, api_url, require_admission
from tasks.child_process import run_child
from tasks.graph import SLOTS
from tasks.one_line import in_one_line
from tasks.run_stage import slots_here


def main() -> None:
    parser = argparse.ArgumentParser(prog="make worker", description=__doc__)
    parser.add_argument("--slot", choices=SLOTS, required=True)
    parser.add_argument("--limit", type=int, default=1, help="stages at once")
    parser.add_argument("--name", default="", help="of this worker in the Prefect UI")
    options = parser.parse_args()
    url = api_url()
    if not answers(url):
        raise SystemExit(
            f"worker: a Prefect server must answer at {url} (PREFECT_API_URL); docs/scale_out.md has the tunnel"
        )
    auth = auth_string(make=False)
    require_admission(url, auth)
    slots = slots_here(Path.cwd())
    if not slots[options.slot]:
        print(
            f"This machine has no {options.slot} ({slots['reasons'][options.slot]}): stages that ask for it are refused here."
        )
    name = options.name or f"{options.slot} of {socket.gethostname()} in {Path.cwd().name}"
    command = ["prefect", "worker", "start", "--pool", options.slot, "--type", "process", "--name", name]
    command += ["--limit", str(options.limit)]
    variables = {"OCRRL_WORKSPACE": str(Path.cwd()), "PREFECT_API_URL": url}
    if auth:
        write_profile(Path.cwd(), auth)
        variables |= profile_variables(Path.cwd())
    log = private_log(Path.cwd() / LOGS / f"worker-{options.slot}.log")
    end_by_signals()
    # A Prefect worker may hang when asked to end; the supervisor ends it all the same.
    with suppress(KeyboardInterrupt):
        run_child(command, log, Path.cwd(), variables, lambda line: print(line, flush=True))


if __name__ == "__main__":
    sys.exit(in_one_line("worker", main))
