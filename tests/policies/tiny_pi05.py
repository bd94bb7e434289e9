"""LeRobot's pi0.5 at a tiny size with random weights, offline; its sizes stand in LeRobot's code and are replaced there."""

from pathlib import Path
from typing import Any

import pytest

from tests.policies.hub_cache import cached_repository

TOKENIZER = "google/paligemma-3b-pt-224"
VOCABULARY = 1024
WORDS = "task state action go to the red dot grasp lift it"
WIDTH = 64
POLICY: dict[str, Any] = {
    "type": "pi05",
    "chunk_size": 16,
    "n_action_steps": 8,
    "num_inference_steps": 2,
    "image_resolution": [56, 56],
    "tokenizer_max_length": 48,
    "max_state_dim": 8,
    "max_action_dim": 8,
    "dtype": "float32",
}


def tiny_pi05(monkeypatch: pytest.MonkeyPatch, hub_cache: Path) -> dict[str, Any]:
    """`finetune.policy` of a pi0.5 with 0.3 M parameters; its tokenizer lies in `hub_cache`."""
    write_tokenizer(cached_repository(hub_cache, TOKENIZER))
    make_pi05_tiny(monkeypatch)
    return dict(POLICY)


def make_pi05_tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every pi0.5 of this process have two layers."""
    from lerobot.policies.pi05 import modeling_pi05 as modeling

    sizes = {
        name: modeling.GemmaConfig(width=width, depth=2, mlp_dim=2 * width, num_heads=8, num_kv_heads=1, head_dim=8)
        for name, width in (("gemma_2b", WIDTH), ("gemma_300m", 32))
    }
    monkeypatch.setattr(modeling, "get_gemma_config", sizes.__getitem__)
    backbone, expert = modeling.PaliGemmaForConditionalGenerationWithPiGemma, modeling.PiGemmaForCausalLM

    def tiny_backbone(config: Any) -> Any:
        vision = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
        for key, value in {**vision, "projection_dim": WIDTH}.items():
            setattr(config.vision_config, key, value)
        config.projection_dim, config._vocab_size, config.image_token_index = WIDTH, VOCABULARY, VOCABULARY - 1
        config.text_config.vocab_size, config.text_config.pad_token_id, config.pad_token_id = VOCABULARY, 0, 0
        return backbone(config=config)

    def tiny_expert(config: Any) -> Any:
        config.vocab_size, config.pad_token_id = VOCABULARY, 0
        return expert(config=config)

    monkeypatch.setattr(modeling, "PaliGemmaForConditionalGenerationWithPiGemma", tiny_backbone)
    monkeypatch.setattr(modeling, "PiGemmaForCausalLM", tiny_expert)


def write_tokenizer(folder: Path) -> None:
    """A tokenizer of the instruction's words and of the 256 numbers that pi0.5 writes the state with."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = ["<pad>", "<unk>", "<bos>", "<eos>", *WORDS.split()]
    vocabulary = {word: number for number, word in enumerate([*words, *map(str, range(256)), *":;,.\n"])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    named = {"pad_token": "<pad>", "unk_token": "<unk>", "bos_token": "<bos>", "eos_token": "<eos>"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **named).save_pretrained(folder)
    (folder / "config.json").write_text('{"model_type": "paligemma"}')
