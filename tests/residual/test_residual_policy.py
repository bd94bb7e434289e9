"""The published policy: what it answers, and what it refuses to be."""

import json
from dataclasses import replace

import numpy as np
import pytest

from ocrrl.interface.observations import residual_observation_dim
from ocrrl.residual.residual_policy import ResidualPolicy, load_residual, save_residual
from tests.damaged_models import GONE, content, cut, in_json, in_tensors, pointer, spoil
from tests.residual.toy_environment import TOY_TASK

DIM = residual_observation_dim(TOY_TASK)


def some_policy(dim: int = DIM) -> ResidualPolicy:
    random, sizes = np.random.default_rng(0), (dim, 8, 8, 7)
    weights = {f"weight{i}": random.standard_normal(sizes[i : i + 2]).astype(np.float32) for i in range(3)}
    weights |= {f"bias{i}": random.standard_normal(sizes[i + 1]).astype(np.float32) for i in range(3)}
    return ResidualPolicy(weights, np.full(7, 0.01), layer_norm=True, every=4)


def test_a_saved_policy_loads_the_same_and_stays_within_its_scale(tmp_path):
    policy, states = some_policy(), np.random.default_rng(1).standard_normal((20, DIM)).astype(np.float32)
    save_residual(tmp_path, policy, TOY_TASK, {"seed": 0})
    loaded = load_residual(tmp_path, TOY_TASK)
    np.testing.assert_array_equal(loaded.residual(states), policy.residual(states))
    assert loaded.residual(states).dtype == np.float32 and loaded.residual(states).shape == (20, 7)
    assert np.abs(loaded.residual(100 * states)).max() <= 0.01 + 1e-9


def test_a_policy_that_is_given_the_chunks_phase_says_so_and_else_nothing(tmp_path):
    policy = some_policy(DIM + 2)
    policy.chunk_phase = True
    save_residual(tmp_path / "phase", policy, TOY_TASK, {})
    save_residual(tmp_path / "plain", some_policy(), TOY_TASK, {})
    assert (
        load_residual(tmp_path / "phase", TOY_TASK).chunk_phase
        and not load_residual(tmp_path / "plain", TOY_TASK).chunk_phase
    )
    assert "chunk_phase" not in (tmp_path / "plain/config.json").read_text()
    config = json.loads((tmp_path / "phase/config.json").read_text())
    (tmp_path / "phase/config.json").write_text(json.dumps(config | {"chunk_phase": 1}))
    with pytest.raises(ValueError, match=r"config\.json: chunk_phase must be true or false, got 1"):
        load_residual(tmp_path / "phase", TOY_TASK)


def test_a_policy_of_version_3_is_read_under_the_names_that_it_has(tmp_path):
    save_residual(tmp_path, some_policy(), TOY_TASK, {})
    config = json.loads((tmp_path / "config.json").read_text())
    config |= {"format_version": 3, "residual_every": config.pop("action_repeat")}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert load_residual(tmp_path, TOY_TASK).every == 4
    (tmp_path / "config.json").write_text(json.dumps(config | {"format_version": 2}))
    with pytest.raises(ValueError, match="format_version must be 4, got 2"):
        load_residual(tmp_path, TOY_TASK)


def test_another_tabletop_task_is_refused_by_name(tmp_path):
    save_residual(tmp_path, some_policy(), TOY_TASK, {})
    with pytest.raises(ValueError, match="tabletop_task must be 'stack_cube', got 'cube_lift'"):
        load_residual(tmp_path, replace(TOY_TASK, slug="stack_cube"))


def test_another_observation_is_refused_by_name(tmp_path):
    save_residual(tmp_path, some_policy(DIM + 13), TOY_TASK, {})
    with pytest.raises(ValueError, match=f"observation_dim must be {DIM}, got {DIM + 13}"):
        load_residual(tmp_path, TOY_TASK)


def test_a_missing_file_is_named(tmp_path):
    save_residual(tmp_path, some_policy(), TOY_TASK, {})
    (tmp_path / "actor.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"actor\.safetensors is missing"):
        load_residual(tmp_path, TOY_TASK)


DAMAGES = {
    "cut JSON": (cut("config.json"), r"config\.json must be JSON"),
    "JSON of a list": (content("config.json", b"[]"), r"config\.json must hold a JSON object, got \[\]"),
    "no version": (in_json("config.json", "format_version", GONE), r"config\.json: format_version must be 4, got None"),
    "a version as text": (in_json("config.json", "format_version", "3"), r"format_version must be 4, got '3'"),
    "another action": (in_json("config.json", "action_dim", 6), r"config\.json: action_dim must be 7, got 6"),
    "no layer_norm": (
        in_json("config.json", "layer_norm", GONE),
        r"config\.json: layer_norm must be true or false, got None",
    ),
    "never a residual": (
        in_json("config.json", "action_repeat", 0),
        r"action_repeat must be a whole number from 1 to 1000",
    ),
    "a fraction of steps": (in_json("config.json", "action_repeat", 2.5), r"action_repeat must be a whole number"),
    "a delay below 0": (in_json("config.json", "chunk_delay", -1), r"chunk_delay must be a whole number of at least 0"),
    "another scale": (in_json("config.json", "residual_scale", [9.0] * 7), r"residual_scale must be the seven numbers"),
    "an LFS pointer": (
        pointer("actor.safetensors"),
        r"actor\.safetensors must be the file itself, got a Git LFS pointer",
    ),
    "cut weights": (cut("actor.safetensors"), r"actor\.safetensors must hold .* the file is cut"),
    "weights that are text": (
        content("actor.safetensors", b"version"),
        r"actor\.safetensors must be a whole safetensors file",
    ),
    "weights of NaN": (spoil("actor.safetensors", "weight1"), r"actor\.safetensors: weight1 must hold finite numbers"),
    "an infinite scale": (spoil("actor.safetensors", "scale", float("inf")), r"scale must hold finite numbers"),
    "a scale of 0": (spoil("actor.safetensors", "scale", 0.0), r"residual_scale must be the seven numbers above 0"),
    "no scale": (in_tensors("actor.safetensors", lambda t: t.pop("scale")), r"got a file without scale"),
    "no bias": (in_tensors("actor.safetensors", lambda t: t.pop("bias1")), r"got a file without bias1"),
    "a layer too many": (
        in_tensors("actor.safetensors", lambda t: t.update(weight3=t["bias0"].clone())),
        r"got also weight3",
    ),
    "layers that do not meet": (
        in_tensors("actor.safetensors", lambda t: t.update(weight1=t["weight1"][:5].clone())),
        r"actor\.safetensors: weight1 must have the shape \(8, 8\)",
    ),
    "double precision": (
        in_tensors("actor.safetensors", lambda t: t.update(weight0=t["weight0"].double())),
        r"weight0 must be of type F32, got F64",
    ),
    "a pickle beside it": (content("optimizer.pt", b"\x80\x04."), r"optimizer\.pt must not be in a model's folder"),
    "code beside it": (content("policy.py", b"print()"), r"policy\.py must not be in a model's folder"),
}


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_damaged_policy_is_refused_by_name_in_one_line(tmp_path, kind):
    damage, message = DAMAGES[kind]
    save_residual(tmp_path, some_policy(), TOY_TASK, {})
    damage(tmp_path)
    with pytest.raises(ValueError, match=message) as refused:
        load_residual(tmp_path, TOY_TASK)
    assert str(tmp_path) in str(refused.value) and "\n" not in str(refused.value)
