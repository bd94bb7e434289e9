"""Hundreds of malformed recordings, made from a seed: each refused by name or read right, the good ones beside it kept.

    python -m benchmarks.hostile                       # 3 of each kind and one sound twin, some ten minutes on two cores
    python -m benchmarks.hostile --seed 7 --only clock --keep wrong   # what failed stays in the folder `wrong`

A kind says which file and field must be named, or which rows and frames must come out: images carry the numbers of their
episode, frame and camera. Every case is an `ocrrl ingest` of its own, at most 10 s and 2 GB. Exit code 1 if any went wrong.
"""

import argparse
import re
import shutil
import sys
import tempfile
import zlib
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from benchmarks.hostile import kinds_images, kinds_lerobot, kinds_own, kinds_robomimic, kinds_rows
from benchmarks.hostile.case import Draw, Kind
from benchmarks.hostile.judge import MAX_BYTES, MAX_SECONDS, Verdict, judge
from ocrrl import preset_params

KINDS: dict[str, Kind] = {
    kind.name: kind
    for kinds in (kinds_own.KINDS, kinds_robomimic.KINDS, kinds_lerobot.KINDS, kinds_rows.KINDS, kinds_images.KINDS)
    for kind in kinds
}


def run_case(name: str, member: int, sound: bool, seed: int, keep: Path | None) -> Verdict:
    """Make one member of a kind, or its sound twin, in a folder of its own, and judge what ingest makes of it."""
    kind = KINDS[name]
    project = Path(tempfile.mkdtemp(prefix="hostile-"))
    (project / "recordings").mkdir()
    draw = Draw(project / "recordings", np.random.default_rng([seed, member, sound, zlib.crc32(name.encode())]))
    make = kind.sound if sound and kind.sound else kind.make
    try:
        verdict = judge(project, _parameters(), make(draw))
        if verdict.faults and keep:
            kept = keep / re.sub(r"\W+", "_", f"{name} {'sound' if sound else 'bad'} {member}")
            shutil.rmtree(kept, ignore_errors=True)
            shutil.copytree(project, kept, symlinks=True, ignore=_pipes)
        return verdict
    finally:
        shutil.rmtree(project)


def _pipes(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if Path(folder, name).is_fifo()]


def _parameters() -> dict[str, Any]:
    return preset_params.resolve("smoke", ["cube_lift"], {"cube_lift": {"episodes": "recordings"}})


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--members", type=int, default=3, help="of each kind; one sound twin each")
    parser.add_argument("--only", default="", help="kinds whose name matches this")
    parser.add_argument("--keep", type=Path, help="folder for what failed")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--lines", action="store_true", help="print each refusal as a person reads it")
    options = parser.parse_args()
    names = [name for name in KINDS if re.search(options.only, name)]
    jobs = [(name, member, False) for name in names for member in range(options.members)]
    jobs += [(name, 0, True) for name in names if KINDS[name].sound]
    verdicts: dict[tuple[str, int, bool], Verdict] = {}
    with ProcessPoolExecutor(options.workers) as pool:
        waiting = {job: pool.submit(run_case, *job, options.seed, options.keep) for job in jobs}
        for job, future in tqdm(waiting.items(), unit="case", disable=not sys.stderr.isatty()):
            verdicts[job] = future.result()
    return _print(verdicts, options.seed, options.lines)


def _print(verdicts: dict[tuple[str, int, bool], Verdict], seed: int, lines: bool) -> int:
    by_kind: dict[str, list[tuple[bool, Verdict]]] = defaultdict(list)
    for (name, _, sound), verdict in verdicts.items():
        by_kind[name].append((sound, verdict))
    print("| kind | malformed: refused by name or read right | sound twin read | slowest [s] | most memory [GB] |")
    print("|---|---|---|---|---|")
    for name, entries in by_kind.items():
        counts = [[not verdict.faults for is_sound, verdict in entries if is_sound == sound] for sound in (False, True)]
        bad, good = (f"{sum(count)} of {len(count)}" if count else "-" for count in counts)
        slowest, most = max(v.seconds for _, v in entries), max(v.bytes for _, v in entries)
        print(f"| {name} | {bad} | {good} | {slowest:.1f} | {most / 1e9:.2f} |")
    for (name, member, sound), verdict in verdicts.items():
        for fault in verdict.faults:
            print(f"WRONG {name}{' (sound twin)' if sound else ''} {member}: {fault}")
        for line in verdict.lines if lines else ():
            print(f"{name} {member}: {line}")
    malformed = [verdict for (_, _, sound), verdict in verdicts.items() if not sound]
    twins = [verdict for (_, _, sound), verdict in verdicts.items() if sound]
    right = [sum(not verdict.faults for verdict in part) for part in (malformed, twins)]
    print(
        f"seed {seed}: {right[0]} of {len(malformed)} malformed cases of {len(by_kind)} kinds refused by name or read right, "
        f"{right[1]} of {len(twins)} sound twins read; at most {MAX_SECONDS:g} s and {MAX_BYTES / 1e9:g} GB allowed"
    )
    return int(any(verdict.faults for verdict in verdicts.values()))


if __name__ == "__main__":
    sys.exit(main())
