"""A LeRobot checkpoint is checked before LeRobot opens it: nothing in it runs, and what is wrong is named in one line."""

import json
import re
import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from ocrrl.policies.checkpoint import load_vla
from ocrrl.policies.lerobot_checkpoint import NORMALISED_TYPES, REMOTE_CODE_TYPES, require_remote_code_allowed
from tests.damaged_models import GONE, content, cut, in_json, in_tensors, pointer, spoil, without
from tests.policies.tiny_act import write_act

CONFIG, WEIGHTS = "config.json", "model.safetensors"
PRE, POST = "policy_preprocessor.json", "policy_postprocessor.json"
STATISTICS = "policy_preprocessor_step_3_normalizer_processor.safetensors"
HEAD = "model.action_head.weight"

DAMAGES = {
    "cut JSON": (cut(CONFIG), r"config\.json must be JSON"),
    "an unknown field": (
        in_json(CONFIG, "flow_steps", 3),
        r"config\.json: flow_steps is no field of act in LeRobot .* another LeRobot version\. Its fields here: .*chunk_size",
    ),
    "an unknown type": (in_json(CONFIG, "type", "gpt"), r"config\.json: type must be one of act, .*, got 'gpt'"),
    "a size as text": (in_json(CONFIG, "chunk_size", "many"), r"config\.json: .*chunk_size.*many"),
    "a switch as a list": (in_json(CONFIG, "use_vae", [1, 2]), r"config\.json: .*use_vae"),
    "a mode that is none": (
        in_json(CONFIG, "normalization_mapping.STATE", "LOG"),
        r"norm_map must be the normalization_mapping .*LOG",
    ),
    "a chunk of 10^12": (in_json(CONFIG, "chunk_size", 10**12), r"config\.json: chunk_size must be at most 4096"),
    "10^6 layers": (in_json(CONFIG, "n_encoder_layers", 10**6), r"config\.json: n_encoder_layers must be at most 512"),
    "a width of 10^12": (in_json(CONFIG, "dim_model", 10**12), r"config\.json: dim_model must be at most 2147483647"),
    "a layer of 128 GB": (
        in_json(CONFIG, "dim_feedforward", 10**9),
        r"config\.json asks for 128 GB of memory .*, model\.safetensors holds 0\.0",
    ),
    "heads that do not divide": (
        in_json(CONFIG, "n_heads", 3),
        r"config\.json must make a policy, got AssertionError: embed_dim",
    ),
    "an unknown backbone": (in_json(CONFIG, "vision_backbone", "resnet19"), r"must make a policy|vision_backbone"),
    "more steps than the chunk": (
        in_json(CONFIG, "n_action_steps", 9),
        r"config\.json: .*upper bound for the number of action",
    ),
    "features as text": (
        in_json(CONFIG, "input_features", "all"),
        r"config\.json: input_features must be dict or null, got 'all'",
    ),
    "an action of 10^6 numbers": (
        in_json(CONFIG, "output_features.action.shape", [10**6]),
        r"output_features\.action\.shape must be whole numbers from 1 to 4096",
    ),
    "a LoRA": (in_json(CONFIG, "use_peft", True), r"config\.json: use_peft must be false, got an adapter"),
    "an adapter's file": (
        content("adapter_config.json", b"{}"),
        r"adapter_config\.json must not be in a model's folder: an adapter",
    ),
    "an LFS pointer": (pointer(WEIGHTS), r"model\.safetensors must be the file itself, got a Git LFS pointer"),
    "cut weights": (cut(WEIGHTS), r"model\.safetensors must hold .* the file is cut"),
    "no weights": (without(WEIGHTS), r"model\.safetensors must be a file, got nothing there"),
    "weights of NaN": (
        spoil(WEIGHTS, HEAD),
        r"model\.safetensors: model\.action_head\.weight must hold finite numbers",
    ),
    "a missing weight": (in_tensors(WEIGHTS, lambda t: t.pop(HEAD)), r"got a file without model\.action_head\.weight"),
    "a weight too many": (
        in_tensors(WEIGHTS, lambda t: t.update(more=torch.zeros(1))),
        r"model\.safetensors must hold only weights of the policy that config\.json makes, got also more",
    ),
    "a weight of another shape": (
        in_tensors(WEIGHTS, lambda t: t.update({HEAD: torch.zeros(6, 32)})),
        r"the weights must fit the configuration: .*action_head\.weight",
    ),
    "a pickle of weights": (
        content("pytorch_model.bin", b"\x80\x04."),
        r"pytorch_model\.bin must not be in a model's folder",
    ),
    "code beside it": (
        content("processing.py", b""),
        r"processing\.py must not be in a model's folder.*allow_remote_code",
    ),
    "no preprocessor": (without(PRE), r"policy_preprocessor\.json must be there.*migrate_policy_normalization"),
    "an unknown step": (
        in_json(PRE, "steps.0.registry_name", "jump"),
        r"steps\[0\]\.registry_name must be one of .*, got 'jump'",
    ),
    "a step that opens another model": (
        in_json(PRE, "steps.0", {"registry_name": "reward_classifier_processor", "config": {"pretrained_path": "x"}}),
        r"steps\[0\]\.registry_name must be one of .*, got 'reward_classifier_processor'",
    ),
    "a step that runs a tokenizer's code": (
        in_json(
            PRE, "steps.0", {"registry_name": "action_tokenizer_processor", "config": {"action_tokenizer_name": "x"}}
        ),
        r"steps\[0\]\.registry_name must be one of .*, got 'action_tokenizer_processor'",
    ),
    "a setting of another version": (
        in_json(POST, "steps.0.config.clip", 1),
        r"steps\[0\]\.config of unnormalizer_processor must",
    ),
    "a setting of another type": (
        in_json(PRE, "steps.3.config.eps", "small"),
        r"steps\[3\]\.config\.eps must be float, got 'small'",
    ),
    "a state file of root": (
        in_json(PRE, "steps.3.state_file", "/etc/x.safetensors"),
        r"steps\[3\]\.state_file must name",
    ),
    "a number that is null": (in_json(CONFIG, "dim_model", None), r"config\.json: dim_model must be int, got None"),
    "a number that is negative": (in_json(CONFIG, "dim_feedforward", -1), r"config\.json: .*negative dimension -1"),
    "a camera that is gone": (
        in_json(CONFIG, "input_features", {"observation.state": {"type": "STATE", "shape": [8]}}),
        r"steps\[3\]\.config\.features\.observation\.images\.front must be as config\.json has it, None",
    ),
    "no output": (in_json(CONFIG, "output_features", GONE), r"features\.action must be as config\.json has it, None"),
    "no unnormaliser": (
        in_json(POST, "steps.0", GONE),
        r"policy_postprocessor\.json must have a step unnormalizer_processor",
    ),
    "no normaliser": (
        in_json(PRE, "steps.3", GONE),
        r"policy_preprocessor\.json must have a step normalizer_processor, got",
    ),
    "a mode that is gone": (
        in_json(POST, "steps.0.config.norm_map.ACTION", GONE),
        r"steps\[0\]\.config\.norm_map must be the normalization_mapping of config\.json",
    ),
    "a mode that is a list": (
        in_json(POST, "steps.0.config.norm_map.ACTION", ["MEAN_STD"]),
        r"steps\[0\]\.config\.norm_map\.ACTION must be one of IDENTITY, MEAN_STD",
    ),
    "an action that nothing undoes": (
        in_json(POST, "steps.0.config.features", {}),
        r"steps\[0\]\.config\.features must hold action",
    ),
    "a rename map as a number": (
        in_json(PRE, "steps.0.config.rename_map", 3),
        r"steps\[0\]\.config\.rename_map must be dict, got 3",
    ),
    "no statistics": (
        in_json(POST, "steps.0.state_file", GONE),
        r"steps\[0\] must hold action\.mean to normalise action",
    ),
    "no action.mean": (
        in_tensors(STATISTICS, lambda t: t.pop("action.mean")),
        r"must hold action\.mean to normalise action",
    ),
    "statistics of NaN": (spoil(STATISTICS, "action.std"), r"action\.std must hold finite numbers"),
    "statistics of another robot": (
        in_tensors(STATISTICS, lambda t: t.update({"observation.state.mean": torch.zeros(6)})),
        r"observation\.state\.mean must have the shape \(8,\)",
    ),
}


