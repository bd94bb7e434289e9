"""A damaged compact VLA is refused in one line that names the file and the field, before any memory is asked for."""

import dataclasses
import shutil

import pytest
import torch

from ocrrl.policies.checkpoint import load_vla
from ocrrl.policies.compact_architecture import CompactArchitecture
from ocrrl.policies.compact_checkpoint import _CONFIG_FIELDS, save_compact
from ocrrl.policies.compact_network import CompactNetwork, tensor_shapes
from tests.damaged_models import GONE, content, cut, in_json, in_tensors, pointer, spoil, without
from tests.policies.test_checkpoint import checkpoint

CONFIG, WEIGHTS = "config.json", "model.safetensors"
PRE, POST = "policy_preprocessor.json", "policy_postprocessor.json"
STATISTICS = "policy_preprocessor_step_4_normalizer_processor.safetensors"
UNDONE = "policy_postprocessor_step_0_unnormalizer_processor.safetensors"
SENTENCES = "policy_preprocessor_step_2_compact_vla_instruction.safetensors"


def shape_of_front(shape):
    def apply(folder):
        path = folder / CONFIG
        path.write_text(path.read_text().replace("[\n        3,\n        32,\n        48\n      ]", str(shape), 1))
        assert str(shape) in path.read_text()

    return apply


