"""Kill -9 at random moments of the flow, run the deployment again, and compare with an undisturbed run.

    python -m benchmarks.kill_resume                 # 30 kills at the smoke preset, about an hour on 2 cores
    python -m benchmarks.kill_resume --kills 4       # a quick look

The worker, the flow's engine, a `dvc` and a stage are killed in turn, each at a moment drawn evenly over the length of an
undisturbed run. Afterwards the deployment is run to its end, and: dvc.lock holds the undisturbed run's hashes, no stage
that was in dvc.lock at the kill ran again, `dvc status` is clean, no process of the project but server and worker is left.
"""

import argparse
import random
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.flow_project import FINAL, FlowProject, copy_for_flows, served

TARGETS = ("worker", "engine", "dvc", "stage")
RUN_TIMEOUT = 900.0  # seconds
ORPHAN_TIMEOUT = 30.0


@dataclass(frozen=True)
class Kill:
    """One kill and what became of it; `problems` is empty where all went well."""

    number: int
    target: str
    at: float
    finished_before: int
    killed_run: str
    resumed_in: float
    problems: tuple[str, ...]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--first", type=int, default=0, help="number of the first kill, to share them among processes")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="kill_resume-") as folder,
        served(copy_for_flows(Path(folder) / "project")) as project,
    ):
        start = time.monotonic()
        state = project.wait_for(project.start_run(), RUN_TIMEOUT)
        length, expected = time.monotonic() - start, project.locked()
        print(f"undisturbed: {state['name']}, {len(expected)} stages, {length:.0f} s", flush=True)
        kills = []
        for number in range(options.first, options.first + options.kills):
            kills.append(kill_and_resume(project, number, options.seed, length, expected))
            print(row(kills[-1]), flush=True)
    good = sum(not kill.problems for kill in kills)
    print(f"{good} of {len(kills)} kills: same hashes, nothing finished was repeated, `dvc status` clean, no orphan")
    return 0 if good == len(kills) else 1


def kill_and_resume(project: FlowProject, number: int, seed: int, length: float, expected: dict) -> Kill:
    """From an empty workspace: run, kill, wait until the killed run has ended, run to the end, compare."""
    target, moments = TARGETS[number % len(TARGETS)], random.Random(f"{seed}-{number}")
    while True:  # a run that is quicker than the undisturbed one may end before its moment: another is drawn
        forget_everything(project.folder)
        at = moments.uniform(0, length)
        first = project.start_run()
        time.sleep(at)
        if kill(project, target, first):
            break
    time.sleep(0.5)
    finished = project.locked()
    logs = {path: text.count("Running stage") for path, text in project.log_texts().items()}
    # A run that lost its engine may be called running until its heartbeat is missed: its user does not wait for that.
    deadline = time.monotonic() + RUN_TIMEOUT
    while project.state(first)["type"] not in FINAL and project.processes("engine") and time.monotonic() < deadline:
        time.sleep(1)
    killed_run = project.state(first)["name"]
    start = time.monotonic()
    second = project.wait_for(project.start_run(), RUN_TIMEOUT)
    resumed_in = time.monotonic() - start
    problems = [] if second["type"] == "COMPLETED" else [f"the second run is {second['name']}: {second['message']}"]
    problems += differences(expected, project.locked())
    again = [
        Path(path).stem
        for path, text in project.log_texts().items()
        if Path(path).stem in finished and text.count("Running stage") > logs.get(path, 0)
    ]
    problems += [f"{stage} was finished and ran again" for stage in again]
    status = project.call("dvc", "status", "--with-deps", "report@cube_lift", check=False)  # the deployment's own
    problems += [] if "up to date" in status else [f"dvc status: {status.strip()[:300]}"]
    problems += orphans(project)
    return Kill(number, target, at, len(finished), killed_run, resumed_in, tuple(problems))


def kill(project: FlowProject, target: str, flow_run: str) -> bool:
    """SIGKILL a process of that kind, once there is one; False where the run has ended."""
    while project.state(flow_run)["type"] not in FINAL:
        for process in project.processes(target)[:1]:
            process.kill()
            return True
        time.sleep(0.05)
    return False


def forget_everything(folder: Path) -> None:
    """Data, DVC's cache and run-cache, lock file, unfinished work; Prefect's own things stay."""
    for name in ("data", ".dvc/cache", ".dvc/tmp", ".work/round0", ".work/flow_logs"):
        shutil.rmtree(folder / name, ignore_errors=True)
    for path in folder.glob("dvc.lock*"):
        path.unlink()


def differences(expected: dict, got: dict) -> list[str]:
    return [f"{stage}: other hashes than undisturbed" for stage in expected if got.get(stage) != expected[stage]]


def orphans(project: FlowProject) -> list[str]:
    """Engines, `dvc`s and stages that are still there, some seconds after the run's end."""
    deadline = time.monotonic() + ORPHAN_TIMEOUT
    while True:
        left = [process for what in ("engine", "dvc", "stage") for process in project.processes(what)]
        left += [process for process in project.processes_named("ocrrl") if process not in left]
        if not left:
            return []
        if time.monotonic() > deadline:
            return [f"process {process.pid} is left: {process.name()}" for process in left]
        time.sleep(0.5)


def row(kill: Kill) -> str:
    return (
        f"{kill.number:3d}  {kill.target:<7} at {kill.at:5.0f} s, {kill.finished_before:2d} stages finished; that run: "
        f"{kill.killed_run:<9}; resumed in {kill.resumed_in:4.0f} s; {'; '.join(kill.problems) or 'ok'}"
    )


if __name__ == "__main__":
    sys.exit(main())
