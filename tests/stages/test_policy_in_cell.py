import subprocess
import sys
from pathlib import Path

import pytest

from ocrrl.policies.policy_type import COMPACT
from ocrrl.stages import policy_in_cell
from ocrrl.stages.policy_in_cell import LARGE_VLAS, PROCESSES, PolicyInCell, opened


def policy(vla, num_envs=2):
    return PolicyInCell("cube_lift", "twin", vla, None, num_envs, "cpu", (), ())


def test_batches_are_of_as_many_seeds_as_there_are_environments():
    assert policy(Path("vla"), num_envs=2).batches([4, 5, 6, 7, 8]) == [[4, 5], [6, 7], [8]]
    assert policy(Path("vla")).batches([]) == []


@pytest.mark.parametrize(
    ("kind", "cores", "most"), [(COMPACT, 64, PROCESSES), (COMPACT, 3, 3), ("pi05", 64, LARGE_VLAS), ("pi05", 1, 1)]
)
def test_a_machine_with_many_cores_is_not_filled_with_copies_of_a_vla(tmp_path, monkeypatch, kind, cores, most):
    monkeypatch.setattr("os.cpu_count", lambda: cores)
    (tmp_path / "config.json").write_text(f'{{"type": "{kind}"}}')
    assert policy(tmp_path).processes() == most


def test_a_server_is_asked_by_one_process(tmp_path):
    (tmp_path / "vla.json").write_text("{}")
    assert policy(tmp_path).processes() == 1


def test_a_process_never_holds_two_vlas(monkeypatch):
    held, most = [], []

    def open_one(which):
        most.append(len(policy_in_cell._latest))
        held.append(which)
        return which

    monkeypatch.setattr(policy_in_cell, "_open", open_one)
    monkeypatch.setattr(policy_in_cell, "_latest", {})
    first, second = policy(Path("a")), policy(Path("b"))
    for which in (first, first, second, first):
        opened(which)
    assert held == [first, second, first] and most == [0, 0, 0]


def test_the_main_process_of_a_stage_needs_no_torch():
    code = (
        "import sys\n"
        "from ocrrl.params import Params\n"
        "from ocrrl.stages import evaluate, evaluate_retrained, promote, rollout\n"
        "from ocrrl.policies.policy_type import expected_policies\n"
        "assert expected_policies(Params.read(), 'cube_lift') == {'compact_vla': False}\n"
        "assert not {'torch', 'mujoco'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
