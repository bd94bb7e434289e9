"""What `ocrrl ingest` made of a case, held against what it had to."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from benchmarks.hostile.case import Case
from benchmarks.hostile.motion import CAMERAS, SIDE, Motion, read_numbers
from ocrrl.commands.params import write
from ocrrl.datasets.frames.decoded_frames import DecodedDataset, decode_dataset
from ocrrl.interface import rotations
from ocrrl.interface.actions import CONTROL_HZ
from ocrrl.layout import Layout

MAX_SECONDS, MAX_BYTES = 10.0, 2_000_000_000
GENERIC = re.compile(r"unforeseen|Traceback|a readable LeRobotDataset|^\w*Error\b")
POSITION, ANGLE, WIDTH, OPENING = 5e-4, 0.02, 2e-3, 0.03  # [m], [rad], [m], share: resampling, not another row
LAYOUT = Layout("cube_lift")


@dataclass
class Run:
    """One `ocrrl ingest` in a folder of its own."""

    code: int
    printed: str
    seconds: float
    bytes: int
    """The most memory that one of its processes held."""
    report: dict[str, Any]


@dataclass
class Verdict:
    """What was wrong, and what it cost."""

    faults: list[str]
    seconds: float
    bytes: int
    printed: str = ""
    lines: list[str] = field(default_factory=list)
    """The refusals, as a person reads them."""


def ingest(project: Path, base: dict[str, Any], case: Case, mapping: dict[str, Any]) -> Run:
    """Run the command on `project`/recordings with params.yaml `base`, its ingest section that of `case`."""
    section = {"source_format": case.source_format, "mapping": mapping} | case.params
    write(base | {"ingest": base["ingest"] | {"cube_lift": section}}, "smoke", project / "params.yaml")
    command = [sys.executable, "-m", "ocrrl.cli", "ingest", "cube_lift"]
    begun = time.monotonic()
    with (project / "printed.txt").open("wb") as printed:
        child = subprocess.Popen(command, cwd=project, stdout=printed, stderr=subprocess.STDOUT, start_new_session=True)
        _, status, usage = os.wait4(child.pid, 0)
    seconds = time.monotonic() - begun
    child.returncode = os.waitstatus_to_exitcode(status)
    report = project / LAYOUT.ingest_report
    content = json.loads(report.read_text()) if report.is_file() else {"accepted": [], "rejected": []}
    text = (project / "printed.txt").read_text(errors="replace")
    return Run(child.returncode, text, seconds, usage.ru_maxrss * 1024, content)


def judge(project: Path, base: dict[str, Any], case: Case) -> Verdict:
    """Ingest the recordings of `case`, with its remedy too where there is one."""
    run = ingest(project, base, case, case.mapping)
    faults = _costs(run) + _refusals(run, case) + _readings(project, run, case)
    if case.remedy and not faults:
        faults += _with_remedy(project, base, case, run)
    lines = [f"{entry['source']}: {entry['reason']}" for entry in run.report["rejected"]]
    return Verdict(faults, run.seconds, run.bytes, run.printed, lines)


def _costs(run: Run) -> list[str]:
    faults = []
    if "Traceback" in run.printed:
        faults.append("a traceback was printed")
    if run.seconds > MAX_SECONDS:
        faults.append(f"took {run.seconds:.1f} s")
    if run.bytes > MAX_BYTES:
        faults.append(f"took {run.bytes / 1e9:.1f} GB")
    return faults


def _refusals(run: Run, case: Case) -> list[str]:
    refused = {entry["source"]: entry["reason"] for entry in run.report["rejected"]}
    accepted = {entry["origin"] for entry in run.report["accepted"]}
    faults, answered = [], set()
    wanted = dict(case.refused) | {
        origin: named for origin, (named, _) in case.either.items() if origin not in accepted
    }
    for origin, named in wanted.items():
        said = {other: reason for other, reason in refused.items() if _covers(other, origin)}
        answered |= set(said)
        if origin in accepted:
            faults.append(f"{origin} was taken")
        elif not said:
            faults.append(f"{origin} was not named")
        for other, reason in said.items():
            if GENERIC.search(reason):
                faults.append(f"{other} got a general message: {reason}")
            if not re.search(named, reason):
                faults.append(f"{other} must name {named}, got: {reason}")
            if (file := case.files.get(origin)) and not re.search(file, f"{other} {reason}"):
                faults.append(f"{other} must name the file {file}, got: {reason}")
    faults += [f"{other} was refused: {refused[other]}" for other in sorted(set(refused) - answered)]
    known = {*case.read, *case.either, *case.refused}
    faults += [f"{origin} was taken, which is none" for origin in sorted(accepted - known)]
    for origin in case.left_out:
        if origin not in run.printed:
            faults.append(f"{origin} was left out without a word")
    expected = int(bool(refused))
    if run.code != expected:
        faults.append(f"exit code {run.code}, not {expected}: {run.printed[-300:]}")
    return faults


def _covers(said: str, origin: str) -> bool:
    """Whether a line about `said` is one about `origin`: the same, its whole dataset, or (of a dataset) its episodes."""
    return said == origin or origin.startswith(f"{said}:") or said.startswith(f"{origin}:")


def _readings(project: Path, run: Run, case: Case) -> list[str]:
    accepted = [entry["origin"] for entry in run.report["accepted"]]
    wanted = dict(case.read) | {origin: motion for origin, (_, motion) in case.either.items() if origin in accepted}
    faults = [f"{origin} was not taken" for origin in wanted if origin not in accepted]
    if accepted:
        data = decode_dataset(project / LAYOUT.dataset("real"))
        for number, origin in enumerate(accepted):
            if origin in wanted:
                faults += [f"{origin}: {fault}" for fault in differences(data, number, wanted[origin], case.cameras)]
    return faults


def _with_remedy(project: Path, base: dict[str, Any], case: Case, run: Run) -> list[str]:
    reasons = [entry["reason"] for entry in run.report["rejected"]]
    form = re.compile(rf"\b{case.remedy}: (\[[^\]]*\]|[\w.+-]+)")
    lines = [match[0] for match in map(form.search, reasons) if match]
    if not lines:
        return [f"no line for {case.remedy} was given: {reasons[:1]}"]
    mapping = case.mapping | yaml.safe_load(lines[0])
    again = ingest(project, base, case, mapping)
    cured = Case(case.source_format, read=case.read | case.remedied)
    return [f"with {lines[0]}: {fault}" for fault in _refusals(again, cured) + _readings(project, again, cured)]


def differences(data: DecodedDataset, number: int, motion: Motion, cameras: Sequence[str] = CAMERAS) -> list[str]:
    """How episode `number` of `data` differs from `motion` at the control rate."""
    rows = data.rows_of(number)
    at = np.arange(int(np.floor(motion.t[-1] * CONTROL_HZ + 1e-6)) + 1) / CONTROL_HZ
    if rows.stop - rows.start != len(at):
        return [f"{rows.stop - rows.start} rows, not {len(at)}"]
    faults, nearest = [], np.clip(np.floor(at * motion.hz + 0.5).astype(int), 0, len(motion) - 1)
    position = np.stack([np.interp(at, motion.t, axis) for axis in motion.pose[:, :3].T], -1)
    state, action = data.state[rows], data.action[rows]
    checks = {
        "position": (np.abs(state[:, :3] - position).max(), POSITION),
        "rotation": (rotations.angle_between(state[:, 3:7].astype(float), motion.pose[nearest, 3:]).max(), ANGLE * 3),
        "gripper width": (np.abs(state[:, 7] - np.interp(at, motion.t, motion.width)).max(), WIDTH),
        "gripper command": (np.abs(action[:, 6] - motion.opening[nearest]).max(), OPENING),
    }
    faults += [f"{name} is off by {value:.4f}" for name, (value, most) in checks.items() if not value <= most]
    for camera in cameras:
        if camera not in data.images or data.images[camera].shape[1:3] != (SIDE, SIDE):
            faults.append(f"{camera} is not there at {SIDE} x {SIDE}")
            continue
        for row, (frame, wanted) in enumerate(zip(data.images[camera][rows], nearest, strict=True)):
            said = read_numbers(frame)
            if said != (motion.number, int(wanted) % 256, 1 + CAMERAS.index(camera)):
                faults.append(f"{camera} of row {row} shows episode, frame and camera {said}")
                break
    return faults
