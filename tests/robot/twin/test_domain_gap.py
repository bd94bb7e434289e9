"""The twin is another domain: what was learned on simulator images does not serve there, what was learned on its own does."""

import pytest

from ocrrl.interface.seeds import initial_state_seeds
from ocrrl.policies.checkpoint import load_vla
from ocrrl.policies.chunked_policy import ChunkedPolicy
from ocrrl.rollouts.control_loop import run_episodes
from ocrrl.tabletop.cube_lift import TASK as CUBE_LIFT
from ocrrl.worlds import make_twin
from tests.pipeline_copy import copy_project, run

EPISODES = 50


@pytest.mark.slow
@pytest.mark.long  # the quick one: test_twin.py, the same state looks different there
def test_the_sim_vla_does_clearly_worse_on_twin_images_than_the_real_vla(tmp_path):
    project = copy_project(tmp_path / "project", preset="default")
    run(project, "dvc", "repro", "finetune@cube_lift-sim", "finetune@cube_lift-real")
    success = {}
    for domain in ("sim", "real"):
        vla = load_vla(project / f"data/vla_{domain}/round0/cube_lift")
        policy = ChunkedPolicy(vla, CUBE_LIFT.instruction, 25)
        outcomes = run_episodes(make_twin("cube_lift", 25), policy, None, initial_state_seeds("validation", EPISODES))
        success[domain] = sum(outcome.success for outcome in outcomes) / EPISODES
    assert success["real"] >= success["sim"] + 0.1, success
