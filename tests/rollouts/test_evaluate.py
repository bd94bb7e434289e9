import json

import numpy as np
import pytest

from ocrrl.rollouts.control_loop import run_episodes
from ocrrl.rollouts.episode_outcome import EpisodeOutcome
from ocrrl.rollouts.evaluate import EvaluateConfig, evaluate_pair, telling_seeds, write_evaluation
from ocrrl.rollouts.evaluate_retrained import VariantsEvaluation, write_retrained_evaluation

from .toy_environment import (
    Seeker,
    ToyBase,
    ToyEnvironment,
    ToyResidual,
    gripper_to_object,
    seek,
    seeking_residual,
)

SEEDS = list(range(2_000_000, 2_000_012))


def outcomes(text):
    return [EpisodeOutcome(seed, letter == "1", 10, 0.0) for seed, letter in enumerate(text)]


def test_both_variants_start_from_the_same_initial_states():
    evaluation = evaluate_pair(ToyEnvironment(5), ToyBase(), seeking_residual, SEEDS)
    first = [[o.trace.object_positions[0] for o in variant] for variant in (evaluation.base, evaluation.residual)]
    np.testing.assert_array_equal(*first)
    assert [o.seed for o in evaluation.base] == [o.seed for o in evaluation.residual] == SEEDS


def test_the_residual_rescues_and_harms_nothing_in_the_toy():
    metrics = evaluate_pair(ToyEnvironment(5), ToyBase(), seeking_residual, SEEDS).metrics()
    assert metrics["residual"]["success_rate"] == 1.0
    assert metrics["base"]["success_rate"] < 0.5
    assert metrics["paired"]["only_base"] == 0
    assert sum(metrics["paired"].values()) == len(SEEDS)
    assert metrics["difference"]["low"] > 0


def test_do_no_harm_names_the_seeds_that_the_residual_spoiled():
    evaluation = evaluate_pair(ToyEnvironment(5), Seeker(), ToyResidual(lambda s: -10 * seek(s)), SEEDS)
    assert evaluation.do_no_harm() == SEEDS
    assert evaluation.metrics()["paired"]["only_base"] == len(SEEDS)


def test_a_residual_towards_the_object_has_a_cosine_of_one_with_the_goal():
    def towards(state):
        offset = gripper_to_object(state)
        step = 0.01 * offset / np.linalg.norm(offset, axis=-1, keepdims=True)
        return np.concatenate([step, np.zeros((len(state), 4))], axis=-1).astype(np.float32)

    bins = evaluate_pair(ToyEnvironment(5), ToyBase(), ToyResidual(towards), SEEDS).metrics()["alignment"]
    filled = [entry for entry in bins if entry["steps"]]
    assert filled
    for entry in filled:
        assert entry["mean_cosine"] == pytest.approx(1.0, abs=1e-4)
        assert entry["mean_residual"] == pytest.approx(0.01, rel=1e-4)
        assert entry["base_alignment_low"] < entry["base_alignment_high"]


def test_telling_seeds_are_rescues_and_failures_in_turn_then_the_rest():
    base, residual = outcomes("0001101"), outcomes("1010011")
    assert telling_seeds(base, residual, 7) == [0, 3, 2, 4, 5, 1, 6], (
        "of the failures, those that the base solves first"
    )
    assert telling_seeds(base, residual, 2) == [0, 3]
    assert telling_seeds(base, residual, 0) == []


def test_videos_show_both_variants_of_chosen_seeds_without_changing_them():
    environment = ToyEnvironment(5)
    evaluated = evaluate_pair(environment, ToyBase(), seeking_residual, SEEDS, videos=2)
    plain = evaluate_pair(ToyEnvironment(5), ToyBase(), seeking_residual, SEEDS)
    assert evaluated.metrics() == plain.metrics()
    chosen = telling_seeds(evaluated.base[:5], evaluated.residual[:5], 2)
    assert set(evaluated.videos) == {f"{variant}_{seed}" for variant in ("base", "residual") for seed in chosen}
    for name, frames in evaluated.videos.items():
        variant, seed = name.split("_")
        (steps,) = (o.steps for o in getattr(evaluated, variant) if o.seed == int(seed))
        assert frames.shape == (steps, 2, 4, 3)
        assert frames.dtype == np.uint8