@pytest.fixture(scope="module")
def act(tmp_path_factory):
    return write_act(tmp_path_factory.mktemp("act") / "vla")


@pytest.fixture
def mine(act, tmp_path):
    shutil.copytree(act, tmp_path / "vla")
    return tmp_path / "vla"


def test_a_sound_checkpoint_opens(mine):
    assert load_vla(mine, "cpu", {"act": False}).chunk_size == 4


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_damaged_checkpoint_is_refused_by_name_in_one_line(mine, kind):
    damage, message = DAMAGES[kind]
    damage(mine)
    with pytest.raises((ValueError, FileNotFoundError), match=message) as refused:
        load_vla(mine, "cpu")
    assert str(mine) in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize("pipeline", [PRE, POST])
@pytest.mark.parametrize("place", ["first", "last"])
def test_a_step_that_names_a_class_is_not_run(mine, tmp_path, pipeline, place):
    mark = tmp_path / "was_run"
    steps = json.loads((mine / pipeline).read_text())
    step = {"class": "os.system", "config": {"command": f"touch {mark}"}}
    steps["steps"].insert(0 if place == "first" else len(steps["steps"]), step)
    (mine / pipeline).write_text(json.dumps(steps))
    with pytest.raises(ValueError, match=rf"{pipeline}: steps\[\d\]\.class must not be there, got 'os\.system'"):
        load_vla(mine, "cpu")
    assert not mark.exists()


