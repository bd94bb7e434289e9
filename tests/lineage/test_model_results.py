"""Which variant of an evaluation a model is."""

import pytest

from ocrrl.lineage.model_results import _retraining_variant
from ocrrl.lineage.reading.places import place_of


@pytest.mark.parametrize(
    ("path", "round_name", "task", "variant"),
    [
        ("data/vla_retrained/round0/cube_lift", "round0", "cube_lift", "retrained"),
        ("data/vla_real/round0/cube_lift", "round0", "cube_lift", "before"),
        ("data/vla_base_rollouts/round0/multitask", "round0", "stack_cube", "base_rollouts"),
        ("data/vla_real/round0/cube_lift", "round0", "stack_cube", ""),
        ("data/vla_retrained/round0/multitask", "round1", "multitask", "before"),
        ("data/models/round0/cube_lift/vla_real", "round0", "cube_lift", "before"),
    ],
)
def test_a_task_s_own_vla_is_the_one_before_for_that_task_only(path, round_name, task, variant):
    assert _retraining_variant(place_of(path), round_name, task) == variant
