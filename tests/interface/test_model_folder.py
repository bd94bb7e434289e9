"""The folder of a model: code, pickles and links are refused by name before any library sees them."""

import json
import os

import numpy as np
import pytest
import safetensors.numpy

from ocrrl.interface.model_folder import require_model_folder
from tests.interface.test_json_file import POINTER


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "models--lab--vla" / "snapshots" / "0a1b"
    (folder / "tokenizer").mkdir(parents=True)
    (folder / "config.json").write_text('{"type": "act", "max": Infinity}')
    (folder / "tokenizer" / "tokenizer_config.json").write_text("{}")
    safetensors.numpy.save_file({"a": np.ones(3, np.float32)}, folder / "model.safetensors")
    (folder / "README.md").write_text("# A model")
    return folder


def refused(model, message, kind=ValueError):
    with pytest.raises(kind, match=message) as error:
        require_model_folder(model)
    assert "\n" not in str(error.value)


def test_a_sound_folder_is_taken(model):
    require_model_folder(model)


@pytest.mark.parametrize("name", ["run.py", "tokenizer/helper.PY", "deep/er/module.so", "a.pyc"])
def test_code_is_refused_unless_it_is_allowed(model, name):
    (model / name).parent.mkdir(parents=True, exist_ok=True)
    (model / name).write_text("print()")
    refused(model, rf"{name} must not be in a model's folder.*allow_remote_code: true in the `policy` section")
    require_model_folder(model, allow_remote_code=True)


@pytest.mark.parametrize(
    "name", ["pytorch_model.bin", "tokenizer/vocabulary.pkl", "last.ckpt", "a.pt", "b.PTH", "c.joblib"]
)
def test_a_pickle_is_refused_even_where_code_is_allowed(model, name):
    (model / name).write_bytes(b"\x80\x04.")
    for allowed in (False, True):
        with pytest.raises(
            ValueError, match=rf"{name} must not be in a model's folder: reading a .* file can run code"
        ):
            require_model_folder(model, allowed)


@pytest.mark.parametrize(
    ("name", "text", "where"),
    [
        ("config.json", '{"auto_map": {"AutoConfig": "a.B"}}', "auto_map"),
        ("tokenizer/tokenizer_config.json", '{"\\u0061uto_map": {"AutoTokenizer": ["a.B", null]}}', "auto_map"),
        (
            "preprocessor_config.json",
            '{"steps": [{}, {"x": {"auto_map": "other/repository--a.B"}}]}',
            r"steps\.1\.x\.auto_map",
        ),
    ],
)
def test_an_auto_map_is_found_wherever_it_is(model, name, text, where):
    (model / name).write_text(text)
    refused(model, rf"{name} must not hold {where}, which names Python code to run; allow_remote_code")
    require_model_folder(model, allow_remote_code=True)


def test_a_link_out_of_the_folder_is_refused_and_one_of_the_hubs_or_dvcs_cache_is_not(model, tmp_path):
    blobs, objects = model.parents[1] / "blobs", tmp_path / "cache/files/md5/ab"
    blobs.mkdir()
    objects.mkdir(parents=True)
    for name, home in (("config.json", blobs / "77aa"), ("model.safetensors", objects / ("0" * 30))):
        (model / name).rename(home)
        (model / name).symlink_to(os.path.relpath(home, model) if home.parent == blobs else home)
    require_model_folder(model)
    (tmp_path / "secret.json").write_text("{}")
    (model / "generation_config.json").symlink_to(tmp_path / "secret.json")
    refused(model, r"generation_config\.json must not be a link out of the model's folder, got one to .*secret\.json")
    (model / "generation_config.json").unlink()
    (model / "more").symlink_to(tmp_path)
    refused(model, "more must not be a link out of the model's folder")


def test_links_that_lead_nowhere_or_in_a_circle_are_refused(model):
    (model / "loop.json").symlink_to("loop.json")
    refused(model, r"loop\.json must ")
    (model / "loop.json").unlink()
    (model / "gone.json").symlink_to("nothing.json")
    refused(model, r"gone\.json must be a file, got nothing there", FileNotFoundError)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_named_pipe_is_refused_and_not_waited_for(model):
    os.mkfifo(model / "extra.json")
    refused(model, r"extra\.json must be a regular file, got a pipe, socket or device")


@pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.safetensors"])
def test_an_adapter_is_refused_with_the_next_step(model, name):
    (model / name).write_text("{}")
    refused(model, rf"{name} must not be in a model's folder: an adapter \(LoRA\).*merge_and_unload\(\)")


def test_a_git_lfs_pointer_is_named_wherever_it_is(model):
    (model / "tokenizer" / "tokenizer.json").write_bytes(POINTER)
    refused(model, r"tokenizer/tokenizer\.json must be the file itself, got a Git LFS pointer")


@pytest.mark.parametrize(
    ("weight_map", "message"),
    [
        ({}, r"weight_map must map tensors to files, got \{\}"),
        ({"a": "../other.safetensors"}, r"weight_map\.a must name a \.safetensors file beside it, got '\.\./other"),
        ({"a": "model.bin"}, r"weight_map\.a must name a \.safetensors file beside it, got 'model\.bin'"),
        ({"a": "gone.safetensors"}, r"gone\.safetensors must be a file, got nothing there"),
        (
            {"b": "model.safetensors"},
            r"model\.safetensors must hold the tensor b, as model\.safetensors\.index\.json says",
        ),
    ],
)
def test_an_index_of_shards_is_held_to_its_shards(model, weight_map, message):
    (model / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    refused(model, message, (ValueError, FileNotFoundError))
    (model / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "model.safetensors"}}))
    require_model_folder(model)


def test_a_folder_that_is_not_there_is_named(tmp_path):
    refused(tmp_path / "vla", "vla must be the folder of a model, got nothing", FileNotFoundError)
