"""The self-improve flow beside plain `dvc repro`, on the same stages from the same empty start, one after the other.

    python -m benchmarks.flow_overhead                    # the default preset: two whole loops, about 20 minutes
    python -m benchmarks.flow_overhead --preset smoke

Prints wall seconds of both, how much more the flow took, and what a flow with nothing to do takes. The clock runs from
the command that a user types until its result is there; the server is up before. Output hashes must be equal.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import yaml

from tests.flow_project import FlowProject, copy_for_flows, served
from tests.pipeline_copy import run

TIMEOUT = 3600.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="default")
    preset = parser.parse_args().preset
    with tempfile.TemporaryDirectory(prefix="flow_overhead-") as temporary:
        with served(copy_for_flows(Path(temporary) / "flow", preset=preset)) as project:
            flow = timed_flow(project)
            print(f"flow: {flow:.0f} s", flush=True)
            nothing = timed_flow(project)
            print(f"flow with nothing to do: {nothing:.0f} s", flush=True)
            by_flow = project.locked()
        plain = copy_for_flows(Path(temporary) / "plain", preset=preset)
        start = time.monotonic()
        run(plain, "dvc", "repro", "report")
        repro = time.monotonic() - start
        lock = yaml.safe_load((plain / "dvc.lock").read_text())["stages"]
    same = by_flow == {name: {out["path"]: out["md5"] for out in entry["outs"]} for name, entry in lock.items()}
    print(f"dvc repro: {repro:.0f} s; the flow took {flow - repro:+.0f} s; same hashes: {'yes' if same else 'NO'}")
    return 0 if same else 1


def timed_flow(project: FlowProject) -> float:
    start = time.monotonic()
    state = project.wait_for(project.start_run(), TIMEOUT)
    assert state["type"] == "COMPLETED", state
    return time.monotonic() - start


if __name__ == "__main__":
    sys.exit(main())
