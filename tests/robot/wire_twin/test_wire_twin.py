"""A whole rollout through the real drivers: franky and the RealSense library, over loopback, with poses from images."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from ocrrl.episodes.episode_store import read_episode, write_episode
from ocrrl.interface import rotations
from ocrrl.interface.actions import MAX_ROTATION_STEP, MAX_TRANSLATION_STEP
from ocrrl.recordings.ingest import ingest
from ocrrl.recordings.ingest_config import IngestConfig
from ocrrl.robot.cell.cell_file import read_cell_file
from ocrrl.rollouts.control_loop import run_episodes
from ocrrl.rollouts.rollout_recorder import RolloutRecorder
from ocrrl.tabletop.cube_lift import TASK as CUBE_LIFT
from ocrrl.tabletop.cube_lift import Scene as CubeLift
from ocrrl.tabletop.parts.grasping import turned_down

pytest.importorskip("franky")
pytestmark = pytest.mark.wire
PROJECT = Path(__file__).parents[3]


class Grasp:
    """Above the cuboid that it is shown, down, close, up: needs poses that are right within a centimetre."""

    def __init__(self):
        self.stage, self.since = 0, 0

    def reset(self, ids, seeds):
        self.stage, self.since = 0, 0

    def act(self, observation, ids, capture):
        images = capture(ids)
        assert {name: frame.shape for name, frame in images.items()} == {
            "front": (1, 64, 64, 3),
            "wrist": (1, 64, 64, 3),
        }
        cuboid, gripper = observation.object_poses[0, 0], observation.gripper_pose[0]
        axis = rotations.rotate(cuboid[3:], np.array([1.0, 0.0, 0.0]))
        height, opening, patience = ((0.10, 1.0, 60), (0.018, 1.0, 40), (0.018, 0.0, 16), (0.10, 0.0, 200))[self.stage]
        goal = np.array([*cuboid[:2], height]) if self.stage < 2 else np.array([*gripper[:2], height])
        down = turned_down(float(np.arctan2(axis[1], axis[0])))
        turn = rotations.to_rotation_vector(rotations.multiply(down, rotations.conjugate(gripper[3:])))
        turn *= min(1.0, MAX_ROTATION_STEP / max(np.linalg.norm(turn), 1e-9)) * (self.stage < 2)
        move = np.clip(0.5 * (goal - gripper[:3]), -0.8 * MAX_TRANSLATION_STEP, 0.8 * MAX_TRANSLATION_STEP)
        self.since += 1
        arrived = np.linalg.norm(goal - gripper[:3]) < 0.008 and self.stage != 2
        if arrived or self.since > patience:
            self.stage, self.since = min(self.stage + 1, 3), 0
        return np.array([[*move, *turn, opening]])


@pytest.fixture
def cell(tmp_path, monkeypatch):
    from ocrrl.robot.wire_twin.wire_twin import CELL_FILE, open_wire_twin

    monkeypatch.chdir(PROJECT)
    cell = open_wire_twin(CubeLift(), tmp_path / "logs", time.time, read_cell_file(PROJECT / CELL_FILE))
    yield cell
    cell.close()


def test_a_rollout_over_the_wire_lifts_the_cuboid_and_enters_by_the_door_of_a_demonstration(cell, tmp_path):
    outcomes, episodes = [], []
    for seed in (3, 4):
        recorder = RolloutRecorder(cell, "policy", cell.calibration(), {})
        recorder.seeds = {seed}
        outcomes += run_episodes(cell, Grasp(), None, [seed], recorder)
        episodes.append(recorder.episodes.pop(seed))
    assert any(outcome.success for outcome in outcomes), [(o.steps, o.aborted) for o in outcomes]
    assert abs(np.median(cell.periods) - 0.05) < 0.01 and min(cell.periods) > 0.02
    folder = tmp_path / "successes"
    for number, episode in enumerate(e for e in episodes if e.attributes.success):
        write_episode(folder / f"episode_{number:06d}.h5", episode)
    first = read_episode(folder / "episode_000000.h5")
    assert first.attributes.cell == "wire_twin" and first.attributes.calibration["front"]["serial"] == "wire-twin-front"
    lifted = first.object_poses[-1, 0, 2] - first.object_poses[0, 0, 2]
    assert lifted > 0.02
    places = (tmp_path / name for name in ("dataset", "normalised", "report.json"))
    summary = ingest(folder, CUBE_LIFT, *places, IngestConfig())
    assert len(summary.accepted) == len(list(folder.iterdir()))


def test_killing_the_one_who_drives_ends_the_servers(tmp_path):
    code = (
        "import time; from pathlib import Path; from ocrrl.tabletop.cube_lift import Scene as CubeLift\n"
        "from ocrrl.robot.cell.cell_file import read_cell_file\n"
        "from ocrrl.robot.wire_twin.wire_twin import CELL_FILE, open_wire_twin\n"
        f"cell = open_wire_twin(CubeLift(), Path({str(tmp_path)!r}), time.time, read_cell_file(CELL_FILE))\n"
        "print('open', flush=True); time.sleep(600)"
    )
    driver = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=PROJECT)
    assert driver.stdout is not None and driver.stdout.readline() == b"open\n"
    servers = children(driver.pid)
    assert len(servers) == 2
    driver.kill()
    driver.wait()
    end = time.monotonic() + 20.0
    while any(Path(f"/proc/{pid}/cmdline").exists() and Path(f"/proc/{pid}/cmdline").read_bytes() for pid in servers):
        assert time.monotonic() < end, "the servers went on without the one who started them"
        time.sleep(0.1)


def children(parent):
    pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()]
    return [pid for pid in pids if _parent_of(pid) == parent]


def _parent_of(pid):
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None
