"""Which arm of an evaluation a model is."""

import pytest

from ocrrl.lineage.model_results import _retraining_arms

ALONE, TOGETHER = "data/models/round0/cube_lift", "data/models/round0/multitask"


@pytest.mark.parametrize(
    ("path", "folder", "task", "arms"),
    [
        (f"{ALONE}/vla_retrained", ALONE, "cube_lift", ("retrained",)),
        (f"{ALONE}/vla_real", ALONE, "cube_lift", ("before",)),
        (f"{TOGETHER}/vla_base_rollouts", TOGETHER, "stack_cube", ("base_rollouts",)),
        (f"{ALONE}/vla_real", TOGETHER, "cube_lift", ("before",)),
        (f"{ALONE}/vla_real", TOGETHER, "stack_cube", ()),
    ],
)
def test_a_task_s_own_vla_is_the_one_before_for_that_task_only(path, folder, task, arms):
    assert _retraining_arms(path, folder, task) == arms
