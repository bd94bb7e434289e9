"""LeRobot's GR00T N1.7 at a tiny size with random weights, offline: a base model's folder and its backbone's processors."""

import re
from pathlib import Path
from typing import Any

from tests.policies.hub_cache import cached_repository

BACKBONE = "nvidia/Cosmos-Reason2-2B"
"""Where LeRobot finds the tokenizer and the image processor of every GR00T N1.7."""
CHUNK = 16
SPECIAL = (
    *("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
    *("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"),
)
CHAT = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.content is string %}{{ m.content }}{% else %}"
    "{% for x in m.content %}{% if x.type == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% else %}{{ x.text }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def tiny_groot(folder: Path, hub_cache: Path) -> dict[str, Any]:
    """`finetune.policy` of a GR00T N1.7 with 0.7 M parameters: its base model in `folder`, its processors in `hub_cache`."""
    processors = cached_repository(hub_cache, BACKBONE)
    numbers = write_processors(processors)
    backbone = write_backbone(folder / "backbone", numbers)
    backbone.save_pretrained(processors)
    write_base(folder / "base", folder / "backbone")
    return {
        "type": "groot",
        "allow_remote_code": True,
        "base_model_path": str(folder / "base"),
        "chunk_size": CHUNK,
        "n_action_steps": CHUNK // 2,
        "max_state_dim": 8,
        "max_action_dim": 8,
        "use_bf16": False,
    }


def write_processors(folder: Path) -> dict[str, int]:
    """A tokenizer of bytes with Qwen's special tokens, and the image processors; the number of each special token."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast, Qwen2VLImageProcessor, Qwen3VLVideoProcessor

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    letters = Tokenizer(models.BPE({letter: number for number, letter in enumerate(alphabet)}, []))
    letters.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    letters.decoder = decoders.ByteLevel()
    named: dict[str, Any] = {"pad_token": SPECIAL[0], "eos_token": SPECIAL[2], "additional_special_tokens": SPECIAL[1:]}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=letters, **named)
    tokenizer.chat_template = CHAT
    tokenizer.save_pretrained(folder)
    sizes = {"patch_size": 16, "temporal_patch_size": 2, "merge_size": 2}
    Qwen2VLImageProcessor(**sizes, min_pixels=32 * 32, max_pixels=64 * 64).save_pretrained(folder)
    Qwen3VLVideoProcessor(**sizes).save_pretrained(folder)
    return {token: tokenizer.convert_tokens_to_ids(token) for token in SPECIAL} | {"": len(tokenizer)}


def write_backbone(folder: Path, numbers: dict[str, int]) -> Any:
    """The configuration of a vision-language model with 2 layers."""
    from transformers import Qwen3VLConfig

    text = {
        "model_type": "qwen3_vl_text",
        "hidden_size": 64,
        "intermediate_size": 64,
        "head_dim": 16,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "num_hidden_layers": 2,
        "vocab_size": numbers[""],
        "rope_scaling": {"mrope_interleaved": True, "mrope_section": [4, 2, 2], "rope_type": "default"},
        "rope_theta": 5000000,
        "tie_word_embeddings": True,
        "max_position_embeddings": 4096,
    }
    vision = {
        "model_type": "qwen3_vl",
        "depth": 2,
        "hidden_size": 32,
        "num_heads": 2,
        "intermediate_size": 32,
        "out_hidden_size": 64,
        "patch_size": 16,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
        "num_position_embeddings": 256,
        "deepstack_visual_indexes": [0],
        "in_channels": 3,
    }
    config = Qwen3VLConfig(
        image_token_id=numbers["<|image_pad|>"],
        video_token_id=numbers["<|video_pad|>"],
        vision_start_token_id=numbers["<|vision_start|>"],
        vision_end_token_id=numbers["<|vision_end|>"],
        tie_word_embeddings=True,
        text_config=text,
        vision_config=vision,
    )
    config.save_pretrained(folder)
    return config


def write_base(folder: Path, backbone: Path) -> None:
    """A base model as NVIDIA publishes one, its weights random."""
    import torch
    from lerobot.policies.groot.groot_n1_7 import GR00TN17, GR00TN17Config

    plain: dict[str, Any] = {
        "num_attention_heads": 2,
        "dropout": 0.0,
        "final_dropout": True,
        "positional_embeddings": None,
    }
    action_head = {"num_layers": 2, "attention_head_dim": 24, "output_dim": 32, "norm_type": "ada_norm"}
    config = GR00TN17Config(
        model_name=str(backbone),
        backbone_model_type="qwen",
        backbone_embedding_dim=64,
        select_layer=2,
        hidden_size=32,
        input_embedding_dim=48,
        max_seq_len=1024,
        action_horizon=CHUNK,
        max_state_dim=8,
        max_action_dim=8,
        max_num_embodiments=32,
        num_inference_timesteps=2,
        diffusion_model_cfg={**plain, **action_head, "interleave_self_attention": True},
        vl_self_attention_cfg={**plain, "num_layers": 1, "attention_head_dim": 32},
    )
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        model = GR00TN17(config, load_backbone_weights=False)
        for name, value in model.named_parameters():
            if re.search(r"action_head\.(state_encoder.*W|.*attn1.*weight|action_decoder.*W)$", name):
                value.mul_(10.0)  # random weights so small that pictures and state would hardly move the answer
        model.save_pretrained(folder)
