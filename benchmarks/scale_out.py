"""How the time for independent residual stages falls with workers: clones on this machine, over loopback.

    python -m benchmarks.scale_out                       # 8 seeds of cube_lift, one worker and then two
    python -m benchmarks.scale_out --seeds 2 --transitions 2000

One server and one coordinator; every worker has its own clone and takes one stage at a time, one thread each. Everything
that the residuals need is there before the clock starts. The coordinator's dvc.lock must end the same both times.
"""

import argparse
import shutil
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import yaml

from tests.flow_project import FlowProject, add_remote, clone_of, commit, copy_for_flows, run, served, working

TIMEOUT = 3600.0
STATE = (".dvc/cache", ".dvc/tmp", "data", "dvc.lock")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--transitions", type=int, default=6000, help="of each residual's training")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="scale_out-") as temporary:
        folder = Path(temporary)
        prepare(copy_for_flows(folder / "coordinator"), options.seeds, options.transitions)
        add_remote(folder / "coordinator", folder / "storage")
        with served(folder / "coordinator") as project:
            state = project.wait_for(
                project.start_run("self-improve/full", targets=["finetune@cube_lift-sim"]), TIMEOUT
            )
            assert state["type"] == "COMPLETED", state
            project.call("dvc", "push", "--run-cache")
            save(folder)
            seconds, locks = {}, []
            for workers in options.workers:
                restore(folder)
                seconds[workers] = timed_run(project, folder, workers)
                locks.append(project.locked())
                print(f"{workers} workers: {options.seeds} stages in {seconds[workers]:.0f} s", flush=True)
    same = all(lock == locks[0] for lock in locks)
    fewest = seconds[min(seconds)]
    for workers, wall in seconds.items():
        print(f"| {workers} | {wall:.0f} s | {wall / fewest:.2f} |")
    print(f"dvc.lock the same each time: {'yes' if same else 'NO'}")
    return 0 if same else 1


def prepare(folder: Path, seeds: int, transitions: int) -> None:
    """A pipeline with so many residual seeds, each of a small budget; everything else as the smoke preset has it."""
    run(folder, "ocrrl", "params", "--residual-seeds", str(seeds))
    params = yaml.safe_load((folder / "params.yaml").read_text())
    changes = {"total_timesteps": transitions, "gradient_steps": 3, "actor_hidden": 256, "critic_hidden": 256}
    params["train_residual"]["cube_lift"] |= changes | {"batch_size": 256, "validation_every": transitions}
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    commit(folder, "seeds")


def timed_run(project: FlowProject, folder: Path, workers: int) -> float:
    """Wall seconds of the residual stages with so many workers in fresh clones."""
    with ExitStack() as stack:
        for number in range(workers):
            clone = clone_of(project, folder / f"{workers}_workers_{number}")
            stack.enter_context(working(clone, "gpu"))
        time.sleep(10)  # until they poll
        start = time.monotonic()
        flow_run = project.start_run("self-improve/full", targets=["train_residual"], on_workers=True)
        state = project.wait_for(flow_run, TIMEOUT)
        assert state["type"] == "COMPLETED", state
        return time.monotonic() - start


def save(folder: Path) -> None:
    for name in (*(f"coordinator/{part}" for part in STATE), "storage"):
        _copy(folder / name, folder / "saved" / name)


def restore(folder: Path) -> None:
    for name in (*(f"coordinator/{part}" for part in STATE), "storage"):
        shutil.rmtree(folder / name, ignore_errors=True)
        _copy(folder / "saved" / name, folder / name)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True, symlinks=True)
    elif source.is_file():
        shutil.copy2(source, target)


if __name__ == "__main__":
    sys.exit(main())
