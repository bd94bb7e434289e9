"""A plan of an evaluation until decided: what it must hold, and its hash."""

import json
from dataclasses import replace

import pytest

from ocrrl.rollouts.sequential_test import StoppingRule
from ocrrl.sessions.evaluation_plan import PLAN_FILE, EvaluationPlan, read_plan, write_plan

PLAN = EvaluationPlan(
    session="monday",
    cell="twin",
    tabletop_task="cube_lift",
    round="round0",
    residual_seed=0,
    models={"data/vla_real/round0/cube_lift": "1" * 16},
    states=tuple(range(2_500_000, 2_500_010)),
    stopping_rule=StoppingRule(most_pairs=10),
    order_sha256="0" * 64,
    least_detectable_effect=None,
)


def test_a_plan_that_was_written_is_read_again_with_its_hash(tmp_path):
    write_plan(tmp_path, PLAN)
    assert read_plan(tmp_path, PLAN.sha256) == PLAN and read_plan(tmp_path, None).sha256 == PLAN.sha256
    assert len(PLAN.sha256) == 64 and PLAN.sha256 in PLAN.summary


@pytest.mark.parametrize(
    "changed",
    [
        {"states": PLAN.states[::-1]},
        {"models": {"data/vla_real/round0/cube_lift": "2" * 16}},
        {"stopping_rule": StoppingRule(level=0.1, most_pairs=10)},
        {"order_sha256": "1" * 64},
        {"start_tolerance": replace(PLAN.start_tolerance, angle=20.0)},
    ],
)
def test_whatever_is_changed_changes_the_hash(changed):
    assert replace(PLAN, **changed).sha256 != PLAN.sha256


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"variants": ["base"]}, "variants must be base and residual, got base"),
        ({"variants": []}, "variants must be base and residual, got none"),
        ({"states": [1, 2]}, "states must hold 10 initial states, one for each of the most pairs, got 2"),
        ({"states": [1, 2, 3, 4, 5, 6, 7, 8, 9, 9]}, "states must be different, got 9 twice"),
        (
            {"stopping_rule": {"level": 0.05, "most_pairs": 3, "least_effect": 0.2}},
            "stopping_rule.most_pairs must be at least 7",
        ),
        ({"stopping_rule": {"level": 0.05}, "more": 1}, "keys must be those of a plan, got none missing and more more"),
        (
            {"stopping_rule": {"levels": 0.05}},
            "states, variants, stopping_rule and start_tolerance must be those of a plan",
        ),
        ({"start_tolerance": {"position": 0.0, "angle": 15.0}}, "start_tolerance.position must be above 0, got 0.0"),
        ({"test": "another"}, "test must be that of this version"),
        ({"schema": 2}, "schema must be 1, got 2"),
    ],
)
def test_a_plan_that_is_none_is_refused_with_file_and_field(tmp_path, changed, message):
    (tmp_path / PLAN_FILE).write_text(json.dumps(PLAN.content | changed))
    with pytest.raises(ValueError) as refused:
        read_plan(tmp_path, None)
    assert str(refused.value).startswith(f"{tmp_path / PLAN_FILE}: ") and message in str(refused.value)


def test_a_plan_without_a_key_names_it(tmp_path):
    content = PLAN.content
    del content["models"]
    (tmp_path / PLAN_FILE).write_text(json.dumps(content))
    with pytest.raises(ValueError, match="got models missing and none more"):
        read_plan(tmp_path, None)
