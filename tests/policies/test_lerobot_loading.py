"""LeRobot's loading, watched: no code of a model's folder runs, and no weight stays random in silence."""

from urllib.error import URLError

import pytest
import safetensors.torch
import torch
from torch import nn

from ocrrl.interface.weights_file import read_weights_file
from ocrrl.policies.lerobot_loading import lerobot_errors, load_weights, remote_code, require_loaded


class Policy(nn.Module):
    """Two layers, the second tied to the first."""

    def __init__(self, width: int = 4):
        super().__init__()
        self.config = None
        self.first = nn.Linear(width, width)
        self.tied = nn.Linear(width, width, bias=False)
        self.tied.weight = self.first.weight


def saved(folder, **changes):
    policy = Policy()
    tensors = {"first.weight": policy.first.weight.detach(), "first.bias": policy.first.bias.detach()} | changes
    folder.mkdir(exist_ok=True)
    safetensors.torch.save_file({k: v for k, v in tensors.items() if v is not None}, folder / "model.safetensors")
    return policy, read_weights_file(folder / "model.safetensors")


def test_a_policy_with_the_files_weights_is_taken(tmp_path):
    policy, weights = saved(tmp_path)
    require_loaded(policy, weights)
    require_loaded(policy.to(torch.bfloat16), weights)


def test_statistics_of_an_older_lerobot_among_the_weights_are_left_to_the_pipelines(tmp_path):
    require_loaded(
        *saved(tmp_path, **{"normalize_inputs.buffer_observation_state.mean": torch.full((8,), float("inf"))})
    )


def test_a_policy_that_kept_its_random_weights_is_refused(tmp_path):
    _, weights = saved(tmp_path)
    with pytest.raises(
        ValueError, match=r"model\.safetensors: first\.\w+ must be what the policy has loaded, got other numbers"
    ):
        require_loaded(Policy(), weights)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"first.bias": None},
            r"must hold every weight of the policy that config\.json makes, got a file without first\.bias",
        ),
        (
            {"second.bias": torch.zeros(2)},
            r"must hold only weights of the policy that config\.json makes, got also second\.bias",
        ),
        ({"first.bias": torch.tensor([0.0, 1.0, float("nan"), 2.0])}, r"first\.bias must hold finite numbers"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, change, message):
    policy, weights = saved(tmp_path, **change)
    with pytest.raises(ValueError, match=message):
        require_loaded(policy, weights)


def test_names_that_lerobot_translates_are_followed(tmp_path):
    class Renamed(Policy):
        def __init__(self):
            super().__init__()
            self.model = nn.ModuleDict({"head": nn.Linear(4, 4)})
            del self.first, self.tied

        def _fix_pytorch_state_dict_keys(self, state_dict, config):
            return {name.replace("first", "head"): value.clone() for name, value in state_dict.items()}

    _, weights = saved(tmp_path)
    policy = Renamed()
    with pytest.raises(ValueError, match="must be what the policy has loaded"):
        require_loaded(policy, weights)
    tensors = safetensors.torch.load_file(weights.path)
    policy.model["head"].load_state_dict({name.removeprefix("first."): value for name, value in tensors.items()})
    require_loaded(policy, weights)


@pytest.mark.parametrize("make", [lambda: Policy(40_000), lambda: [torch.empty(2**28) for _ in range(3)]])
def test_a_policy_far_larger_than_its_file_is_refused_before_the_memory_is_taken(tmp_path, make):
    saved(tmp_path)
    with pytest.raises(
        ValueError, match=r"config\.json asks for .* GB of memory \(a tensor of shape .*, model\.safetensors holds"
    ):
        load_weights(tmp_path, make)


def test_an_error_of_a_library_becomes_one_line():
    with pytest.raises(ValueError, match="vla: a b"), lerobot_errors("vla"):
        raise ValueError("a\n  b")
    with (
        pytest.raises(ValueError, match="vla must make a policy, got AssertionError: embed_dim"),
        lerobot_errors("vla"),
    ):
        nn.MultiheadAttention(8, 3)


def test_an_error_of_our_own_and_one_of_the_disk_go_on_as_they_are(tmp_path):
    with pytest.raises(AttributeError), lerobot_errors("vla"):
        read_weights_file(3)  # pyright: ignore[reportArgumentType]
    with pytest.raises(FileExistsError), lerobot_errors("vla"):
        tmp_path.mkdir()


@pytest.fixture
def tokenizer(tmp_path):
    """A folder whose tokenizer is Python code beside it."""
    folder, mark = tmp_path / "tokenizer", tmp_path / "was_run"
    folder.mkdir()
    (folder / "tokenizer_config.json").write_text('{"auto_map": {"AutoTokenizer": ["words.Words", null]}}')
    (folder / "words.py").write_text(
        f"open({str(mark)!r}, 'w').close()\nfrom transformers import PreTrainedTokenizer\n\n\nclass Words(PreTrainedTokenizer):\n"
        "    vocab_size = 1\n\n    def get_vocab(self):\n        return {}\n"
    )
    return folder, mark


def test_transformers_runs_no_code_of_a_folder_even_where_lerobot_trusts_it(tokenizer):
    transformers = pytest.importorskip("transformers")
    folder, mark = tokenizer
    with (
        remote_code(allowed=False),
        pytest.raises(ValueError, match=r"must not bring code to run, got words\.py; allow_remote_code"),
    ):
        transformers.AutoTokenizer.from_pretrained(folder, trust_remote_code=True)
    assert not mark.exists()


def test_nothing_is_asked_at_the_terminal(tokenizer, monkeypatch):
    transformers = pytest.importorskip("transformers")
    folder, mark = tokenizer
    monkeypatch.setattr("builtins.input", lambda prompt: "y")
    with remote_code(allowed=False), pytest.raises(ValueError, match="trust_remote_code"):
        transformers.AutoTokenizer.from_pretrained(folder)
    assert not mark.exists()


def test_code_runs_where_the_parameter_allows_it(tokenizer, monkeypatch, tmp_path):
    transformers = pytest.importorskip("transformers")
    folder, mark = tokenizer
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    with remote_code(allowed=True):
        transformers.AutoTokenizer.from_pretrained(folder, trust_remote_code=True)
    assert mark.exists()


def test_weights_that_cannot_be_fetched_name_the_field_that_does_without():
    with (
        pytest.raises(ValueError, match=r"policy of type act fetches .*`pretrained_backbone_weights: null`"),
        lerobot_errors("policy of type act"),
    ):
        raise URLError("no network")
