"""The stages `rollout` and `rollout_base` with what else they may collect, on a toy cell."""

import json
from pathlib import Path

import pytest

from ocrrl import files
from ocrrl.layout import Layout
from ocrrl.params import Params
from ocrrl.rollouts.rollout import RolloutConfig
from ocrrl.safe_yaml import read_yaml
from ocrrl.stages import rollout, rollout_base
from ocrrl.stages.policy_in_cell import Opened
from ocrrl.tabletop.cube_lift import TASK as CUBE_LIFT
from tests.episodes.toy_episodes import contents
from tests.rollouts.test_labels import Slow
from tests.rollouts.toy_environment import ToyEnvironment, ToyResidual, seek

ROOT = Path(__file__).parents[2]
LAYOUT = Layout("cube_lift")


class Cell(ToyEnvironment):
    def calibration(self):
        return {}


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs the stage in a folder of its own with these parameters over the usual ones."""
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    weak = ToyResidual(lambda state: 0.05 * seek(state))
    monkeypatch.setattr(rollout, "opened", lambda acting: Opened(Cell(4, "twin"), Slow(), weak))
    sections = read_yaml(ROOT / "params.yaml")

    def run(folder="here", **changes):
        (tmp_path / folder).mkdir(exist_ok=True)
        monkeypatch.chdir(tmp_path / folder)
        for vla in (LAYOUT.vla("real"), LAYOUT.residual(0)):
            files.write_json(vla / "config.json", {"type": "compact_vla"})
        sections["rollout"]["cube_lift"] = {"successes": 3, "max_attempts": 12, "num_envs": 4} | changes
        rollout.run(CUBE_LIFT, Params(sections), LAYOUT)
        return contents(LAYOUT.rollouts("corrected")), json.loads(LAYOUT.rollout_report("corrected").read_text())

    return run


def test_without_them_nothing_is_new(run):
    episodes, metrics = run()
    assert set(episodes) == {"attempts.json", *(f"episode_{k:06d}.h5" for k in range(3))}
    assert set(metrics) == {"tabletop_task", "round", "residual_seed", "corrected"}
    assert set(metrics["corrected"]) == {"cell", "wanted", "recorded", "attempts"}


def test_labelled_and_failed_episodes_lie_beside_and_are_counted(run):
    episodes, metrics = run(labelled=2, failures=1, handover={"after": 3})
    assert {name for name in episodes if "/" in name} == {
        *("labelled/attempts.json", "labelled/episode_000000.h5", "labelled/episode_000001.h5"),
        "failures/episode_000000.h5",
    }
    assert (metrics["labelled"]["recorded"], metrics["corrected"]["failures"]) == (2, 1)


def test_a_run_that_was_killed_at_the_end_goes_on_to_the_same_bytes(run, monkeypatch):
    whole = run(labelled=2)
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(rollout, "rollout_metrics", _killed)
        run("killed", labelled=2)
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(files, "write_json", _killed_before(files.write_json, "corrected"))
        run("killed", labelled=2)
    assert run("killed", labelled=2) == whole


def _killed(*_):
    raise KeyboardInterrupt


def _killed_before(write, key):
    def written(path, value):
        if key in value:
            raise KeyboardInterrupt
        write(path, value)

    return written


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"labelled": 3}, "rollout_base.labelled must be left out, since the VLA acts alone, got 3"),
        ({"handover": {"after": 3}}, "rollout_base.handover must be left out"),
        ({"initial_states": "failed"}, "rollout_base.initial_states must be same or fresh, .* got failed"),
    ],
)
def test_the_control_refuses_what_needs_a_residual(wrong, message):
    sections = read_yaml(ROOT / "params.yaml")
    sections["rollout_base"]["cube_lift"] = wrong
    with pytest.raises(ValueError, match=message):
        rollout_base.run(CUBE_LIFT, Params(sections), LAYOUT)


def test_the_parameters_of_a_project_without_them_are_as_they_were():
    config = Params(read_yaml(ROOT / "params.yaml")).config("rollout", "cube_lift")
    assert config == RolloutConfig() and "handover" not in repr(config)