DAMAGES = {
    "no type": (
        in_json(CONFIG, "type", GONE),
        r"config\.json: type must be the name of a LeRobot policy type, got None",
    ),
    "a type that is a list": (in_json(CONFIG, "type", ["act"]), r"config\.json: type must be the name"),
    "an unknown field": (in_json(CONFIG, "layers", 3), r"config\.json must hold only type, .*, got layers"),
    "a size as text": (
        in_json(CONFIG, "hidden", "256"),
        r"config\.json: compact_vla\.hidden must be a whole number .*'256'",
    ),
    "a size as a float": (
        in_json(CONFIG, "channels", 16.5),
        r"config\.json: compact_vla\.channels must be a whole number",
    ),
    "a chunk of 10^12": (
        in_json(CONFIG, "chunk_size", 10**12),
        r"config\.json: compact_vla\.chunk_size must be .* to 1024",
    ),
    "other sizes": (
        in_json(CONFIG, "hidden", 64),
        r"model\.safetensors: model\.trunk\.0\.weight must have the shape \(64,",
    ),
    "images of 480 GB": (
        shape_of_front([3, 4096, 4096]),
        r"encoders\.front\.features\.weight must have the shape \(96, 2097248\) of config\.json, got \(96, 288\)",
    ),
    "features as a list": (in_json(CONFIG, "input_features", []), r"config\.json: input_features must map features"),
    "no cameras": (
        in_json(CONFIG, "input_features", {}),
        r"config\.json: observation\.images\.\* must be at least one camera",
    ),
    "images of no size": (shape_of_front([3]), r"front\.shape must be \[3, height, width\]"),
    "images with 4 channels": (shape_of_front([4, 32, 48]), r"front\.shape must be \[3, height, width\]"),
    "another action": (
        in_json(CONFIG, "output_features.action.shape", [6]),
        r"config\.json: output_features must be action",
    ),
    "a LoRA": (in_json(CONFIG, "use_peft", True), r"config\.json: use_peft must be False, got True"),
    "another normalisation": (
        in_json(CONFIG, "normalization_mapping.STATE", "MIN_MAX"),
        r"config\.json: normalization_mapping must be",
    ),
    "cut JSON": (cut(CONFIG), r"config\.json must be JSON, got"),
    "an LFS pointer for JSON": (pointer(CONFIG), r"config\.json must be the file itself, got a Git LFS pointer"),
    "an LFS pointer for weights": (
        pointer(WEIGHTS),
        r"model\.safetensors must be the file itself, got a Git LFS pointer",
    ),
    "cut weights": (cut(WEIGHTS), r"model\.safetensors must hold .* bytes of tensors, got .*: the file is cut"),
    "weights that are text": (
        content(WEIGHTS, b"<html>not found</html>"),
        r"model\.safetensors must be a whole safetensors",
    ),
    "no weights": (without(WEIGHTS), r"model\.safetensors must be a file, got nothing there; fetch"),
    "weights of NaN": (spoil(WEIGHTS, "model.trunk.2.weight"), r"model\.trunk\.2\.weight must hold finite numbers"),
    "a missing weight": (in_tensors(WEIGHTS, lambda t: t.pop("model.state.bias")), r"without model\.state\.bias"),
    "a weight too many": (
        in_tensors(WEIGHTS, lambda t: t.update(more=torch.zeros(1))),
        r"model\.safetensors must hold only the tensors of config\.json, got also more",
    ),
    "weights of half precision": (
        in_tensors(WEIGHTS, lambda t: t.update({"model.state.bias": t["model.state.bias"].half()})),
        r"model\.state\.bias must be of type F32, got F16",
    ),
    "no steps": (in_json(PRE, "steps", GONE), r"policy_preprocessor\.json: steps must be a list, got None"),
    "steps that are text": (
        in_json(PRE, "steps", "all"),
        r"policy_preprocessor\.json: steps must be a list, got 'all'",
    ),
    "a pipeline as a list": (content(PRE, b"[]"), r"policy_preprocessor\.json must hold a JSON object, got \[\]"),
    "a class": (
        in_json(PRE, "steps.0", {"class": "os.system", "config": {"command": "true"}}),
        r"policy_preprocessor\.json: steps\[0\]\.class must not be there, got 'os\.system'",
    ),
    "a class beside a name": (
        in_json(POST, "steps.0.class", "os.system"),
        r"policy_postprocessor\.json: steps\[0\]\.class",
    ),
    "a state file elsewhere": (
        in_json(PRE, "steps.4.state_file", "../other.safetensors"),
        r"steps\[4\]\.state_file must name a \.safetensors file beside the JSON file, got '\.\./other",
    ),
    "a state file that is gone": (
        without(STATISTICS),
        r"step_4_normalizer_processor\.safetensors must be a file, got nothing",
    ),
    "no statistics": (
        in_json(PRE, "steps.4.state_file", GONE),
        r"steps\[4\] must have a state_file with observation\.state\.mean",
    ),
    "no action.mean": (
        in_tensors(STATISTICS, lambda t: t.pop("action.mean")),
        r"must hold the tensors .*without action\.mean",
    ),
    "statistics of NaN": (
        spoil(STATISTICS, "action.std"),
        r"normalizer_processor\.safetensors: action\.std must hold finite",
    ),
    "a deviation of 0": (
        spoil(STATISTICS, "observation.state.std", 0.0),
        r"observation\.state\.std in its state_file must be",
    ),
    "statistics of another robot": (
        in_tensors(STATISTICS, lambda t: t.update({"action.mean": torch.zeros(6)})),
        r"action\.mean must have the shape \(7,\)",
    ),
    "two kinds of statistics": (
        spoil(UNDONE, "action.mean", 0.5),
        r"policy_postprocessor\.json must have the action_mean of",
    ),
    "an encoder of its own": (
        in_json(PRE, "steps.2.config.encoder", "bert"),
        r"steps\[2\]\.config\.encoder must be one of",
    ),
    "more instructions than embeddings": (
        in_json(PRE, "steps.2.config.instructions", ["lift it", "drop it"]),
        r"instruction\.safetensors: embeddings must have the shape \(2, 384\)",
    ),
    "instructions that are numbers": (
        in_json(PRE, "steps.2.config.instructions", [3]),
        "instructions must be different texts",
    ),
    "short embeddings": (
        in_tensors(SENTENCES, lambda t: t.update(embeddings=torch.zeros(1, 12))),
        r"embeddings must have the shape \(1, 384\)",
    ),
    "renamed cameras": (
        in_json(PRE, "steps.0.config.rename_map", {"a": "b"}),
        r"steps\[0\]\.config\.rename_map must be \{\}",
    ),
    "a setting of another version": (
        in_json(PRE, "steps.4.config.clip", 5),
        r"steps\[4\]\.config of normalizer_processor must",
    ),
    "no postprocessor": (without(POST), r"policy_postprocessor\.json must be there"),
}


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    folder = tmp_path_factory.mktemp("compact") / "vla"
    save_compact(folder, checkpoint())
    return folder


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_damaged_checkpoint_is_refused_by_name_in_one_line(sound, tmp_path, kind):
    damage, message = DAMAGES[kind]
    shutil.copytree(sound, tmp_path / "vla")
    damage(tmp_path / "vla")
    with pytest.raises((ValueError, FileNotFoundError), match=message) as refused:
        load_vla(tmp_path / "vla", "cpu")
    assert str(tmp_path) in str(refused.value) and "\n" not in str(refused.value)


def test_the_shapes_told_are_those_of_the_network():
    for architecture in (
        CompactArchitecture({"front": (32, 48)}),
        CompactArchitecture({"a": (64, 64), "b": (32, 16)}, 5, None, 7, 3, 11, 13),
    ):
        network = CompactNetwork(architecture).state_dict()
        assert tensor_shapes(architecture) == {name: tuple(value.shape) for name, value in network.items()}


def test_the_fields_known_are_those_of_lerobots_configuration():
    from ocrrl.policies.compact_vla import CompactVLAConfig

    assert set(_CONFIG_FIELDS) == {"type", *(field.name for field in dataclasses.fields(CompactVLAConfig))}


def test_images_that_would_take_all_memory_are_refused_by_the_weights(sound, tmp_path):
    shutil.copytree(sound, tmp_path / "vla")
    path = tmp_path / "vla" / CONFIG
    path.write_text(path.read_text().replace("32,\n        48", "4096,\n        4096"))
    with pytest.raises(
        ValueError, match=r"features\.weight must have the shape \(96, 2097248\) of config\.json, got \(96, "
    ):
        load_vla(tmp_path / "vla", "cpu")
