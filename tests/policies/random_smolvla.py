"""SmolVLA offline: its backbone described by a local folder, with random weights, tiny or of the released size."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

WORDS = "grasp the wooden cuboid and lift it go to red dot"


@dataclass(frozen=True)
class SmolVLASize:
    """Fields of SmolVLM's vision and text configurations, and of SmolVLA's own."""

    scale_factor: int
    vision: dict[str, int]
    text: dict[str, int]
    policy: dict[str, Any]


TINY = SmolVLASize(
    scale_factor=2,
    vision={
        "hidden_size": 32,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": 32,
        "patch_size": 8,
    },
    text={
        "hidden_size": 32,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 16,
        "vocab_size": 64,
    },
    policy={"num_vlm_layers": 2, "resize_imgs_with_padding": [32, 32], "num_steps": 2, "tokenizer_max_length": 16},
)
RELEASED = SmolVLASize(  # SmolVLM2-500M-Video-Instruct, of whose 32 text layers SmolVLA keeps 16 (arXiv 2506.01844)
    scale_factor=4,
    vision={
        "hidden_size": 768,
        "intermediate_size": 3072,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "image_size": 512,
        "patch_size": 16,
    },
    text={
        "hidden_size": 960,
        "intermediate_size": 2560,
        "num_hidden_layers": 32,
        "num_attention_heads": 15,
        "num_key_value_heads": 5,
        "head_dim": 64,
        "vocab_size": 49280,
    },
    policy={},
)


def random_smolvla(size: SmolVLASize, folder: Path) -> dict[str, Any]:
    """`finetune.policy` for a SmolVLA of `size`, whose backbone is described in `folder` (written here)."""
    _write_backbone(size, folder)
    return {
        "type": "smolvla",
        "vlm_model_name": str(folder),
        "load_vlm_weights": False,
        "chunk_size": 16,
        "n_action_steps": 16,
        **size.policy,
    }


def _write_backbone(size: SmolVLASize, folder: Path) -> None:
    """SmolVLM's configuration, a tokenizer of a few words, and an image processor."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast, SmolVLMConfig, SmolVLMProcessor
    from transformers.models.smolvlm.image_processing_smolvlm import SmolVLMImageProcessor
    from transformers.models.smolvlm.video_processing_smolvlm import SmolVLMVideoProcessor

    special = [
        "<pad>",
        "<unk>",
        "<s>",
        "</s>",
        "<image>",
        "<fake_token_around_image>",
        "<global-img>",
        "<end_of_utterance>",
    ]
    vocabulary = {word: number for number, word in enumerate(special + sorted(set(WORDS.split())))}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words,
        pad_token="<pad>",
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        extra_special_tokens={
            "image_token": "<image>",
            "fake_image_token": "<fake_token_around_image>",
            "global_image_token": "<global-img>",
            "end_of_utterance_token": "<end_of_utterance>",
        },
    )
    SmolVLMProcessor(
        image_processor=SmolVLMImageProcessor(),
        tokenizer=tokenizer,
        video_processor=SmolVLMVideoProcessor(),
        image_seq_len=1,
    ).save_pretrained(folder)
    SmolVLMConfig(
        image_token_id=vocabulary["<image>"],
        scale_factor=size.scale_factor,
        vision_config=size.vision,
        text_config={"model_type": "llama", "pad_token_id": 0, **size.text},
        pad_token_id=0,
    ).save_pretrained(folder)
