"""What `ocrrl ingest` costs by the number of episodes: a LeRobotDataset with images in parquet, or videos, two cameras of 64 px.

    python -m benchmarks.ingest                  # 50, 100 and 200 episodes of 3 s, on one core
    python -m benchmarks.ingest --kind video

Time and memory of the whole command, start-up included; the dataset is made in a temporary folder.
"""

import argparse
import os
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.hostile.case import Case
from benchmarks.hostile.judge import ingest
from benchmarks.hostile.motion import make_motion
from benchmarks.hostile.writers import LEROBOT_MAPPING, LeRobotEdits, lerobot
from ocrrl import preset_params


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, nargs="+", default=[50, 100, 200])
    parser.add_argument("--kind", choices=("image", "video"), default="image", help="images in parquet, or videos")
    options = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    generator = np.random.default_rng(0)
    base = preset_params.resolve("smoke", ["cube_lift"], {"cube_lift": {"episodes": "recordings"}})
    print(
        f"| episodes ({options.kind}) | time [s] | episodes a minute | most memory of a process [GB] |\n|---|---|---|---|"
    )
    for count in options.episodes:
        motions = [make_motion(generator, 1 + number % 255, seconds=3.0) for number in range(count)]
        with tempfile.TemporaryDirectory() as folder:
            lerobot(Path(folder) / "recordings", motions, LeRobotEdits(options.kind))
            run = ingest(Path(folder), base, Case("lerobot"), LEROBOT_MAPPING)
            if len(run.report["accepted"]) != count:
                raise SystemExit(f"{count} episodes must be accepted, got: {run.printed[-500:]}")
        print(f"| {count} | {run.seconds:.1f} | {60 * count / run.seconds:.0f} | {run.bytes / 1e9:.2f} |", flush=True)


if __name__ == "__main__":
    main()
