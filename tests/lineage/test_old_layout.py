from pathlib import Path, PurePosixPath

import pytest

from ocrrl.lineage.reading.places import new_place

MOVED = {
    "data/episodes/cube_lift/normalised": "data/normalised/round0/cube_lift",
    "data/datasets/round0/cube_lift_sim/meta/info.json": "data/dataset_sim/round0/cube_lift/meta/info.json",
    "data/datasets/round1/pick_and_place_real": "data/dataset_real/round1/pick_and_place",
    "data/replay/round0/cube_lift.zarr/action/c/0/0": "data/transitions/round0/cube_lift.zarr/action/c/0/0",
    "data/models/round0/multitask/vla_base_rollouts": "data/vla_base_rollouts/round0/multitask",
    "data/models/round12/cube_lift/residual_3/curve.json": "data/residual_3/round12/cube_lift/curve.json",
    "data/evaluations/round0/cube_lift-2/sim.npz": "data/evaluation_2/round0/cube_lift/sim.npz",
    "data/metrics/round0/replay/cube_lift.json": "data/metrics/replay/round0/cube_lift.json",
    "data/metrics/round0/evaluate/cube_lift-1.json": "data/metrics/evaluate_1/round0/cube_lift.json",
    "data/metrics/round0/evaluate_retrained/multitask.json": "data/metrics/evaluate_retrained/round0/multitask.json",
    "data/rollouts/round0/cube_lift_base/attempts.json": "data/rollouts_base/round0/cube_lift/attempts.json",
    "data/rollouts/round0/cube_lift_corrected": "data/rollouts_corrected/round0/cube_lift",
    "data/training_sets/round0/cube_lift_base_rollouts": "data/training_set_base_rollouts/round0/cube_lift",
    "data/training_sets/round0/cube_lift_retrained": "data/training_set_retrained/round0/cube_lift",
}


@pytest.mark.parametrize(("old", "new"), MOVED.items())
def test_each_output_moves_to_kind_round_task(old, new):
    assert new_place(PurePosixPath(old)) == PurePosixPath(new)


@pytest.mark.parametrize("new", MOVED.values())
def test_a_new_place_stays(new):
    assert new_place(Path(new)) == Path(new)


@pytest.mark.parametrize(
    "path",
    [
        "data/episodes/cube_lift/recorded/episode_000000.h5",
        "data/reports/round0/cube_lift/index.html",
        "data/models/vla_retrained/model.safetensors",
        "data/sessions/fr3/cube_lift/monday/session.json",
        "data/datasets/round0/cube_lift_simulated",
        "docs/datasets/round0/cube_lift_sim",
    ],
)
def test_other_paths_stay(path):
    assert new_place(Path(path)) == Path(path)
