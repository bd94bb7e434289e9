"""Successes from the same initial states: by a stock `lerobot-eval`, and by our own evaluation.

    python -m benchmarks.lerobot_eval data/vla_sim/round0/cube_lift --task cube_lift --episodes 50

The checkpoint is a `compact_vla` or another LeRobot policy of ours. Prints both counts and the initial states in which they differ.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from ocrrl.interface.json_file import read_json_object
from ocrrl.interface.seeds import initial_state_seeds
from ocrrl.policies.checkpoint import load_policy
from ocrrl.policies.image_sizes import image_sizes
from ocrrl.report.table import Table, markdown_table
from ocrrl.rollouts.control_loop import run_episodes
from ocrrl.tabletop.registry import tabletop_task
from ocrrl.worlds import make_environment

REGISTERED = (
    "--env.discover_packages_path=ocrrl.front_door.lerobot_env",
    "--discover_packages_path=ocrrl.policies.compact_vla",
)
"""Not needed where the plugins of plugins/ are installed."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("vla", type=Path)
    parser.add_argument("--task", default="cube_lift")
    parser.add_argument("--cell", default="sim")
    parser.add_argument("--episodes", type=int, default=50)
    parser.add_argument("--num-envs", type=int, default=10)
    options = parser.parse_args()
    seeds = initial_state_seeds("test", options.episodes)
    batch = min(options.num_envs, options.episodes)
    theirs = by_lerobot(options.vla, options.task, options.cell, seeds, batch)
    ours = by_ocrrl(options.vla, options.task, options.cell, seeds, batch)
    differing = [seed for seed, one, other in zip(seeds, theirs, ours, strict=True) if one != other]
    rows = [("lerobot-eval", str(sum(theirs))), ("ocrrl", str(sum(ours)))]
    print(markdown_table(Table(("evaluated by", f"successes of {len(seeds)}"), rows)))
    print(f"initial states in which they differ: {differing or 'none'}")
    sys.exit(bool(differing))


def by_lerobot(vla: Path, task: str, cell: str, seeds: list[int], batch: int) -> list[bool]:
    """Success for each of `seeds`, which are consecutive, by the command `lerobot-eval` on the CPU."""
    cameras = ", ".join(f"{name}: {list(size)}" for name, size in _cameras(vla).items())
    with tempfile.TemporaryDirectory(prefix="ocrrl-lerobot-eval-") as out:
        command = [
            str(Path(sys.executable).with_name("lerobot-eval")),
            *REGISTERED,
            f"--policy.path={vla}",
            "--policy.device=cpu",
            "--env.type=ocrrl",
            f"--env.task={task}",
            f"--env.cell={cell}",
            f"--env.cameras={{{cameras}}}",
            f"--eval.n_episodes={len(seeds)}",
            f"--eval.batch_size={batch}",
            f"--seed={seeds[0]}",
            f"--output_dir={out}",
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"lerobot-eval ended with {done.returncode}: {done.stderr.strip().splitlines()[-1]}")
        info = json.loads((Path(out) / "eval_info.json").read_text())
    return info["per_task"][0]["metrics"]["successes"]


def by_ocrrl(vla: Path, task: str, cell: str, seeds: list[int], batch: int) -> list[bool]:
    """Success for each of `seeds`, as the stage `evaluate` runs the base."""
    cameras = _cameras(vla)
    environment = make_environment(cell, task, batch, cameras)
    base = load_policy(vla, tabletop_task(task).instruction, batch, "cpu", cameras=cameras)
    return [outcome.success for outcome in run_episodes(environment, base, None, seeds)]


def _cameras(vla: Path) -> dict[str, tuple[int, int]]:
    return image_sizes(read_json_object(vla / "config.json"))


if __name__ == "__main__":
    main()