def test_a_cell_that_does_not_repeat_itself_cannot_have_videos():
    with pytest.raises(RuntimeError, match="must repeat its episodes"):
        evaluate_pair(ToyEnvironment(12, drift=0.01), ToyBase(), seeking_residual, SEEDS, videos=1)


def test_the_files_are_the_designs_and_the_same_bytes_again(tmp_path):
    for run in ("a", "b"):
        cells = [
            evaluate_pair(ToyEnvironment(5, cell), ToyBase(), seeking_residual, SEEDS, videos=1)
            for cell in ("sim", "twin")
        ]
        write_evaluation(tmp_path / run / "m.json", tmp_path / run / "episodes", "cube_lift", 0, 1, cells, traces=2)
    names = ["m.json", "episodes/episodes.json", "episodes/sim.npz", "episodes/twin.npz"]
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()

    metrics = json.loads((tmp_path / "a/m.json").read_text())
    assert (metrics["tabletop_task"], metrics["round"], metrics["residual_seed"]) == ("cube_lift", 0, 1)
    summary = {"successes", "episodes", "success_rate", "wilson_low", "wilson_high", "mean_steps_success"}
    for cell in ("sim", "twin"):
        assert set(metrics[cell]["base"]) == set(metrics[cell]["residual"]) == summary
        assert set(metrics[cell]["paired"]) == {"both", "only_base", "only_residual", "neither"}
    details = json.loads((tmp_path / "a/episodes/episodes.json").read_text())["cells"]["twin"]
    assert [episode["seed"] for episode in details["episodes"]] == SEEDS
    assert len(details["traces"]) == 2
    trace = details["traces"][0]
    assert len(trace["gripper_positions"]) == len(trace["residuals"]) == trace["steps"]
    with np.load(tmp_path / "a/episodes/sim.npz", allow_pickle=False) as videos:
        assert len(videos.files) == 2


def test_a_cell_is_evaluated_once(tmp_path):
    evaluation = evaluate_pair(ToyEnvironment(5), ToyBase(), seeking_residual, SEEDS[:2])
    with pytest.raises(ValueError, match="cells must differ, got sim, sim"):
        write_evaluation(tmp_path / "m.json", tmp_path / "e", "cube_lift", 0, 0, [evaluation, evaluation], 0)


@pytest.mark.parametrize("name, value", [("episodes", 0), ("num_envs", 0), ("traces", -1), ("videos", -1)])
def test_config_names_what_is_out_of_range(name, value):
    with pytest.raises(ValueError, match=rf"{name} must be at least \d, got {value}"):
        EvaluateConfig(**{name: value})


def test_no_seeds_are_no_evaluation():
    with pytest.raises(ValueError, match="at least one initial state"):
        evaluate_pair(ToyEnvironment(2), ToyBase(), seeking_residual, [])


def test_retrained_is_compared_with_each_control_variant(tmp_path):
    variants = {"before": ToyBase(), "retrained": Seeker(), "demonstrations_only": ToyBase(), "base_rollouts": Seeker()}
    outcomes_of = {
        variant: run_episodes(ToyEnvironment(5, "twin"), policy, None, SEEDS) for variant, policy in variants.items()
    }
    evaluation = VariantsEvaluation("cube_lift", "twin", outcomes_of)
    written = write_retrained_evaluation(tmp_path / "m.json", "cube_lift", 0, [evaluation])
    assert json.loads((tmp_path / "m.json").read_text()) == written
    cell = written["tabletop_tasks"]["cube_lift"]["twin"]
    assert cell["retrained"]["success_rate"] == 1.0
    differences = cell["differences"]
    assert set(differences) == {"before", "demonstrations_only", "base_rollouts"}
    assert differences["before"]["success_rate"]["low"] > 0
    assert differences["base_rollouts"]["success_rate"]["difference"] == 0.0
    assert differences["base_rollouts"]["steps"]["difference"] == 0.0
    listed = written["episodes"]["cube_lift"]["twin"]
    assert [episode["seed"] for episode in listed["retrained"]] == SEEDS


def test_variants_must_be_known_and_hold_the_retrained_one():
    with pytest.raises(ValueError, match="variants must hold retrained"):
        VariantsEvaluation("cube_lift", "twin", {"before": []})
    with pytest.raises(ValueError, match="be among retrained, before"):
        VariantsEvaluation("cube_lift", "twin", {"retrained": [], "best": []})
