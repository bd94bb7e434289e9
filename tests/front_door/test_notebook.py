"""docs/notebook.md runs, as the notebook that it is: every cell as it stands, but for the values of the names in capitals."""

import re
import shutil

import gymnasium
import jupytext
import nbformat
import pytest
from nbclient import NotebookClient

from ocrrl.interface.seeds import initial_state_seeds
from ocrrl.layout import Layout
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
CHECKED = """
import numpy as np
from ocrrl.residual.residual_policy import ResidualPolicy

assert isinstance(residual, ResidualPolicy)
assert numbers["base"]["episodes"] == numbers["residual"]["episodes"] == in_twin["base"]["episodes"] == EPISODES
assert info["seed"] == 2_000_000 and envs.num_envs == 16
assert env.observation_space.contains(observation)
assert np.shape(env.render()) == (256, 256, 3)
print("checked")
"""
PAGE = (ROOT / "docs" / "notebook.md").read_text()


def notebook(values: dict) -> nbformat.NotebookNode:
    """The page as a notebook, with other values for its names in capitals."""
    book = jupytext.reads(PAGE, fmt="md")
    cells = [cell for cell in book.cells if cell.cell_type == "code"]
    for name, value in values.items():
        replaced = [
            re.subn(rf"^{name} = .*$", f"{name} = {value!r}", cell.source, flags=re.MULTILINE) for cell in cells
        ]
        assert sum(count for _, count in replaced) == 1, name
        for cell, (source, _) in zip(cells, replaced, strict=True):
            cell.source = source
    return book


def printed(book: nbformat.NotebookNode) -> str:
    outputs = [output for cell in book.cells if cell.cell_type == "code" for output in cell.outputs]
    return "".join(output.text for output in outputs if output.output_type == "stream" and output.name == "stdout")


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


def test_the_page_is_a_notebook_that_trains_and_evaluates_in_at_most_thirty_lines(project):
    book = notebook(TINY)
    code = "\n".join(cell.source for cell in book.cells if cell.cell_type == "code").partition("import gymnasium")[0]
    assert len(code.splitlines()) <= MOST_LINES
    for name in ("make_env", "load_policy", "load_residual", "train_residual", "evaluate", "lineage"):
        assert f"ocrrl.{name}(" in code
    book.cells.append(nbformat.v4.new_code_cell(CHECKED))
    NotebookClient(book, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(project)}}).execute()

    assert sorted(path.name for path in (project / "my_residual").iterdir()) == [
        *("actor.safetensors", "config.json", "curve.json")
    ]
    text = printed(book)
    assert text.count("base + residual") >= 4 and "95% interval" in text and "McNemar p" in text
    assert "cube_lift, sim, 2 held-out" in text and "cube_lift, twin (simulated), 2 held-out" in text
    assert "data/vla_sim/round0/cube_lift" in text and "checked" in text


def test_the_page_names_every_gymnasium_id():
    ids = set(re.findall(r"`(ocrrl/\w+-v0)`", PAGE))
    assert ids == {name for name in gymnasium.registry if name.startswith("ocrrl/")}