def test_a_checkpoint_of_another_type_than_params_yaml_says_is_refused_before_anything_else(mine):
    (mine / PRE).write_text("no JSON")
    with pytest.raises(ValueError, match=r"config\.json: type must be compact_vla, .* params\.yaml say, got 'act'"):
        load_vla(mine, "cpu", {"compact_vla": False})


def test_a_tokenizer_folder_with_code_is_refused_by_the_step_that_names_it(mine, tmp_path):
    tokenizer = tmp_path / "tokenizer"
    tokenizer.mkdir()
    (tokenizer / "tokenizer_config.json").write_text('{"auto_map": {"AutoTokenizer": ["run.Run", null]}}')
    step = {"registry_name": "tokenizer_processor", "config": {"tokenizer_name": str(tokenizer)}}
    in_json(PRE, "steps.0", step)(mine)
    with pytest.raises(
        ValueError, match=r"steps\[0\]\.config: tokenizer_name must name a sound folder: .*must not hold auto_map"
    ):
        load_vla(mine, "cpu")


@pytest.mark.parametrize("kind", REMOTE_CODE_TYPES)
def test_a_type_that_lerobot_opens_with_remote_code_needs_the_parameter(mine, kind):
    in_json(CONFIG, "type", kind)(mine)
    with pytest.raises(
        ValueError, match=rf"policy type {kind} must be allowed first.*allow_remote_code: true in the `policy`"
    ):
        load_vla(mine, "cpu")
    with pytest.raises(ValueError, match="must be allowed first"):
        load_vla(mine, "cpu", {kind: False})
    require_remote_code_allowed(kind, True, "policy")


def test_the_types_that_need_the_parameter_are_those_whose_code_asks_for_remote_code():
    spec = find_spec("lerobot")
    assert spec is not None and spec.origin is not None
    asking = re.compile(r"""["']?trust_remote_code["']?\s*[=:]\s*True""")
    policies = Path(spec.origin).parent / "policies"
    found = {path.relative_to(policies).parts[0] for path in policies.rglob("*.py") if asking.search(path.read_text())}
    assert found == set(REMOTE_CODE_TYPES)


def test_the_types_that_standardise_by_lerobots_steps_are_those_whose_code_makes_them():
    spec = find_spec("lerobot")
    assert spec is not None and spec.origin is not None
    for kind in NORMALISED_TYPES:
        source = (Path(spec.origin).parent / "policies" / kind / f"processor_{kind}.py").read_text()
        own = "normalize" in source and "unnormalize" in source
        assert own or "make_default_pre_post_processors(" in source, kind


def test_a_named_folder_of_a_field_is_looked_through(mine, tmp_path):
    (tmp_path / "backbone").mkdir()
    (tmp_path / "backbone" / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    in_json(CONFIG, "pretrained_path", str(tmp_path / "backbone"))(mine)
    with pytest.raises(
        ValueError, match=r"config\.json: pretrained_path must name a sound folder: .*pytorch_model\.bin"
    ):
        load_vla(mine, "cpu")


def test_opening_fetches_no_backbone_that_the_checkpoint_replaces(mine, monkeypatch):
    def fetched(*arguments, **keywords):
        raise AssertionError("torchvision's weights were asked for")

    monkeypatch.setattr("torch.hub.load_state_dict_from_url", fetched)
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", fetched)
    in_json(CONFIG, "pretrained_backbone_weights", "ResNet18_Weights.IMAGENET1K_V1")(mine)
    assert load_vla(mine, "cpu").chunk_size == 4
