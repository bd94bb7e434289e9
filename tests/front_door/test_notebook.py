"""docs/notebook.md runs: its first block of code as it stands, but for the values of the names in capitals."""

import re
import shutil

import gymnasium
import numpy as np
import pytest

from ocrrl.interface.seeds import initial_state_seeds
from ocrrl.layout import Layout
from ocrrl.residual.residual_policy import ResidualPolicy
from ocrrl.rollouts.record import RecordConfig, record_episodes
from ocrrl.worlds import make_teleoperator, make_twin
from tests.pipeline_copy import ROOT
from tests.untrained_models import write_untrained_models

pytestmark = pytest.mark.renders
MOST_LINES = 30
TINY = {
    "NUM_ENVS": 2,
    "EPISODES": 2,
    "SETTINGS": {
        **{"total_timesteps": 24, "learning_starts": 8, "critic_warmup": 2, "batch_size": 8},
        **{"validation_every": 16, "validation_episodes": 2},
    },
}
PAGE = (ROOT / "docs" / "notebook.md").read_text()


def blocks() -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)


def with_values(code: str, values: dict) -> str:
    """`code` with other values for its names in capitals."""
    for name, value in values.items():
        code, count = re.subn(rf"^{name} = .*$", f"{name} = {value!r}", code, flags=re.MULTILINE)
        assert count == 1, name
    return code


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with what `make demo` leaves: demonstrations, two VLAs, and DVC's files, which name the simulator's VLA."""
    monkeypatch.chdir(tmp_path)
    layout = Layout("cube_lift")
    cell = make_twin("cube_lift", 2)
    seeds = initial_state_seeds("record", 6)
    record_episodes(cell, make_teleoperator("cube_lift", cell), layout.recorded_episodes, seeds, RecordConfig(2, 6))
    write_untrained_models(layout)
    shutil.copytree(layout.vla("real"), layout.vla("sim"))
    stage = "stages:\n  finetune:\n    cmd: ocrrl finetune cube_lift --domain sim\n    outs:\n"
    (tmp_path / "dvc.yaml").write_text(f"{stage}    - {layout.vla('sim')}\n")
    out = f"    - path: {layout.vla('sim')}\n      md5: {'0' * 32}.dir\n"
    (tmp_path / "dvc.lock").write_text(f"schema: '2.0'\n{stage}{out}")
    return tmp_path


def test_the_page_trains_and_evaluates_in_at_most_thirty_lines(project, capsys):
    code = blocks()[0]
    assert len(code.splitlines()) <= MOST_LINES
    for name in ("make_env", "load_policy", "load_residual", "train_residual", "evaluate", "lineage"):
        assert f"ocrrl.{name}(" in code
    names: dict = {}
    exec(compile(with_values(code, TINY), "docs/notebook.md", "exec"), names)

    assert isinstance(names["residual"], ResidualPolicy)
    assert sorted(path.name for path in (project / "my_residual").iterdir()) == [
        *("actor.safetensors", "config.json", "curve.json")
    ]
    assert names["numbers"]["base"]["episodes"] == names["numbers"]["residual"]["episodes"] == TINY["EPISODES"]
    printed = capsys.readouterr().out
    assert printed.count("base + residual") >= 4 and "95% interval" in printed and "McNemar p" in printed
    assert "cube_lift, sim, 2 held-out" in printed and "cube_lift, twin (simulated), 2 held-out" in printed
    assert "data/vla_sim/round0/cube_lift" in printed


def test_the_gymnasium_code_of_the_page_runs():
    names: dict = {}
    exec(compile(blocks()[1], "docs/notebook.md", "exec"), names)
    assert names["info"]["seed"] == 2_000_000 and names["envs"].num_envs == 16
    assert names["env"].observation_space.contains(names["observation"])
    assert np.shape(names["env"].render()) == (256, 256, 3)


def test_the_page_names_every_gymnasium_id():
    ids = set(re.findall(r"`(ocrrl/\w+-v0)`", PAGE))
    assert ids == {name for name in gymnasium.registry if name.startswith("ocrrl/")}
